"""
Holds: money reserved before a call, settled after it, voided or expired.

What is available = the real-time balance - what is held - what was settled and has not arrived
as usage yet. The check and the reservation are one transaction, so that of several processes
that want the last credit one gets it. Usage is looked up at most every `USAGE_AGE_S_MAX`; what
was settled since then is counted from the holds themselves.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
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
from tokenmeter.engine.store import held
from tokenmeter.engine.store.held import HoldRow, Holds
from tokenmeter.engine.store.ledger import Ledger
from tokenmeter.engine.store.protocol import Store
from tokenmeter.engine.store.rows import microseconds, moment
from tokenmeter.engine.wallet import Wallet
from tokenmeter.rating.credits import Owed, real_time_balance, to_amount
from tokenmeter.rating.rounding import EXACT, minus, plain, plus

HOLD_S_MAX = 24 * 3600
USAGE_AGE_S_MAX = 5.0  # of what is known about a customer's usage
SETTLED_COUNTS_S = 60.0  # a settled amount counts so long if its event does not arrive before
LOOKS_MAX = 5  # at what is owed, if events arrive meanwhile
SNAPSHOTS_MAX = 10_000

OwedOf = Callable[[Wallet, datetime], Owed]
_Waiting = tuple[str | None, Decimal]  # the id of an event, and what was settled for it


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


@dataclass(frozen=True, slots=True)
class _Snapshot:
    taken: datetime
    since_us: int  # what was settled from here on is not in it; see HoldDesk._settled
    owed: Owed
    outstanding: Decimal  # settled before, and not among the usage yet


class HoldDesk:
    """Reserves and releases money in the wallets of one environment."""

    def __init__(self, store: Store, environment: str, owed: OwedOf, clock: Clock) -> None:
        self._store = store
        self._environment = environment
        self._owed = owed
        self._clock = clock
        self._snapshots: OrderedDict[str, _Snapshot] = OrderedDict()
        self._lock = threading.Lock()

    def hold(
        self,
        wallet: Wallet,
        amount: Decimal,
        *,
        expires_s: float,
        reference: str,
        hold_id: str = "",
    ) -> tuple[Hold, Decimal]:
        """Reserve money and tell what stays available; refuse what does not fit."""
        if not amount.is_finite() or amount < 0 or not 0 < expires_s <= HOLD_S_MAX:
            raise ValidationError(
                f"A hold is of at least 0 and lasts more than 0 and up to {HOLD_S_MAX} seconds."
            )
        now = self._clock()
        snapshot = self._known(wallet, now)
        with self._store.writing() as connection:
            holds = Holds(connection, self._environment)
            account = Account(Ledger(connection, self._environment), wallet, now)
            self._expire(holds, account, now)
            left = minus(self._available(wallet, account, holds, snapshot), amount)
            if left < 0 and not wallet.post_paid:
                raise InsufficientBalanceError(
                    f"{plain(amount)} {wallet.currency.upper()} do not fit: "
                    f"{plain(EXACT.add(left, amount))} are available."
                )
            until = now + timedelta(seconds=expires_s)
            row = HoldRow(
                _id_for(holds, hold_id),
                *(wallet.id, amount, held.HELD, microseconds(until), microseconds(now)),
                reference=reference or None,
            )
            holds.add(row)
            account.hold(amount)
        return _hold(row, wallet.currency), left

    def available(self, wallet: Wallet) -> Decimal:
        """Tell how much could be held now."""
        now = self._clock()
        snapshot = self._known(wallet, now)
        with self._store.writing() as connection:
            holds = Holds(connection, self._environment)
            account = Account(Ledger(connection, self._environment), wallet, now)
            self._expire(holds, account, now)
            return self._available(wallet, account, holds, snapshot)

    def settle(
        self, hold_id: str, amount: Decimal, *, reference: str = "", currency: str = ""
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
            return replace(
                row, state=held.SETTLED, settled_amount=amount, reference=named, closed_us=None
            )

        return self._end(hold_id, ended, currency)

    def void(self, hold_id: str, *, currency: str = "") -> Hold:
        """Give back what was held; again changes nothing."""

        def ended(row: HoldRow) -> HoldRow:
            if row.state == held.SETTLED:
                raise InvalidOperationError("The hold is settled already.")
            return replace(row, state=held.VOIDED) if row.state == held.HELD else row

        return self._end(hold_id, ended, currency)

    def get(self, hold_id: str, currency: str = "") -> Hold:
        """Return a hold."""
        with self._store.reading() as connection:
            return _hold(Holds(connection, self._environment).get(hold_id), currency)

    def waiting(self, wallet: Wallet, reference: str) -> list[Hold]:
        """List the open holds of a wallet under a reference, the oldest first."""
        with self._store.reading() as connection:
            found = Holds(connection, self._environment).waiting(wallet.id, reference)
        return [_hold(row, wallet.currency) for row in found]

    def forget(self, wallet_id: str) -> None:
        """Look a customer's usage up again at the next hold."""
        with self._lock:
            self._snapshots.pop(wallet_id, None)

    def _end(self, hold_id: str, ended: Callable[[HoldRow], HoldRow], currency: str) -> Hold:
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
        return _hold(after, currency)

    def _expire(self, holds: Holds, account: Account, now: datetime) -> None:
        for row in holds.due(account.balance.wallet_id, microseconds(now)):
            closed_us = max(microseconds(now), holds.last_closed(row.wallet_id) + 1)
            holds.close(replace(row, state=held.EXPIRED, closed_us=closed_us))
            account.hold(row.amount.copy_negate())

    def _available(
        self, wallet: Wallet, account: Account, holds: Holds, snapshot: _Snapshot
    ) -> Decimal:
        balance = to_amount(account.balance.credit_balance, wallet.rate)
        left = real_time_balance(
            balance, snapshot.owed, wallet.price_types, post_paid=wallet.post_paid
        )
        since = holds.settled_since(wallet.id, snapshot.since_us)
        settled = plus(amount for _, amount, _ in since)
        return minus(left, account.balance.held, snapshot.outstanding, settled)

    def _known(self, wallet: Wallet, now: datetime) -> _Snapshot:
        with self._lock:
            known = self._snapshots.get(wallet.id)
        if known is not None and now - known.taken <= timedelta(seconds=USAGE_AGE_S_MAX):
            return known
        known = self._looked_up(wallet, now)
        with self._lock:
            self._snapshots[wallet.id] = known
            self._snapshots.move_to_end(wallet.id)
            while len(self._snapshots) > SNAPSHOTS_MAX:
                self._snapshots.popitem(last=False)
        return known

    def _looked_up(self, wallet: Wallet, now: datetime) -> _Snapshot:
        """
        Look at the holds first: an event that has arrived by then is among the usage read next.

        One that arrives in between would count twice: all is looked at again. After LOOKS_MAX
        it does count twice, until the next look: too little is available, never too much.
        """
        looks = 0
        while True:
            since_us, waiting = self._settled(wallet.id, now)
            owed = self._owed(wallet, now)
            looks += 1
            if looks == LOOKS_MAX or not self._arrived(waiting):
                return _Snapshot(now, since_us, owed, plus(amount for _, amount in waiting))

    def _arrived(self, waiting: Sequence[_Waiting]) -> bool:
        """Whether the event of any of these is there by now."""
        references = [reference for reference, _ in waiting if reference]
        if not references:
            return False
        with self._store.reading() as connection:
            return bool(Holds(connection, self._environment).arrived(references))

    def _settled(self, wallet_id: str, now: datetime) -> tuple[int, list[_Waiting]]:
        """
        Return what was settled and has not arrived as usage, and from where on to count more.

        Under the wallet's lock, like every closing: none can be in between, whatever the clocks
        of several processes say.
        """
        with self._store.writing() as connection:
            Ledger(connection, self._environment).lock(wallet_id)
            holds = Holds(connection, self._environment)
            after_us = holds.last_closed(wallet_id) + 1
            rows = holds.settled_since(
                wallet_id, microseconds(now - timedelta(seconds=SETTLED_COUNTS_S))
            )
            arrived = holds.arrived([reference for reference, _, _ in rows if reference])
        return after_us, [(named, amount) for named, amount, _ in rows if named not in arrived]


def _id_for(holds: Holds, wanted: str) -> str:
    """Return the id that a client wants for its hold, or a new one."""
    if wanted and holds.exists(wanted):
        raise AlreadyExistsError(f"There is a hold {wanted!r} already.")
    return wanted or new_id("hold")


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
