"""A customer's plan includes so much; beyond it a call is refused until the quota resets."""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
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
ARRIVES_S_MAX = 60.0  # an event that is not in the store by then is not waited for
LOOKS_MAX = 5  # at what is used, if events arrive meanwhile
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
Arrived = Callable[[Sequence[str]], frozenset[str]]


@dataclass(slots=True)
class _UnderWay:
    ask: Ask
    until_s: float  # counted so long at most
    events: frozenset[str] = frozenset()  # once it has ended, what is counted in its place


@dataclass(slots=True)
class _Known:
    """A customer's quotas as they were read, and what has been admitted since."""

    quotas: Sequence[Quota] = ()
    read_s: float = -math.inf
    under_way: dict[int, _UnderWay] = field(default_factory=dict[int, "_UnderWay"])


class QuotaGate:
    """
    Refuses with 429 what a hard limit of the customer's entitlements does not include.

    Calls under way count with what is expected of them, in this process; what other processes
    have under way counts when its events have arrived. `arrived` tells which events are stored.
    """

    def __init__(self, look: Look, arrived: Arrived, clock: Clock = time.monotonic) -> None:
        self._look = look
        self._arrived = arrived
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

    def ended(self, known: _Known, number: int, events: Sequence[Event]) -> None:
        """Let a call's estimate go as soon as its events have arrived."""
        with self._lock:
            call = known.under_way.get(number)
            if call is not None:
                self._waits_for(call, events)

    def forgotten(self, known: _Known, number: int) -> None:
        """Let the estimate of a call go that used nothing."""
        with self._lock:
            known.under_way.pop(number, None)

    def job_ended(self, event: Event) -> None:
        """Let the estimate of a job go, which has counted since its submit."""
        known_by = set(references(event))
        with self._lock:
            known = self._known.get(event.external_customer_id or "")
            for call in () if known is None else known.under_way.values():
                if call.ask.reference in known_by and not call.events:
                    self._waits_for(call, [event])
                    return

    def _waits_for(self, call: _UnderWay, events: Sequence[Event]) -> None:
        call.events = frozenset(event.event_id for event in events)
        call.until_s = self._clock() + ARRIVES_S_MAX

    def _of(self, customer: str) -> _Known:
        known = self._known.setdefault(customer, _Known())
        self._known.move_to_end(customer)
        if len(self._known) > CUSTOMERS_MAX:
            self._known.popitem(last=False)
        now_s = self._clock()
        if now_s - known.read_s > KNOWN_S:
            self._read(customer, known)
            known.read_s = now_s
        return known

    def _read(self, customer: str, known: _Known) -> None:
        """
        Read what is used, and let go of the calls that are in it.

        If events arrive while it is read, all is read again; after LOOKS_MAX their calls count
        twice until the next time.
        """
        awaited = {i for call in known.under_way.values() for i in call.events}
        there, looks = self._there(awaited), 0
        while True:
            before, looks = there, looks + 1
            known.quotas = self._look(customer, datetime.now(UTC))
            there = self._there(awaited)
            if there == before or looks == LOOKS_MAX:
                break
        now_s = self._clock()
        for number, call in tuple(known.under_way.items()):
            if now_s > call.until_s or (call.events and call.events <= before):
                del known.under_way[number]

    def _there(self, awaited: AbstractSet[str]) -> frozenset[str]:
        return self._arrived(tuple(awaited)) if awaited else frozenset()

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
            self.gate.ended(self.known, self.number, events)
        else:
            self.gate.forgotten(self.known, self.number)
