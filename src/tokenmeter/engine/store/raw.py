"""The stored events themselves, one after the other, for what no rollup answers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, or_, select

from tokenmeter.engine.store.conditions import customers, whole_events
from tokenmeter.engine.store.hours import within_hours
from tokenmeter.engine.store.interning import numbers_of
from tokenmeter.engine.store.rows import moment
from tokenmeter.engine.store.schema import HOUR_US, events, label_sets

ROWS_PER_FETCH = 1_000
RANGES_PER_QUERY = 100
LABELS_KEPT_MAX = 10_000  # parsed label sets


@dataclass(frozen=True, slots=True)
class Range:
    """A stretch of time, half-open, in microseconds."""

    start_us: int  # inclusive
    end_us: int  # exclusive


@dataclass(frozen=True, slots=True)
class Stretch:
    """Stretches of time of the events of one name in one environment."""

    environment: str
    event_name: str
    ranges: Sequence[Range]
    customers: Sequence[str] | None = None  # None: all


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """What a meter sees of an event."""

    customer: str
    event_name: str
    event_id: str
    timestamp: datetime
    properties: dict[str, Any]
    source: str


def scan(connection: Connection, stretch: Stretch) -> Iterator[StoredEvent]:
    """Yield the events of a stretch, in no order; memory stays flat."""
    ids = None if stretch.customers is None else numbers_of(connection, stretch.customers)
    if ids is not None and not ids:
        return
    base = _EVENTS.where(
        label_sets.c.environment == stretch.environment,
        label_sets.c.event_name == stretch.event_name.strip(),
    )
    if ids is not None:
        base = base.where(events.c.customer_id.in_(ids))
    for first in range(0, len(stretch.ranges), RANGES_PER_QUERY):
        some = stretch.ranges[first : first + RANGES_PER_QUERY]
        told = [(part.start_us, part.end_us) for part in some]
        hours = within_hours(told, len(ids or ()))
        yield from rows(connection, base.where(or_(*(_within(part) for part in some)), *hours))


def rows(connection: Connection, query: Any) -> Iterator[StoredEvent]:
    """Yield the events of a query that selects what `_EVENTS` does."""
    parsed: dict[int, dict[str, Any]] = {}
    found: Any = connection.execute(query, execution_options={"yield_per": ROWS_PER_FETCH})
    for row in found:
        customer, name, event_id, timestamp_us, run_id, call_id, rest, *labelled = row
        labels_id, labels, source = labelled
        if labels_id not in parsed:
            if len(parsed) >= LABELS_KEPT_MAX:
                parsed.clear()
            parsed[labels_id] = json.loads(labels)
        properties = {**parsed[labels_id], **json.loads(rest)}
        if run_id is not None:
            properties["run_id"] = run_id
        if call_id is not None:
            properties["call_id"] = call_id
        yield StoredEvent(customer, name, event_id, moment(timestamp_us), properties, source)


def _within(part: Range) -> Any:
    return and_(
        events.c.timestamp_us >= part.start_us,
        events.c.timestamp_us < part.end_us,
        events.c.hour >= part.start_us // HOUR_US,  # for the index
        events.c.hour <= (part.end_us - 1) // HOUR_US,
    )


_EVENTS = select(
    customers.c.name,
    label_sets.c.event_name,
    events.c.event_id,
    events.c.timestamp_us,
    events.c.run_id,
    events.c.call_id,
    events.c.rest,
    events.c.labels_id,
    label_sets.c.labels,
    label_sets.c.source,
).select_from(whole_events)
