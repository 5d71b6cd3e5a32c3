"""Sums over events: by group and window, and single quantities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Text,
    and_,
    case,
    cast,
    distinct,
    func,
    literal,
    literal_column,
    select,
    true,
)

from tokenmeter.engine.store.conditions import Conditions, dimension, where, whole_events
from tokenmeter.engine.store.exact import number
from tokenmeter.engine.store.rows import COST
from tokenmeter.engine.store.schema import events, label_sets
from tokenmeter.engine.store.sql import (
    AtLeastZero,
    ExactLargest,
    ExactTotal,
    HexText,
    MembersTotal,
    MonthStart,
    members,
)
from tokenmeter.usage import Number

Window = Literal["minute", "hour", "day", "month"]
Aggregation = Literal["COUNT", "SUM", "AVG", "MAX", "LATEST", "COUNT_UNIQUE"]
Group = tuple[str | None, ...]  # one value per dimension; None where an event has none

_WINDOW_US = {"minute": 60_000_000, "hour": 3_600_000_000, "day": 86_400_000_000}


@dataclass(frozen=True, slots=True)
class Grouping:
    """How rows are put together: by dimensions, and by a time window if one is named."""

    by: tuple[str, ...] = ()
    window: Window | None = None


class Key(NamedTuple):
    """The group and the start of the window that a sum belongs to."""

    window_us: int | None
    group: Group


class Counts(NamedTuple):
    """What is counted per group; the order is that of `_counts()`."""

    events: int
    billable: int
    attempts: int
    retries: int
    failed: int
    unpriced: int
    cost: str | None


def counts(
    connection: Connection, conditions: Conditions, grouping: Grouping
) -> dict[Key, Counts]:
    """Count events and attempts and add up their cost, per group."""
    keys, names = _keys(grouping)
    query = select(*keys, *_counts()).select_from(whole_events)
    query = query.where(*where(connection, conditions)).group_by(*names)
    width = len(keys)
    return {
        _key(row[:width]): Counts(*row[width:])
        for row in connection.execute(query)
        if row[width]  # without groups, no event at all is still one row
    }


def sums(
    connection: Connection,
    conditions: Conditions,
    grouping: Grouping,
    *,
    metrics: Sequence[str],
) -> dict[Key, dict[str, Number]]:
    """Add up the metrics that the events report, per group."""
    keys, names = _keys(grouping)
    entry = members(events.c.rest)
    query = (
        select(*keys, entry.c.key, MembersTotal(entry.c.value))
        .select_from(whole_events.join(entry, true()))
        .where(*where(connection, conditions), entry.c.key.in_(metrics))
        .group_by(*names, entry.c.key)
    )
    found: dict[Key, dict[str, Number]] = {}
    for row in connection.execute(query):
        *key, metric, total = tuple(row)
        exact = number(total)
        if exact is not None:
            found.setdefault(_key(key), {})[metric] = exact
    return found


def quantity(
    connection: Connection, conditions: Conditions, *, aggregation: Aggregation, field: str
) -> Number | None:
    """Aggregate one property of the events; None where there is nothing to aggregate."""
    value = dimension(field)
    clamped = AtLeastZero(value)  # Flexprice's rule: a negative quantity counts as 0
    answers: Mapping[Aggregation, ColumnElement[Any]] = {
        "COUNT": func.count(),
        "SUM": ExactTotal(clamped),
        "AVG": ExactTotal(clamped),
        "MAX": ExactLargest(clamped),
        "COUNT_UNIQUE": func.count(distinct(value)),
        "LATEST": clamped,
    }
    query = (
        select(answers[aggregation])
        .select_from(whole_events)
        .where(*where(connection, conditions))
    )
    if aggregation == "LATEST":
        in_time = (events.c.hour, events.c.timestamp_us, events.c.id)
        query = query.order_by(*(column.desc() for column in in_time)).limit(1)
    return number(connection.execute(query).scalar())


def has_property(connection: Connection, name: str) -> bool:
    """Say whether any event carries the property."""
    query = select(literal(1)).select_from(whole_events)
    query = query.where(dimension(name).is_not(None)).limit(1)
    return connection.execute(query).first() is not None


def _counts() -> tuple[ColumnElement[Any], ...]:
    # Several events may tell of one attempt (the shape `tokens_total`); without a call id an
    # event is an attempt of its own.
    call = HexText(events.c.call_id) + "#" + dimension("attempt")
    attempt = func.coalesce(call, cast(events.c.id, Text))
    failed = label_sets.c.outcome == "failed"
    unused = func.coalesce(dimension("usage_source"), "missing") == "missing"
    cost = dimension(COST)
    # A failed attempt without usage costs nothing; anything else without a cost lacks a price.
    unpriced = and_(cost.is_(None), ~and_(func.coalesce(failed, False), unused))
    return (
        func.count(),
        func.coalesce(func.sum(case((label_sets.c.billable, 1), else_=0)), 0),
        func.count(distinct(attempt)),
        func.count(distinct(case((dimension("is_retry") == "true", attempt)))),
        func.count(distinct(case((failed, attempt)))),
        func.coalesce(func.sum(case((unpriced, 1), else_=0)), 0),
        ExactTotal(cost),
    )


def _keys(grouping: Grouping) -> tuple[list[ColumnElement[Any]], list[ColumnElement[Any]]]:
    """Return the key columns (the window first, if any) and their names for GROUP BY."""
    columns = [dimension(name) for name in grouping.by]
    start = _window_start(grouping.window) if grouping.window else cast(None, BigInteger)
    labelled = [column.label(f"key_{i}") for i, column in enumerate((start, *columns))]
    return [*labelled], [literal_column(f"key_{i}") for i in range(len(labelled))]


def _window_start(window: Window) -> ColumnElement[Any]:
    instant = events.c.timestamp_us
    if window == "month":
        return MonthStart(instant)
    return instant - instant % _WINDOW_US[window]


def _key(row: Sequence[Any]) -> Key:
    return Key(row[0], tuple(row[1:]))
