"""What limits count of a call: expected before it, and put right by what it used."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from tokenmeter.enforcement.terms import Enforcement
from tokenmeter.event import Event

MoneyOf = Callable[[Event], Decimal | None]  # an event's charge, else its cost, if one is known
Part = tuple[str, str, datetime, Decimal]  # unit, key, window and what a limit counted there
Place = tuple[str, str, datetime]  # unit, key and window
ZERO = Decimal(0)
ENDS_MAX = 1_000  # of jobs that are remembered


class Counters(Protocol):
    """Counts by key and window; `add` and `taken_back` are atomic."""

    def add(self, key: str, window: datetime, amount: Decimal, most: Decimal) -> bool:
        """Add if the sum stays within `most`; say whether it did."""
        ...

    def correct(self, key: str, window: datetime, by: Decimal) -> None:
        """Add what may be negative, whatever the sum."""
        ...

    def keep(self, reference: str, parts: Sequence[Part]) -> None:
        """Remember what was counted for a job until its end."""
        ...

    def taken_back(self, reference: str) -> Sequence[Part]:
        """Return what was remembered, and forget it; nothing if nothing was."""
        ...


class Ends:
    """The last ends of jobs: one of several models has an event for each, which count together."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, tuple[list[Place], set[str]]] = OrderedDict()

    def begin(self, job: str, parts: Iterable[Part], event: Event) -> None:
        """Remember what its first event puts right."""
        places = [(unit, key, window) for unit, key, window, _ in parts if unit != "requests"]
        self._known[job] = places, {event.event_id}
        if len(self._known) > ENDS_MAX:
            self._known.popitem(last=False)

    def of(self, job: str, event: Event) -> list[Place]:
        """Return where a further event counts; nowhere if it was seen before."""
        places, seen = self._known.get(job, ([], {event.event_id}))
        if event.event_id in seen:
            return []
        seen.add(event.event_id)
        return places


@dataclass(frozen=True, slots=True)
class Priced:
    """What an event comes to, or what the terms say where nobody knows."""

    money_of: MoneyOf
    terms: Enforcement

    def __call__(self, event: Event) -> Decimal:
        found = self.money_of(event)
        if found is None:
            found = self.terms.without_price(event.properties.get("operation"))
        return found or ZERO


def put_right(
    counters: Counters, money_of: Priced, parts: list[Part], events: Sequence[Event]
) -> None:
    """Replace what was expected of a call by what its events say; what is done is taken out."""
    while parts:
        unit, key, window, expected = parts[-1]
        difference = _used(unit, events, money_of) - expected
        if difference:
            counters.correct(key, window, difference)
        parts.pop()  # if it is done again, this is done


def _used(unit: str, events: Sequence[Event], money_of: Priced) -> Decimal:
    """Return what a finished call took."""
    if unit == "requests":
        return Decimal(1) if events else ZERO
    if unit == "tokens":
        return sum((tokens_of(event.usage) for event in events), ZERO)
    return sum((money_of(event) for event in events if _is_billable(event)), ZERO)


def tokens_of(usage: Mapping[str, int | Decimal]) -> Decimal:
    """Return the tokens that count, of input and output."""
    return Decimal(usage.get("input_tokens", 0)) + Decimal(usage.get("output_tokens", 0))


def _is_billable(event: Event) -> bool:
    return event.properties.get("billable") != "false"
