"""What one more event adds to what its customer owes: quick, for previews and enforcement."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from tokenmeter.engine.clock import Clock
from tokenmeter.engine.contract import Contract
from tokenmeter.engine.errors import EngineError
from tokenmeter.engine.estimate import estimate
from tokenmeter.engine.steps import NOTHING_AHEAD, Ahead, Split, ahead, split
from tokenmeter.engine.store.protocol import Store
from tokenmeter.event import Event
from tokenmeter.money import Money
from tokenmeter.rating.windows import Period

KNOWN = timedelta(seconds=5)  # a contract that was read is used for so long
CONTRACTS_MAX = 10_000

ContractOf = Callable[[str, datetime], tuple[Contract, Period]]


@dataclass(frozen=True, slots=True)
class _Known:
    read: datetime
    until: datetime
    contract: tuple[Contract, Period] | None  # None: no active subscription, or several


class ChargeOf:
    """
    ``charge_of(event)``: the marginal charge, or None if no price of the customer's bills it.

    Prices that changed within KNOWN may not be seen yet.
    """

    def __init__(
        self, store: Store, environment: str, contract_of: ContractOf, clock: Clock
    ) -> None:
        self._store = store
        self._environment = environment
        self._contract_of = contract_of
        self._clock = clock
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._lock = threading.Lock()

    def __call__(self, event: Event) -> Money | None:
        """Tell what an event adds; see `estimate`."""
        found = self._of(event.external_customer_id)
        if found is None:
            return None
        contract, period = found
        charge = estimate(self._store, contract, event, period, self._environment)
        return None if charge.amount is None else Money(charge.amount, charge.currency)

    def split(self, customer: str, events: Sequence[Event]) -> Split | None:
        """Tell apart what of the charge of events depends on other usage; None if not billed."""
        found = self._of(customer)
        return None if found is None else split(found[0], events)

    def ahead(self, customer: str, currency: str) -> Ahead:
        """Look up what a customer has used, where the price of later usage depends on it."""
        found = self._of(customer)
        if found is None or found[0].currency != currency:
            return NOTHING_AHEAD
        return ahead(self._store, *found, self._clock(), self._environment)

    def may_charge(self, event: Event) -> bool:
        """Tell at once whether a look for a charge is worth it: False if nothing bills it."""
        known = self._known.get(event.external_customer_id)  # a look that needs no lock
        if known is None or not known.read <= self._clock() <= known.until:
            return True
        return known.contract is not None

    def _of(self, customer: str) -> tuple[Contract, Period] | None:
        now = self._clock()
        with self._lock:
            known = self._known.get(customer)
        if known is not None and known.read <= now <= known.until and _holds(known, now):
            return known.contract
        try:
            contract = self._contract_of(customer, now)
        except EngineError:
            contract = None
        with self._lock:
            self._known[customer] = _Known(now, now + KNOWN, contract)
            if len(self._known) > CONTRACTS_MAX:
                self._known.popitem(last=False)
        return contract


def _holds(known: _Known, now: datetime) -> bool:
    return known.contract is None or now < known.contract[1].end
