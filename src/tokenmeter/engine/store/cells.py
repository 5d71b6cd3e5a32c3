"""The cells of rollups: what was counted per customer, hour or day, and labels."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from operator import add
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Table, and_, func, literal, or_, select, tuple_

from tokenmeter.engine.store.bulk import Insertion, insert_rows
from tokenmeter.engine.store.conditions import customers
from tokenmeter.engine.store.merging import merged_states
from tokenmeter.engine.store.rollup_schema import (
    PLACES,
    rollup_combinations,
    rollup_days,
    rollup_hours,
)
from tokenmeter.engine.store.rollups import Counted

CELLS_PER_QUERY = 500
ROWS_PER_FETCH = 1_000
SEEKS_MAX = 20_000  # cells looked for one by one; more are read hour by hour, whoever's they are

GRAINS: Mapping[str, Table] = {"hours": rollup_hours, "days": rollup_days}

Place = tuple[int, int, int, int]  # family, hours or days since 1970, customer, combination
PLACE = ("family_id", "at", "customer_id", "combination_id")


class Added(NamedTuple):
    """What a batch adds to cells of one family; the columns that it does not name keep theirs."""

    alike: Sequence[str]  # columns that all take the first of the numbers
    columns: Sequence[str]  # columns that take one each, in this order, after that
    numbers: Mapping[Place, tuple[int, ...]]
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
        change = "{name} = {table}.{name} + excluded.{name}"
        names = (*added.alike, *added.columns)
        first = bool(added.alike)
        takes = [0] * len(added.alike) + list(range(first, first + len(added.columns)))
        rows: Iterator[Any] = map(add, added.numbers.keys(), added.numbers.values())
        insert_rows(connection, _upsert(table.name, names, tuple(takes), change), rows)
    if added.states:
        add_states(connection, table, added.states)


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


def add_states(connection: Connection, table: Table, states: Mapping[Place, str]) -> None:
    """Add to what the columns do not hold."""
    if connection.dialect.name == "sqlite":
        change = "{name} = merged_states({table}.{name}, excluded.{name})"
    else:
        states = _merged(connection, table, states)
        change = "{name} = excluded.{name}"
    rows = [(*place, told) for place, told in states.items()]
    insert_rows(connection, _upsert(table.name, ("states",), (0,), change), rows)


def _merged(connection: Connection, table: Table, states: Mapping[Place, str]) -> dict[Place, str]:
    columns = [table.c[name] for name in PLACE]
    places, merged = list(states), dict(states)
    for first in range(0, len(places), CELLS_PER_QUERY):
        some = tuple_(*columns).in_(places[first : first + CELLS_PER_QUERY])
        found: Any = connection.execute(select(*columns, table.c.states).where(some))
        for *place, told in found:
            at: Any = tuple(place)
            merged[at] = merged_states(told, merged[at])
    return merged


def _upsert(
    table: str, columns: tuple[str, ...], takes: tuple[int, ...], change: str
) -> Insertion:
    """Say how to insert cells, or do the change to those that are there."""
    changes = [change.format(table=table, name=name) for name in columns]
    return Insertion(
        table,
        (*PLACE, *columns),
        (*range(len(PLACE)), *(len(PLACE) + at for at in takes)),
        f"ON CONFLICT ({', '.join(PLACE)}) DO UPDATE SET {', '.join(changes)}",
        tuple(name for name in NUMBERS if name not in columns),
    )


NUMBERS = [name for place in range(PLACES) for name in columns_of(place)]
