"""Which meters are counted in rollups, since when, and where in their cells."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, and_, insert, select, update

from tokenmeter.engine.store.bulk import run
from tokenmeter.engine.store.rollup_schema import (
    PLACES,
    rollup_families,
    rollup_meters,
    rollup_version,
)
from tokenmeter.engine.store.schema import documents

COUNTING_KINDS = ("meter", "price")  # the documents that say what is counted


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
    place: int | None  # of its columns; None: it is counted in states alone
    days_until: int  # its days from this one on are in their hours, as of this transaction

    @property
    def is_complete(self) -> bool:
        """Tell whether every event is in."""
        return self.done_until >= self.live_after


class Beginning(NamedTuple):
    """A meter that is to be counted from the events after `live_after` on."""

    family_id: int
    definition: str
    live_after: int
    fits_columns: bool


def version(connection: Connection) -> int:
    """Return the number that rises with every change of a meter or a price."""
    found: int = run(connection, "SELECT version FROM rollup_version").fetchone()[0]
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
        Counted._make([*row[:4], tuple(json.loads(row[4])), *row[5:]])
        for row in connection.execute(query)
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


def start(connection: Connection, wanted: Beginning) -> None:
    """Begin to count a meter, in columns if it fits and some are free."""
    family = rollup_meters.c.family_id == wanted.family_id
    taken = set(connection.execute(select(rollup_meters.c.place).where(family)).scalars())
    free = set(range(PLACES)) - taken if wanted.fits_columns else set[int]()
    row = {
        "family_id": wanted.family_id,
        "definition": wanted.definition,
        "live_after": wanted.live_after,
        "done_until": 0,
        "retired": False,
        "place": min(free, default=None),
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
        rollup_meters.c.place,
        rollup_families.c.days_until,
    )
    .join(rollup_families, rollup_families.c.id == rollup_meters.c.family_id)
    .where(rollup_meters.c.retired.is_(False))
    .order_by(rollup_meters.c.id)
)
