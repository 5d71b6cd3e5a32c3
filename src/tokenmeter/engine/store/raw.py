"""The stored events themselves, one after the other, for what no rollup answers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from tokenmeter.engine.store.rows import moment
from tokenmeter.engine.store.schema import events

ROWS_PER_FETCH = 1_000


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of time, half-open, of the events of one environment."""

    environment: str
    start_us: int  # inclusive
    end_us: int  # exclusive
    customers: Sequence[str] | None = None  # None: all


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """What a meter sees of an event."""

    customer: str
    event_name: str
    event_id: str
    timestamp: datetime
    properties: dict[str, Any]


def scan(connection: Connection, stretch: Stretch, event_name: str) -> Iterator[StoredEvent]:
    """Yield the events of a name, blanks around it aside, in no order; memory stays flat."""
    named = connection.execute(select(events.c.event_name).distinct()).scalars()
    names = [name for name in named if name.strip() == event_name.strip()]
    query = select(
        events.c.customer,
        events.c.event_name,
        events.c.event_id,
        events.c.timestamp_us,
        events.c.properties,
    ).where(
        events.c.environment == stretch.environment,
        events.c.event_name.in_(names),
        events.c.timestamp_us >= stretch.start_us,
        events.c.timestamp_us < stretch.end_us,
    )
    if stretch.customers is not None:
        query = query.where(events.c.customer.in_(stretch.customers))
    rows = connection.execute(query, execution_options={"yield_per": ROWS_PER_FETCH})
    for customer, name, event_id, timestamp_us, properties in rows:
        yield StoredEvent(customer, name, event_id, moment(timestamp_us), json.loads(properties))
