"""What a wallet's money is reserved for: holds, by customer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from tokenmeter.engine.charge_of import ChargeOf
from tokenmeter.engine.clock import Clock
from tokenmeter.engine.definitions import reading
from tokenmeter.engine.errors import NotFoundError, ValidationError
from tokenmeter.engine.holds import Hold, HoldDesk
from tokenmeter.engine.snapshots import OwedOf, Snapshots
from tokenmeter.engine.steps import NO_STEPS, NOTHING_AHEAD, Ahead, Steps
from tokenmeter.engine.store.documents import Documents
from tokenmeter.engine.store.protocol import Store
from tokenmeter.engine.wallet import Wallet
from tokenmeter.engine.wallet_rows import wallets_of
from tokenmeter.engine.wallet_watch import is_due
from tokenmeter.event import Event
from tokenmeter.rating.credits import Owed

KNOWN_S = 5.0  # a wallet's settings are read again after this
KNOWN_MAX = 10_000


def nothing_owed(_wallet: Wallet, _at: datetime) -> Owed:
    """Say that a customer owes nothing: where nobody rates usage."""
    return Owed()


@dataclass(frozen=True, slots=True)
class _Known:
    wallet: Wallet
    read: datetime


class WalletHolds(ABC):
    """The holds of one environment's wallets."""

    def __init__(
        self,
        store: Store,
        environment: str,
        *,
        owed: OwedOf,
        rates: ChargeOf | None,
        clock: Clock,
    ) -> None:
        self._store = store
        self._environment = environment
        self._owed = owed
        self._clock = clock
        self._rates = rates
        self._known: dict[tuple[str, str], _Known] = {}
        self._snapshots = Snapshots(store, environment, owed, self._ahead)
        self._desk = HoldDesk(store, environment, self._snapshots, clock)

    @abstractmethod
    def watch(self, wallet_id: str) -> str:
        """Top up or alert if the real-time balance says so; return the alert state."""

    def hold(
        self,
        customer: str,
        amount: Decimal | int | str,
        expires_s: float = 60.0,
        reference: str = "",
        *,
        currency: str = "",
        hold_id: str = "",
        events: Sequence[Event] = (),
    ) -> Hold:
        """
        Reserve money before a call; InsufficientBalanceError if it does not fit.

        With the `events` that the call may become, usage at prices that depend on other usage is
        priced together with all that is under way. NotFoundError if the customer has no wallet
        (in that currency).
        """
        wallet = self._wallet_for(customer, currency)
        sure, steps = self._split(_exact(amount), events)
        said = {"reference": reference, "hold_id": hold_id}
        made, left = self._desk.hold(wallet, sure, expires_s=expires_s, **said, steps=steps)
        if is_due(wallet, left):
            self.watch(wallet.id)
        return made

    def settle(
        self,
        hold_id: str,
        amount: Decimal | int | str,
        *,
        reference: str = "",
        events: Sequence[Event] = (),
    ) -> Hold:
        """Say what the call cost, once; `reference` may be the id of its event."""
        sure, steps = self._split(_exact(amount), events)
        return self._desk.settle(hold_id, sure, reference=reference, steps=steps)

    def void(self, hold_id: str) -> Hold:
        """Give back what was held."""
        return self._desk.void(hold_id)

    def keep(self, hold_id: str, reference: str) -> Hold:
        """Have a hold, if it is open, known by another reference from now on."""
        return self._desk.keep(hold_id, reference)

    def held(self, hold_id: str) -> Hold:
        """Return a hold."""
        return self._desk.get(hold_id)

    def waiting(self, customer: str, reference: str) -> list[Hold]:
        """List the open holds of a customer under a reference, the oldest first."""
        return [h for w in self._active(customer) for h in self._desk.waiting(w, reference)]

    def available(self, customer: str, *, currency: str = "") -> Decimal:
        """Tell how much money could be held for a customer now."""
        return self._desk.available(self._wallet_for(customer, currency))

    def forget(self, wallet_id: str) -> None:
        """Look the customer's usage up again at the next hold, however young what is known."""
        self._snapshots.forget(wallet_id)

    def _split(self, amount: Decimal, events: Sequence[Event]) -> tuple[Decimal, Steps]:
        """Return what is sure to be charged, and the usage whose price depends on other usage."""
        if self._rates is None or not events:
            return amount, NO_STEPS
        found = self._rates.split(events[0].external_customer_id, events)
        return (found.flat, found.steps) if found and found.steps else (amount, NO_STEPS)

    def _ahead(self, wallet: Wallet) -> Ahead:
        if self._rates is None:
            return NOTHING_AHEAD
        return self._rates.ahead(wallet.customer_id, wallet.currency)

    def _active(self, customer: str) -> list[Wallet]:
        with self._store.reading() as connection:
            return wallets_of(Documents(connection, self._environment), customer)

    def _wallet_for(self, customer: str, currency: str) -> Wallet:
        now, place = self._clock(), (customer, currency.lower())
        known = self._known.get(place)
        if known is not None and known.read <= now <= known.read + timedelta(seconds=KNOWN_S):
            return known.wallet
        found = [
            w for w in self._active(customer) if not currency or w.currency == currency.lower()
        ]
        if not found:
            raise NotFoundError(f"The customer {customer!r} has no wallet here to hold from.")
        if len({w.currency for w in found}) > 1:
            raise ValidationError("The customer has wallets in several currencies; name one.")
        wallet = min(found, key=lambda w: w.post_paid)  # what is prepaid goes first
        if len(self._known) >= KNOWN_MAX:
            self._known.clear()
        self._known[place] = _Known(wallet, now)
        return wallet


def _exact(amount: Decimal | int | str) -> Decimal:
    known = amount if isinstance(amount, Decimal) else reading.amount({"amount": amount}, "amount")
    if known is None:
        raise ValidationError("amount is required.")
    return known
