"""Which events a question is about: time, dimensions, billable or not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Connection, case, func, literal

from tokenmeter.engine.store.hours import within_hours
from tokenmeter.engine.store.keys import candidates
from tokenmeter.engine.store.packed import can_be_stored
from tokenmeter.engine.store.rows import LABELS
from tokenmeter.engine.store.schema import HOUR_US, events, label_sets, names
from tokenmeter.engine.store.sql import PropertyText
from tokenmeter.usage import METRICS

customers = names.alias("customers")
# What questions are asked of: events with their labels and their customer's name.
whole_events = events.join(label_sets, label_sets.c.id == events.c.labels_id).join(
    customers, customers.c.id == events.c.customer_id
)

# Every other name is a property of the event.
COLUMNS: Mapping[str, ColumnElement[Any]] = {
    "customer": customers.c.name,
    "event_name": label_sets.c.event_name,
    "event_id": events.c.event_id,
    "source": label_sets.c.source,
    "provider": label_sets.c.provider,
    "model": label_sets.c.model,
    "model_type": label_sets.c.model_type,
    "feature": label_sets.c.feature,
    "outcome": label_sets.c.outcome,
    "run_id": events.c.run_id,
    "call_id": events.c.call_id,
    "billable": case((label_sets.c.billable, "true"), else_="false"),
}


@dataclass(frozen=True, slots=True)
class Conditions:
    """
    A half-open time range and, for each dimension named, the values it may have.

    `environment` is where the events are stored, "" the unnamed one, None every one.
    """

    start_us: int | None = None  # inclusive
    end_us: int | None = None  # exclusive
    filters: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])
    environment: str | None = None


def dimension(name: str) -> ColumnElement[Any]:
    """Return the text of a dimension: a column's, or the property's, whose name is bound."""
    column = COLUMNS.get(name)
    if column is not None:
        return column
    own = PropertyText(events.c.rest, literal(name))
    if name in METRICS or name not in LABELS:
        return own
    return func.coalesce(PropertyText(label_sets.c.labels, literal(name)), own)


def where(connection: Connection, conditions: Conditions) -> list[ColumnElement[bool]]:
    """Return the conditions as SQL, all of which must hold."""
    found: list[ColumnElement[bool]] = []
    if conditions.start_us is not None:
        found.append(events.c.timestamp_us >= conditions.start_us)
        found.append(events.c.hour >= conditions.start_us // HOUR_US)  # for the index
    if conditions.end_us is not None:
        found.append(events.c.timestamp_us < conditions.end_us)
        found.append(events.c.hour <= (conditions.end_us - 1) // HOUR_US)
    if conditions.environment is not None:
        found.append(label_sets.c.environment == conditions.environment)
    customers = conditions.filters.get("customer", ())
    found += within_hours([(conditions.start_us, conditions.end_us)], len(customers))
    if "event_id" in conditions.filters:  # which has no index of its own
        found.append(events.c.id.in_(candidates(connection, conditions.filters["event_id"])))
    found += [among(dimension(name), values) for name, values in conditions.filters.items()]
    return found


def among(column: ColumnElement[Any], values: Iterable[str]) -> ColumnElement[bool]:
    """Ask for one of some texts; what nothing that is stored can hold is left out."""
    return column.in_([value for value in values if can_be_stored(value)])


def chosen(
    columns: Mapping[str, ColumnElement[Any]], equal: Mapping[str, Sequence[str]]
) -> list[ColumnElement[bool]]:
    """Ask for rows whose columns, by their fields' names, have one of the values."""
    return [among(columns[name], values) for name, values in equal.items()]
