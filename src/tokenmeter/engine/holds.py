"""
Holds: money reserved before a call, settled after it, voided or expired.

What is available = the real-time balance - what is held - what was settled and has not arrived
as usage yet. The check and the reservation are one transaction, so that of several processes
that want the last credit one gets it. Where a price depends on what was used before, a hold is
not of money but of usage, and all that is under way is priced together (see steps).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from tokenmeter.engine.account import Account
from tokenmeter.engine.clock import Clock
from tokenmeter.engine.errors import (
    AlreadyExistsError,
    InsufficientBalanceError,
    InvalidOperationError,
    ValidationError,
)
from tokenmeter.engine.ids import new_id
from tokenmeter.engine.snapshots import REFUSED_AGE_S_MAX, Snapshot, Snapshots
from tokenmeter.engine.steps import NO_STEPS, Steps, added, read, written
from tokenmeter.engine.store import held
from tokenmeter.engine.store.held import HoldRow, Holds
from tokenmeter.engine.store.ledger import Ledger
from tokenmeter.engine.store.protocol import Store
from tokenmeter.engine.store.rows import microseconds, moment
from tokenmeter.engine.wallet import Wallet
from tokenmeter.rating.credits import real_time_balance, to_amount
from tokenmeter.rating.rounding import minus, plain, plus

HOLD_S_MAX = 24 * 3600


@dataclass(frozen=True, slots=True)
class Hold:
    """Money that is reserved: `state` is held, settled, voided or expired."""

    id: str
    wallet_id: str
    amount: Decimal
    currency: str
    state: str
    expires_at: datetime
    reference: str = ""
    settled_amount: Decimal | None = None


class HoldDesk:
    """Reserves and releases money in the wallets of one environment."""

    def __init__(self, store: Store, environment: str, snapshots: Snapshots, clock: Clock) -> None:
        self._store = store
        self._environment = environment
        self._snapshots = snapshots
        self._clock = clock

    def hold(
        self,
        wallet: Wallet,
        amount: Decimal,
        *,
        expires_s: float,
        reference: str,
        hold_id: str = "",
        steps: Steps = NO_STEPS,
    ) -> tuple[Hold, Decimal]:
        """
        Reserve money and tell what stays available; refuse what does not fit.

        `steps` is usage that comes on top of the amount, priced with all that is under way.
        """
        if not amount.is_finite() or amount < 0 or not 0 < expires_s <= HOLD_S_MAX:
            raise ValidationError(
                f"A hold is of at least 0 and lasts more than 0 and up to {HOLD_S_MAX} seconds."
            )
        now = self._clock()
        row = HoldRow(
            hold_id or new_id("hold"),
            *(wallet.id, amount, held.HELD, microseconds(now + timedelta(seconds=expires_s))),
            microseconds(now),
            reference=reference or None,
            steps=written(steps),
        )
        snapshot = self._snapshots.of(wallet, now)
        try:
            left = self._reserve(wallet, row, snapshot, now)
        except InsufficientBalanceError:
            newer = self._snapshots.of(wallet, now, REFUSED_AGE_S_MAX)
            if newer is snapshot:
                raise
            left = self._reserve(wallet, row, newer, now)
        return _hold(row, wallet.currency), left

    def _reserve(self, wallet: Wallet, row: HoldRow, snapshot: Snapshot, now: datetime) -> Decimal:
        """Keep a hold if it fits; tell what is left."""
        with self._store.writing() as connection:
            holds = Holds(connection, self._environment)
            if holds.exists(row.id):
                raise AlreadyExistsError(f"There is a hold {row.id!r} already.")
            account = Account(Ledger(connection, self._environment), wallet, now)
            self._expire(holds, account, now)
            steps = read(row.steps)
            left = minus(self._available(wallet, account, holds, snapshot, steps), row.amount)
            if left < 0 and not wallet.post_paid:
                raise _short(wallet, self._available(wallet, account, holds, snapshot), left)
            holds.add(row)
            account.hold(row.amount)
        return left

    def available(self, wallet: Wallet) -> Decimal:
        """Tell how much could be held now."""
        now = self._clock()
        snapshot = self._snapshots.of(wallet, now)
        with self._store.writing() as connection:
            holds = Holds(connection, self._environment)
            account = Account(Ledger(connection, self._environment), wallet, now)
            self._expire(holds, account, now)
            return self._available(wallet, account, holds, snapshot)

    def settle(
        self, hold_id: str, amount: Decimal, *, reference: str = "", steps: Steps = NO_STEPS
    ) -> Hold:
        """
        Replace what was held by what the call cost, once; more than was held is possible.

        A hold that expired before is settled all the same. With the event's id as `reference`
        the amount counts until that event has arrived, else for SETTLED_COUNTS_S.
        """
        if not amount.is_finite() or amount < 0:
            raise ValidationError("What a call cost is at least 0.")

        def ended(row: HoldRow) -> HoldRow:
            if row.state == held.SETTLED and row.settled_amount == amount:
                return row
            if row.state not in {held.HELD, held.EXPIRED}:
                raise InvalidOperationError(f"The hold is {row.state} already.")
            named = reference or row.reference
            settled = replace(row, state=held.SETTLED, settled_amount=amount, reference=named)
            return replace(settled, closed_us=None, steps=written(steps))

        return self._end(hold_id, ended)

    def void(self, hold_id: str) -> Hold:
        """Give back what was held; again changes nothing."""

        def ended(row: HoldRow) -> HoldRow:
            if row.state == held.SETTLED:
                raise InvalidOperationError("The hold is settled already.")
            return replace(row, state=held.VOIDED) if row.state == held.HELD else row

        return self._end(hold_id, ended)

    def keep(self, hold_id: str, reference: str) -> Hold:
        """Have a hold, if it is open, known by another reference; it lasts no longer for it."""
        with self._store.writing() as connection:
            holds = Holds(connection, self._environment)
            holds.rename(hold_id, reference)
            return _hold(holds.get(hold_id), "")

    def get(self, hold_id: str) -> Hold:
        """Return a hold."""
        with self._store.reading() as connection:
            return _hold(Holds(connection, self._environment).get(hold_id), "")

    def waiting(self, wallet: Wallet, reference: str) -> list[Hold]:
        """List the open holds of a wallet under a reference, the oldest first."""
        with self._store.reading() as connection:
            found = Holds(connection, self._environment).waiting(wallet.id, reference)
        return [_hold(row, wallet.currency) for row in found]

    def _end(self, hold_id: str, ended: Callable[[HoldRow], HoldRow]) -> Hold:
        now_us = microseconds(self._clock())
        with self._store.writing() as connection:
            holds = Holds(connection, self._environment)
            ledger = Ledger(connection, self._environment)
            balance = ledger.lock(holds.get(hold_id).wallet_id)
            row = holds.get(hold_id)  # as it is under the lock
            after = ended(row)
            if after != row:
                # Later than the last one, so that `_settled` can draw a line between them.
                closed_us = max(now_us, holds.last_closed(row.wallet_id) + 1)
                after = replace(after, closed_us=closed_us)
                holds.close(after)
                if row.state == held.HELD:
                    ledger.save(replace(balance, held=minus(balance.held, row.amount)))
        return _hold(after, "")

    def _expire(self, holds: Holds, account: Account, now: datetime) -> None:
        for row in holds.due(account.balance.wallet_id, microseconds(now)):
            closed_us = max(microseconds(now), holds.last_closed(row.wallet_id) + 1)
            holds.close(replace(row, state=held.EXPIRED, closed_us=closed_us))
            account.hold(row.amount.copy_negate())

    def _available(
        self,
        wallet: Wallet,
        account: Account,
        holds: Holds,
        snapshot: Snapshot,
        more: Steps = NO_STEPS,
    ) -> Decimal:
        balance = to_amount(account.balance.credit_balance, wallet.rate)
        left = real_time_balance(
            balance, snapshot.owed, wallet.price_types, post_paid=wallet.post_paid
        )
        since = holds.settled_since(wallet.id, snapshot.since_us)
        settled = plus(row.amount for row in since)
        left = minus(left, account.balance.held, snapshot.outstanding, settled)
        if not snapshot.ahead.parts:  # no price depends on other usage
            return left
        known = (*(row.steps for row in since), *holds.steps(wallet.id))
        return minus(
            left, snapshot.ahead.cost(added((snapshot.under_way, more, *map(read, known))))
        )


def _short(wallet: Wallet, free: Decimal, left: Decimal) -> InsufficientBalanceError:
    wanted = f"{plain(minus(free, left))} {wallet.currency.upper()}"
    return InsufficientBalanceError(f"{wanted} do not fit: {plain(free)} are available.")


def _hold(row: HoldRow, currency: str) -> Hold:
    return Hold(
        row.id,
        row.wallet_id,
        row.amount,
        currency,
        row.state,
        moment(row.expires_us),
        row.reference or "",
        row.settled_amount,
    )
