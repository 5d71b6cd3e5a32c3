"""A customer's plan includes so much; beyond it a call is refused until the quota resets."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Protocol

from tokenmeter.capture.refusal import Refusal
from tokenmeter.enforcement.gate import Ask, Refused, Ticket, references
from tokenmeter.event import Event
from tokenmeter.rating.filters import names_of
from tokenmeter.rating.meter import Meter

ZERO = Decimal(0)
COUNTS = frozenset({"request_count", "output_count"})  # say nothing of how much is used
KNOWN_S = 1.0  # what is known of a customer's usage is used for so long
ARRIVES_S = 3.0  # by then the event of a finished call is in the store
UNDER_WAY_S_MAX = 900.0  # a call whose end nobody tells counts so long
CUSTOMERS_MAX = 10_000  # remembered

Clock = Callable[[], float]


class Quota(Protocol):
    """One included amount; see engine.quotas."""

    @property
    def feature(self) -> str: ...
    @property
    def meter(self) -> Meter: ...
    @property
    def limit(self) -> Decimal: ...
    @property
    def used(self) -> Decimal: ...
    @property
    def resets_at(self) -> datetime | None: ...
    @property
    def is_soft(self) -> bool: ...


Look = Callable[[str, datetime], Sequence[Quota]]


@dataclass(slots=True)
class _UnderWay:
    ask: Ask
    until_s: float  # counted so long, on the clock of the quotas that were read


@dataclass(slots=True)
class _Known:
    """A customer's quotas as they were read, and what has been admitted since."""

    quotas: Sequence[Quota]
    read_s: float
    under_way: dict[int, _UnderWay] = field(default_factory=dict[int, "_UnderWay"])


class QuotaGate:
    """
    Refuses with 429 what a hard limit of the customer's entitlements does not include.

    Calls under way count with what is expected of them, in this process; what other processes
    have under way counts when its events have arrived.
    """

    def __init__(self, look: Look, clock: Clock = time.monotonic) -> None:
        self._look = look
        self._clock = clock
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._lock = threading.Lock()
        self._numbers = 0

    def admit(self, ask: Ask) -> Ticket:
        """Count the call in, or refuse it."""
        if ask.customer is None:
            raise Refused(Refusal(401, "Nobody asks for this call; send the key you were given."))
        with self._lock:
            known = self._of(ask.customer)
            for quota in known.quotas:
                self._check(quota, known, ask)
            self._numbers += 1
            number = self._numbers
            known.under_way[number] = _UnderWay(ask, self._clock() + UNDER_WAY_S_MAX)
        return _Counted(self, known, number)

    def ended(self, known: _Known, number: int) -> None:
        """Let a call's estimate go as soon as its events have surely arrived."""
        with self._lock:
            call = known.under_way.get(number)
            if call is not None:
                call.until_s = self._clock() + ARRIVES_S

    def forgotten(self, known: _Known, number: int) -> None:
        """Let the estimate of a call go that used nothing."""
        with self._lock:
            known.under_way.pop(number, None)

    def job_ended(self, event: Event) -> None:
        """Let the estimate of a job go, which has counted since its submit."""
        known_by, now_s = set(references(event)), self._clock()
        with self._lock:
            known = self._known.get(event.external_customer_id or "")
            for call in () if known is None else known.under_way.values():
                if call.ask.reference in known_by and call.until_s > now_s + ARRIVES_S:
                    call.until_s = now_s + ARRIVES_S
                    return

    def _of(self, customer: str) -> _Known:
        now_s = self._clock()
        known = self._known.pop(customer, None)
        if known is None or now_s - known.read_s > KNOWN_S:
            fresh = _Known(self._look(customer, datetime.now(UTC)), now_s)
            if known is not None:
                fresh.under_way = known.under_way
                known.quotas = fresh.quotas
                known.read_s = now_s
                fresh = known
            known = fresh
        for number, call in tuple(known.under_way.items()):
            if known.read_s > call.until_s:
                del known.under_way[number]
        self._known[customer] = known
        if len(self._known) > CUSTOMERS_MAX:
            self._known.popitem(last=False)
        return known

    def _check(self, quota: Quota, known: _Known, ask: Ask) -> None:
        wanted = expected(quota, ask)
        if quota.is_soft or wanted is None:
            return
        waiting = (expected(quota, call.ask) or 0 for call in known.under_way.values())
        left = quota.limit - quota.used - sum(waiting)
        if left > 0 and wanted <= left:
            return
        says = f"The quota of {quota.limit} for {quota.feature} is used up"
        if quota.resets_at is None:
            raise Refused(Refusal(429, f"{says}."))
        left_s = max(1, int((quota.resets_at - datetime.now(UTC)).total_seconds()) + 1)
        until = f"{quota.resets_at:%Y-%m-%d %H:%M} UTC"
        raise Refused(Refusal(429, f"{says} until {until}.", left_s))


def expected(quota: Quota, ask: Ask) -> Decimal | None:
    """
    Return what a call is expected to take of a quota; None if it is not counted there.

    0 if nobody can say how much: such a call is refused when nothing is left.
    """
    if not ask.events:
        return ZERO
    found = [taken for event in ask.events if (taken := _taken(quota.meter, event)) is not None]
    return sum(found, ZERO) if found else None


def _taken(meter: Meter, event: Event) -> Decimal | None:
    """Return what a meter would count of an event; what is not known yet is no filter."""
    facts = event.properties
    known = tuple(
        rule for rule in meter.filters if not facts.keys().isdisjoint(names_of(rule.key))
    )
    sample = (meter if known == meter.filters else replace(meter, filters=known)).sample(event)
    if sample is None or (sample.lacks_field and _is_measured(event)):
        return None  # of what is measured otherwise, it takes nothing
    return sample.quantity


def _is_measured(event: Event) -> bool:
    return not COUNTS.issuperset(event.usage)


@dataclass(frozen=True, slots=True)
class _Counted:
    gate: QuotaGate
    known: _Known
    number: int

    def settle(self, events: Sequence[Event]) -> None:
        """What the events say counts from now on."""
        if events:
            self.gate.ended(self.known, self.number)
        else:
            self.gate.forgotten(self.known, self.number)
