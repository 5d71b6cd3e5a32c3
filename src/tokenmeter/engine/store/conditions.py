"""Which events a question is about: time, dimensions, billable or not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, case, func, literal

from tokenmeter.engine.store.schema import events
from tokenmeter.engine.store.sql import PropertyText

# Every other name is a property of the event.
COLUMNS: Mapping[str, ColumnElement[Any]] = {
    "customer": events.c.customer,
    "environment": func.nullif(events.c.environment, ""),
    "event_name": events.c.event_name,
    "event_id": events.c.event_id,
    "source": events.c.source,
    "provider": events.c.provider,
    "model": events.c.model,
    "model_type": events.c.model_type,
    "feature": events.c.feature,
    "outcome": events.c.outcome,
    "run_id": events.c.run_id,
    "call_id": events.c.call_id,
    "billable": case((events.c.billable, "true"), else_="false"),
}


@dataclass(frozen=True, slots=True)
class Conditions:
    """
    A half-open time range and, for each dimension named, the values it may have.

    `environment` None is every one, "" those events that have none.
    """

    start_us: int | None = None  # inclusive
    end_us: int | None = None  # exclusive
    filters: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])
    environment: str | None = None


def dimension(name: str) -> ColumnElement[Any]:
    """Return the text of a dimension: a column's, or the property's, whose name is bound."""
    column = COLUMNS.get(name)
    return PropertyText(events.c.properties, literal(name)) if column is None else column


def where(conditions: Conditions) -> list[ColumnElement[bool]]:
    """Return the conditions as SQL, all of which must hold."""
    found: list[ColumnElement[bool]] = []
    if conditions.start_us is not None:
        found.append(events.c.timestamp_us >= conditions.start_us)
    if conditions.end_us is not None:
        found.append(events.c.timestamp_us < conditions.end_us)
    if conditions.environment is not None:
        found.append(func.coalesce(COLUMNS["environment"], "") == conditions.environment)
    for name, values in conditions.filters.items():
        found.append(dimension(name).in_(values))
    return found
