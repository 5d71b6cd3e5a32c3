"""Events into the tables, and pages of them out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Connection, Insert, Table, func, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite

from tokenmeter.engine.store.conditions import Conditions, customers, where, whole_events
from tokenmeter.engine.store.packed import pack
from tokenmeter.engine.store.rows import Row, to_event, to_row
from tokenmeter.engine.store.schema import HOUR_US, event_conflicts, events, label_sets, names

IDS_PER_QUERY = 500

Item = TypeVar("Item")


class Place(NamedTuple):
    """Where a page ended: the next one goes on from it."""

    timestamp_us: int
    row_id: int


class Conflict(NamedTuple):
    """A copy of a stored event that said something else; the stored event was kept."""

    environment: str
    event_id: str
    difference: str


class Numbered(NamedTuple):
    """A row and the numbers that stand for its environment, labels and customer."""

    row: Row
    environment_id: int
    labels_id: int
    customer_id: int


def insert_new(connection: Connection, rows: Sequence[Numbered]) -> Sequence[Numbered]:
    """
    Insert the rows whose event id is new in its environment; return those.

    The caller ingests (`Store.ingesting`): nobody else inserts meanwhile.
    """
    last = last_id(connection)
    if _insert_events(connection, rows) == len(rows):
        return rows
    query = select(events.c.environment_id, events.c.event_id).where(events.c.id > last)
    new = {tuple(found) for found in connection.execute(query)}
    return [r for r in rows if (r.environment_id, r.row.event_id) in new]


def last_id(connection: Connection) -> int:
    """Return the number of the event that arrived last, 0 if there is none."""
    return connection.execute(select(func.max(events.c.id))).scalar() or 0


def numbered_between(connection: Connection, after: int, until: int) -> list[Numbered]:
    """Return the events that arrived after one and until another, as they were inserted."""
    numbers = (events.c.environment_id, events.c.labels_id, events.c.customer_id)
    query = _select().add_columns(*numbers, label_sets.c.environment)
    query = query.where(events.c.id > after, events.c.id <= until)
    return [
        Numbered(
            to_row(to_event(dict(row)), row["environment"]),
            row["environment_id"],
            row["labels_id"],
            row["customer_id"],
        )
        for row in connection.execute(query).mappings()
    ]


def insert_conflicts(connection: Connection, conflicts: Iterable[Conflict]) -> int:
    """Keep each conflict once; return how many were new."""
    found = [conflict._asdict() for conflict in conflicts]
    if not found:
        return 0
    statement = _if_new(connection, event_conflicts)
    result = connection.execution_options(preserve_rowcount=True).execute(statement, found)
    return result.rowcount


def stored_copies(
    connection: Connection, environment: str, event_ids: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Return the stored rows of these ids, by id."""
    environment_id = select(names.c.id).where(names.c.name == environment).scalar_subquery()
    found: dict[str, dict[str, Any]] = {}
    for ids in _slices(event_ids, IDS_PER_QUERY):
        query = _select().where(
            events.c.environment_id == environment_id, events.c.event_id.in_(ids)
        )
        found |= {row["event_id"]: dict(row) for row in connection.execute(query).mappings()}
    return found


def page(
    connection: Connection,
    conditions: Conditions,
    *,
    limit: int,
    after: Place | None,
    oldest_first: bool = False,
) -> list[dict[str, Any]]:
    """Return up to `limit` rows in the order of time; rows of one instant in that of arrival."""
    query = _select().where(*where(conditions))
    columns = (events.c.timestamp_us, events.c.id)
    if after is not None:
        place, here = tuple_(*columns), tuple_(*after)
        query = query.where(place > here if oldest_first else place < here)
    order = columns if oldest_first else [column.desc() for column in columns]
    query = query.order_by(*order).limit(limit)
    return [dict(row) for row in connection.execute(query).mappings()]


def conflicts(connection: Connection, *, limit: int) -> list[Conflict]:
    """Return up to `limit` conflicts, newest first."""
    columns = (getattr(event_conflicts.c, name) for name in Conflict._fields)
    query = select(*columns).order_by(event_conflicts.c.id.desc()).limit(limit)
    return [Conflict(*row) for row in connection.execute(query)]


def _select() -> Any:
    return select(
        events.c.id,
        events.c.event_id,
        events.c.timestamp_us,
        events.c.run_id,
        events.c.call_id,
        events.c.rest,
        label_sets.c.event_name,
        label_sets.c.source,
        label_sets.c.labels,
        customers.c.name.label("customer"),
    ).select_from(whole_events)


_COLUMNS = (
    "environment_id",
    "labels_id",
    "customer_id",
    "timestamp_us",
    "event_id",
    "run_id",
    "call_id",
    "rest",
    "hour",
)


def _insert_events(connection: Connection, rows: Sequence[Numbered]) -> int:
    # The hottest statement: its values go to the driver as they are, since processing each of
    # them costs more than the insert itself.
    values = [
        (
            environment_id,
            labels_id,
            customer_id,
            row.timestamp_us,
            pack(row.event_id),
            None if row.run_id is None else pack(row.run_id),
            None if row.call_id is None else pack(row.call_id),
            row.rest,
            row.timestamp_us // HOUR_US,
        )
        for row, environment_id, labels_id, customer_id in rows
    ]
    sign = "?" if connection.dialect.name == "sqlite" else "%s"
    statement = (
        f"INSERT INTO events ({', '.join(_COLUMNS)}) "  # noqa: S608 - our own names
        f"VALUES ({', '.join([sign] * len(_COLUMNS))}) ON CONFLICT DO NOTHING"
    )
    options = connection.execution_options(preserve_rowcount=True)
    return options.exec_driver_sql(statement, values).rowcount


def _if_new(connection: Connection, table: Table) -> Insert:
    if connection.dialect.name == "postgresql":
        return postgresql.insert(table).on_conflict_do_nothing()
    return sqlite.insert(table).on_conflict_do_nothing()


def _slices(items: Sequence[Item], size: int) -> Iterable[Sequence[Item]]:
    return (items[first : first + size] for first in range(0, len(items), size))
