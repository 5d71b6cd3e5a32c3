"""Events into the tables, and pages of them out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Connection, Table, select, tuple_
from sqlalchemy.dialects import sqlite

from tokenmeter.engine.store.conditions import Conditions, where
from tokenmeter.engine.store.rows import Row
from tokenmeter.engine.store.schema import event_conflicts, events

IDS_PER_QUERY = 500

Item = TypeVar("Item")


class Place(NamedTuple):
    """Where a page ended: the next one starts before it."""

    timestamp_us: int
    row_id: int


class Conflict(NamedTuple):
    """A copy of a stored event that said something else; the stored event was kept."""

    environment: str
    event_id: str
    difference: str


def insert_new(connection: Connection, rows: Sequence[Row]) -> int:
    """Insert the rows whose event id is new in its environment; return how many were."""
    return _insert_missing(connection, events, rows)


def insert_conflicts(connection: Connection, conflicts: Iterable[Conflict]) -> int:
    """Keep each conflict once; return how many were new."""
    found = [conflict._asdict() for conflict in conflicts]
    return _insert_missing(connection, event_conflicts, found) if found else 0


def stored_copies(
    connection: Connection, environment: str, event_ids: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Return the stored rows of these ids, by id."""
    found: dict[str, dict[str, Any]] = {}
    for ids in _slices(event_ids, IDS_PER_QUERY):
        query = select(events).where(
            events.c.environment == environment, events.c.event_id.in_(ids)
        )
        found |= {row["event_id"]: dict(row) for row in connection.execute(query).mappings()}
    return found


def newest(
    connection: Connection, conditions: Conditions, *, limit: int, before: Place | None
) -> list[dict[str, Any]]:
    """Return up to `limit` rows, newest first; rows of one instant in order of arrival."""
    query = select(events).where(*where(conditions))
    if before is not None:
        query = query.where(tuple_(events.c.timestamp_us, events.c.id) < tuple_(*before))
    query = query.order_by(events.c.timestamp_us.desc(), events.c.id.desc()).limit(limit)
    return [dict(row) for row in connection.execute(query).mappings()]


def conflicts(connection: Connection, *, limit: int) -> list[Conflict]:
    """Return up to `limit` conflicts, newest first."""
    columns = (getattr(event_conflicts.c, name) for name in Conflict._fields)
    query = select(*columns).order_by(event_conflicts.c.id.desc()).limit(limit)
    return [Conflict(*row) for row in connection.execute(query)]


def _insert_missing(
    connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]
) -> int:
    insert = sqlite.insert(table).on_conflict_do_nothing()
    result = connection.execution_options(preserve_rowcount=True).execute(insert, rows)
    return result.rowcount


def _slices(items: Sequence[Item], size: int) -> Iterable[Sequence[Item]]:
    return (items[first : first + size] for first in range(0, len(items), size))
