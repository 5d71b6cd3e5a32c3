"""Events into the tables, and pages of them out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Connection, Insert, Table, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite

from tokenmeter.engine.store.bulk import Insertion, insert_rows, run
from tokenmeter.engine.store.columns import Rows
from tokenmeter.engine.store.conditions import Conditions, customers, where, whole_events
from tokenmeter.engine.store.keys import Recent, add_keys, candidates, keys_of, stored_events
from tokenmeter.engine.store.packed import pack_all
from tokenmeter.engine.store.rows import to_event, to_row
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


@dataclass(frozen=True, slots=True)
class Numbered:
    """Rows, and the numbers that stand for their labels and customers."""

    rows: Rows
    labels_ids: Sequence[int]
    customer_ids: Sequence[int]

    def taken(self, places: Sequence[int]) -> Numbered:
        """Return those at some places."""
        labels, customers_ = self.labels_ids, self.customer_ids
        return Numbered(
            self.rows.taken(places),
            [labels[at] for at in places],
            [customers_[at] for at in places],
        )


def insert_new(
    connection: Connection, recent: Recent, environment_id: int, found: Numbered
) -> Numbered:
    """
    Insert the rows whose event id is new in their environment; return those.

    The caller ingests (`Store.ingesting`): nobody else inserts meanwhile. No two rows may have
    one id.
    """
    ids = pack_all(found.rows.event_ids)
    keys = keys_of(ids)
    held = stored_events(connection, keys, recent)
    if held:
        copies = _ids_of(connection, [event for events in held.values() for event in events])
        names_ = found.rows.event_ids
        kept = [at for at, name in enumerate(names_) if (environment_id, name) not in copies]
        found, ids, keys = found.taken(kept), [ids[at] for at in kept], [keys[at] for at in kept]
    if ids:
        first = last_id(connection) + 1
        _insert_events(connection, range(first, first + len(ids)), ids, (environment_id, found))
        add_keys(connection, recent, first, keys)
    return found


def _ids_of(connection: Connection, numbers: Sequence[int]) -> set[tuple[int, str]]:
    """Return the environments and ids of some events."""
    found: set[tuple[int, str]] = set()
    for some in _slices(numbers, IDS_PER_QUERY):
        query = select(events.c.environment_id, events.c.event_id).where(events.c.id.in_(some))
        found |= {(place, name) for place, name in connection.execute(query)}
    return found


def last_id(connection: Connection) -> int:
    """Return the number of the event that arrived last, 0 if there is none."""
    last: int | None = run(connection, _LAST).fetchone()[0]
    return last or 0


def numbered_between(connection: Connection, after: int, until: int) -> Numbered:
    """Return the events that arrived after one and until another, as they were inserted."""
    numbers = (events.c.labels_id, events.c.customer_id)
    query = _select().add_columns(*numbers, label_sets.c.environment)
    query = query.where(events.c.id > after, events.c.id <= until)
    found = list(connection.execute(query).mappings())
    return Numbered(
        Rows.of([to_row(to_event(dict(row)), row["environment"]) for row in found]),
        [row["labels_id"] for row in found],
        [row["customer_id"] for row in found],
    )


def insert_conflicts(connection: Connection, conflicts: Iterable[Conflict]) -> int:
    """Keep each conflict once; return how many were new."""
    found = [conflict._asdict() for conflict in conflicts]
    if not found:
        return 0
    statement = _if_new(connection, event_conflicts)
    result = connection.execution_options(preserve_rowcount=True).execute(statement, found)
    return result.rowcount


def stored_copies(
    connection: Connection,
    environment: str,
    event_ids: Iterable[str],
    recent: Recent | None = None,
) -> dict[str, dict[str, Any]]:
    """Return the stored rows of these ids, by id; who ingests knows the recent keys."""
    environment_id = select(names.c.id).where(names.c.name == environment).scalar_subquery()
    wanted = frozenset(event_ids)
    found: dict[str, dict[str, Any]] = {}
    for some in _slices(candidates(connection, wanted, recent), IDS_PER_QUERY):
        query = _select().where(events.c.environment_id == environment_id, events.c.id.in_(some))
        rows = connection.execute(query).mappings()
        found |= {row["event_id"]: dict(row) for row in rows if row["event_id"] in wanted}
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
    query = _select().where(*where(connection, conditions))
    columns = (events.c.timestamp_us, events.c.id)
    if after is not None:
        place, here, hour = tuple_(*columns), tuple_(*after), after.timestamp_us // HOUR_US
        query = query.where(place > here if oldest_first else place < here)
        query = query.where(events.c.hour >= hour if oldest_first else events.c.hour <= hour)
    in_time = (events.c.hour, *columns)  # the hour is what the index is of
    order = in_time if oldest_first else [column.desc() for column in in_time]
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


_LAST = "SELECT max(id) FROM events"
_COLUMNS = (
    "id",
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
_INTO = Insertion("events", _COLUMNS, tuple(range(len(_COLUMNS))))


def _insert_events(
    connection: Connection,
    numbers: Sequence[int],
    ids: Sequence[bytes],
    found: tuple[int, Numbered],
) -> None:
    environment_id, numbered = found
    rows = numbered.rows
    values = zip(
        numbers,
        repeat(environment_id, len(ids)),
        numbered.labels_ids,
        numbered.customer_ids,
        rows.timestamps_us,
        ids,
        _packed(rows.run_ids),
        _packed(rows.call_ids),
        rows.rests,
        [timestamp_us // HOUR_US for timestamp_us in rows.timestamps_us],
        strict=True,
    )
    insert_rows(connection, _INTO, values)


def _packed(ids: Sequence[str | None]) -> Sequence[bytes | None]:
    packed = iter(pack_all([name for name in ids if name is not None]))
    return [None if name is None else next(packed) for name in ids]


def _if_new(connection: Connection, table: Table) -> Insert:
    if connection.dialect.name == "postgresql":
        return postgresql.insert(table).on_conflict_do_nothing()
    return sqlite.insert(table).on_conflict_do_nothing()


def _slices(items: Sequence[Item], size: int) -> Iterable[Sequence[Item]]:
    return (items[first : first + size] for first in range(0, len(items), size))
