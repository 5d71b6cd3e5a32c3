"""The events of few customers, found hour by hour: the index has the hour first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, func, select

from tokenmeter.engine.store.schema import HOUR_US, events

CUSTOMERS_MAX = 20  # looked for hour by hour; of more, every event in the time is looked at
LISTED_MAX = 500  # hours; of a longer time, those that have events are found first


def within_hours(
    ranges: Sequence[tuple[int | None, int | None]], customers: int
) -> Iterator[ColumnElement[bool]]:
    """
    Yield the condition that lets a question about some customers use the index.

    Ranges are half-open, in microseconds, None without an end; events outside of them may
    pass. The question itself names the customers.
    """
    if not 0 < customers <= CUSTOMERS_MAX:
        return
    listed = _listed(ranges)
    if listed is not None:
        yield events.c.hour.in_(listed)
        return
    starts, ends = zip(*ranges, strict=True)
    first = None if None in starts else min(starts) // HOUR_US
    last = None if None in ends else (max(ends) - 1) // HOUR_US
    yield events.c.hour.in_(_seen(first, last))


def _listed(ranges: Sequence[tuple[int | None, int | None]]) -> list[int] | None:
    found: set[int] = set()
    for start, end in ranges:
        if start is None or end is None or (end - start) // HOUR_US > LISTED_MAX:
            return None
        found.update(range(start // HOUR_US, (end - 1) // HOUR_US + 1))
    return sorted(found) if len(found) <= LISTED_MAX else None


def _seen(first: int | None, last: int | None) -> Select[Any]:
    """Find the hours that have events, each by one step in the index."""
    beginning = select(func.min(events.c.hour).label("hour"))
    if first is not None:
        beginning = beginning.where(events.c.hour >= first)
    seen = beginning.cte("seen", recursive=True)
    later = events.alias("later")
    following = select(func.min(later.c.hour)).where(later.c.hour > seen.c.hour)
    if last is not None:
        following = following.where(later.c.hour <= last)
    step = select(following.scalar_subquery()).where(seen.c.hour.is_not(None))
    steps = seen.union_all(step)
    return select(steps.c.hour).where(steps.c.hour.is_not(None))
