"""The cells of rollups: what was counted per customer, hour or day, and labels."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Table, and_, func, literal, or_, select, tuple_

from tokenmeter.engine.store.conditions import customers
from tokenmeter.engine.store.merging import merged_states
from tokenmeter.engine.store.rollup_schema import rollup_combinations, rollup_days, rollup_hours
from tokenmeter.engine.store.rollups import Counted

CELLS_PER_QUERY = 500
ROWS_PER_FETCH = 1_000
SEEKS_MAX = 20_000  # cells looked for one by one; more are read hour by hour, whoever's they are

GRAINS: Mapping[str, Table] = {"hours": rollup_hours, "days": rollup_days}

Place = tuple[int, int, int, int]  # family, hours or days since 1970, customer, combination
_PLACE = ("family_id", "at", "customer_id", "combination_id")


class Added(NamedTuple):
    """What a batch adds to cells of one family."""

    columns: Sequence[str]
    numbers: Mapping[Place, Sequence[int]]  # by `columns`
    states: Mapping[Place, str]  # JSON, by meter; cells may be in either, or in both


class Cell(NamedTuple):
    """What one meter counted in a cell, and of whom: in columns, and in states beside them."""

    customer: str
    at: int
    labels: str  # JSON
    counted: int
    total: int
    states: list[list[Any]]


class Wanted(NamedTuple):
    """
    Which cells to read of a counted meter; ranges are half-open, in the grain's units.

    `together` adds up what a customer has of the same labels, at its first moment.
    """

    meter: Counted
    customer_ids: Sequence[int] | None  # None: all
    ranges: Sequence[tuple[int, int]]
    together: bool


def columns_of(place: int) -> tuple[str, str]:
    """Return the columns of a meter: its count and its total."""
    return f"count_{place}", f"total_{place}"


def add_cells(connection: Connection, grain: str, added: Added) -> None:
    """
    Add what was counted to the cells.

    The caller ingests (`Store.ingesting`): nobody else adds meanwhile.
    """
    table = GRAINS[grain]
    if added.numbers:
        changes = [f"{name} = {table.name}.{name} + excluded.{name}" for name in added.columns]
        rows = [(*place, *numbers) for place, numbers in added.numbers.items()]
        _upsert(connection, table.name, (added.columns, changes), rows)
    if added.states:
        _add_states(connection, table, added.states)


def read_cells(connection: Connection, grain: str, wanted: Wanted) -> Iterator[Cell]:
    """Yield the cells that have something of the meter, in no order."""
    name = str(wanted.meter.id)
    found = _cells(GRAINS[grain], wanted).subquery()
    query = select(
        customers.c.name,
        found.c.at,
        rollup_combinations.c.labels,
        found.c.counted,
        found.c.total,
        found.c.states,
    ).select_from(
        found.join(customers, customers.c.id == found.c.customer_id).join(
            rollup_combinations, rollup_combinations.c.id == found.c.combination_id
        )
    )
    rows = connection.execute(query, execution_options={"yield_per": ROWS_PER_FETCH})
    for customer, at, labels, count, total, states in rows:
        told = [] if states is None else json.loads(f"[{states}]")
        own = [held[name] for held in told if name in held]
        if count or own:
            yield Cell(customer, at, labels, int(count), int(total), own)


def _cells(table: Table, wanted: Wanted) -> Any:
    count: ColumnElement[Any] = literal(0)
    total: ColumnElement[Any] = literal(0)
    if wanted.meter.place is not None:
        count, total = (table.c[name] for name in columns_of(wanted.meter.place))
    at: ColumnElement[Any] = table.c.at
    states: ColumnElement[Any] = table.c.states
    if wanted.together:
        at, count, total = func.min(at), func.sum(count), func.sum(total)
        states = func.aggregate_strings(states, ",")
    query = select(
        table.c.customer_id,
        table.c.combination_id,
        at.label("at"),
        count.label("counted"),
        total.label("total"),
        states.label("states"),
    ).where(table.c.family_id == wanted.meter.family_id, *_where(table, wanted))
    if wanted.together:
        query = query.group_by(table.c.customer_id, table.c.combination_id)
    return query


def _where(table: Table, wanted: Wanted) -> Iterator[ColumnElement[bool]]:
    """Seek single cells where these are few: a customer's lie apart."""
    ids = wanted.customer_ids
    moments = sum(last - first for first, last in wanted.ranges)
    if ids is not None and moments * len(ids) <= SEEKS_MAX:
        yield table.c.at.in_([at for first, last in wanted.ranges for at in range(first, last)])
    else:
        yield or_(*(and_(table.c.at >= a, table.c.at < b) for a, b in wanted.ranges))
    if ids is not None:
        yield table.c.customer_id.in_(ids)


def _add_states(connection: Connection, table: Table, states: Mapping[Place, str]) -> None:
    if connection.dialect.name == "sqlite":
        changes = [f"states = merged_states({table.name}.states, excluded.states)"]
    else:
        states = _merged(connection, table, states)
        changes = ["states = excluded.states"]
    rows = [(*place, told) for place, told in states.items()]
    _upsert(connection, table.name, (("states",), changes), rows)


def _merged(connection: Connection, table: Table, states: Mapping[Place, str]) -> dict[Place, str]:
    columns = [table.c[name] for name in _PLACE]
    places, merged = list(states), dict(states)
    for first in range(0, len(places), CELLS_PER_QUERY):
        some = tuple_(*columns).in_(places[first : first + CELLS_PER_QUERY])
        found: Any = connection.execute(select(*columns, table.c.states).where(some))
        for *place, told in found:
            at: Any = tuple(place)
            merged[at] = merged_states(told, merged[at])
    return merged


def _upsert(
    connection: Connection,
    table: str,
    columns: tuple[Iterable[str], Iterable[str]],
    rows: Sequence[tuple[Any, ...]],
) -> None:
    """Insert rows, or do the changes to those that are there; the driver gets them as is."""
    names, changes = columns
    listed = (*_PLACE, *names)
    sign = "?" if connection.dialect.name == "sqlite" else "%s"
    connection.exec_driver_sql(
        f"INSERT INTO {table} ({', '.join(listed)}) "  # noqa: S608 - our own names
        f"VALUES ({', '.join([sign] * len(listed))}) "
        f"ON CONFLICT ({', '.join(_PLACE)}) DO UPDATE SET {', '.join(changes)}",
        list(rows),
    )
