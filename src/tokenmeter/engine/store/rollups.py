"""Rollups in the tables: which meters are counted, and the cells of hours and days."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Table, and_, insert, or_, select, tuple_, update
from sqlalchemy.dialects import postgresql

from tokenmeter.engine.store.conditions import customers
from tokenmeter.engine.store.merging import merged_states
from tokenmeter.engine.store.rollup_schema import (
    rollup_combinations,
    rollup_days,
    rollup_families,
    rollup_hours,
    rollup_meters,
    rollup_version,
)
from tokenmeter.engine.store.schema import documents

CELLS_PER_QUERY = 500
ROWS_PER_FETCH = 1_000
COUNTING_KINDS = ("meter", "price")  # the documents that say what is counted

GRAINS: Mapping[str, Table] = {"hours": rollup_hours, "days": rollup_days}


Place = tuple[int, int, int, int]  # family, customer, hours or days since 1970, combination
_PLACE = ("family_id", "customer_id", "at", "combination_id")


class Counted(NamedTuple):
    """A meter that is counted, and since which event."""

    id: int
    family_id: int
    environment: str
    event_name: str
    keys: tuple[str, ...]
    definition: str
    live_after: int
    done_until: int

    @property
    def is_complete(self) -> bool:
        """Tell whether every event is in."""
        return self.done_until >= self.live_after


class Cell(NamedTuple):
    """What one meter counted in a cell, and of whom."""

    customer: str
    at: int
    combination_id: int
    labels: str
    state: list[Any]


class Wanted(NamedTuple):
    """Which cells to read of a counted meter; ranges are half-open, in the grain's units."""

    meter: Counted
    customer_ids: Sequence[int] | None  # None: all
    ranges: Sequence[tuple[int, int]]


def version(connection: Connection) -> int:
    """Return the number that rises with every change of a meter or a price."""
    found: int = connection.execute(select(rollup_version.c.version)).scalar_one()
    return found


def bump(connection: Connection) -> None:
    """Say that a meter or a price has changed."""
    connection.execute(update(rollup_version).values(version=rollup_version.c.version + 1))


def definitions(connection: Connection) -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    """Yield environment, kind, id and body of every meter and price, whatever its status."""
    columns = (documents.c.environment, documents.c.kind, documents.c.id, documents.c.body)
    query = select(*columns).where(documents.c.kind.in_(COUNTING_KINDS))
    for environment, kind, name, body in connection.execute(query.order_by(documents.c.id)):
        yield environment, kind, name, json.loads(body)


def counted(connection: Connection, environment: str | None = None) -> list[Counted]:
    """Return the meters that are counted, of one environment or of all."""
    query = _COUNTED
    if environment is not None:
        query = query.where(rollup_families.c.environment == environment)
    return [
        Counted(*row[:4], tuple(json.loads(row[4])), *row[5:]) for row in connection.execute(query)
    ]


def family_id(connection: Connection, environment: str, event_name: str, keys: str) -> int:
    """Return the number of a family, made if there is none."""
    place = {"environment": environment, "event_name": event_name, "keys": keys}
    same = and_(*(rollup_families.c[name] == value for name, value in place.items()))
    query = select(rollup_families.c.id).where(same)
    if connection.execute(query).first() is None:
        connection.execute(insert(rollup_families), place)
    found: int = connection.execute(query).scalar_one()
    return found


def start(connection: Connection, family: int, definition: str, live_after: int) -> None:
    """Count a meter from the events after `live_after` on."""
    row = {
        "family_id": family,
        "definition": definition,
        "live_after": live_after,
        "done_until": 0,
        "retired": False,
    }
    connection.execute(insert(rollup_meters), row)


def retire(connection: Connection, ids: Sequence[int]) -> None:
    """Count some meters no more."""
    chosen = update(rollup_meters).where(rollup_meters.c.id.in_(ids))
    connection.execute(chosen.values(retired=True))


def reach(connection: Connection, ids: Sequence[int], done_until: int) -> None:
    """Note up to which event some meters have counted what came before them."""
    chosen = update(rollup_meters).where(rollup_meters.c.id.in_(ids))
    connection.execute(chosen.values(done_until=done_until))


def add_cells(connection: Connection, grain: str, cells: Mapping[Place, str]) -> None:
    """
    Add what was counted to the cells; the text is JSON, by meter.

    The caller ingests (`Store.ingesting`): nobody else adds meanwhile.
    """
    table = GRAINS[grain]
    if connection.dialect.name == "sqlite":
        values = [(*key, states) for key, states in cells.items()]
        connection.exec_driver_sql(_MERGE.format(table=table.name), values)
        return
    keys = list(cells)
    for first in range(0, len(keys), CELLS_PER_QUERY):
        _add_some(connection, table, {key: cells[key] for key in keys[first:][:CELLS_PER_QUERY]})


def read_cells(connection: Connection, grain: str, wanted: Wanted) -> Iterator[Cell]:
    """Yield the cells that have something of the meter, in no order."""
    table = GRAINS[grain]
    name = str(wanted.meter.id)
    columns = (customers.c.name, table.c.at, rollup_combinations.c.id)
    query = (
        select(*columns, rollup_combinations.c.labels, table.c.states)
        .select_from(
            table.join(customers, customers.c.id == table.c.customer_id).join(
                rollup_combinations, rollup_combinations.c.id == table.c.combination_id
            )
        )
        .where(
            table.c.family_id == wanted.meter.family_id,
            or_(*(and_(table.c.at >= a, table.c.at < b) for a, b in wanted.ranges)),
        )
    )
    if wanted.customer_ids is not None:
        query = query.where(table.c.customer_id.in_(wanted.customer_ids))
    rows = connection.execute(query, execution_options={"yield_per": ROWS_PER_FETCH})
    for customer, at, combination_id, labels, states in rows:
        state = json.loads(states).get(name)
        if state is not None:
            yield Cell(customer, at, combination_id, labels, state)


def _add_some(connection: Connection, table: Table, cells: Mapping[Place, str]) -> None:
    columns = [table.c[name] for name in _PLACE]
    query = select(*columns, table.c.states).where(tuple_(*columns).in_(list(cells)))
    found: Any = connection.execute(query)
    stored = {tuple(row[:4]): row[4] for row in found}
    rows = [
        {
            **dict(zip(_PLACE, key, strict=True)),
            "states": merged_states(stored[key], told) if key in stored else told,
        }
        for key, told in cells.items()
    ]
    upsert = postgresql.insert(table)
    changed = {"states": upsert.excluded.states}
    connection.execute(upsert.on_conflict_do_update(index_elements=columns, set_=changed), rows)


_MERGE = (
    "INSERT INTO {table} (family_id, customer_id, at, combination_id, states) "
    "VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
    "states = merged_states(states, excluded.states)"
)
_COUNTED = (
    select(
        rollup_meters.c.id,
        rollup_meters.c.family_id,
        rollup_families.c.environment,
        rollup_families.c.event_name,
        rollup_families.c["keys"],
        rollup_meters.c.definition,
        rollup_meters.c.live_after,
        rollup_meters.c.done_until,
    )
    .join(rollup_families, rollup_families.c.id == rollup_meters.c.family_id)
    .where(rollup_meters.c.retired.is_(False))
    .order_by(rollup_meters.c.id)
)
