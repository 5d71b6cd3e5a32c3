"""Cells in columns and in the order of time; events by the hour, and ids by their keys."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op

from tokenmeter.engine.store.keys import keys_of
from tokenmeter.errors import StoreError

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

ROWS_PER_COPY = 1_000
KEYS_PER_COPY = 100_000
PLACES = 8
WHOLE_MAX = 2**32
HOUR_US = 3_600_000_000
_NEW = "events_r0007"
_CELLS = ("rollup_hours", "rollup_days")
_KINDS = {0, 1}  # of states: a count; a count and a sum


def upgrade() -> None:
    """Give the meters their columns, and move the cells to them."""
    connection = op.get_bind()
    _events(connection)
    _keys(connection)
    op.add_column("rollup_meters", sa.Column("place", sa.Integer))
    places = _places(connection)
    chosen = sa.text("UPDATE rollup_meters SET place = :place WHERE id = :id")
    for meter, place in places.items():
        connection.execute(chosen, {"id": int(meter), "place": place})
    for name in _CELLS:
        old = f"{name}_r0005"
        op.rename_table(name, old)
        if connection.dialect.name == "postgresql":  # which does not rename it along
            op.execute(f"ALTER INDEX {name}_pkey RENAME TO {old}_pkey")
        table = _cells(name)
        for rows in _batches(connection, old, places):
            connection.execute(sa.insert(table), rows)
        op.drop_table(old)


def downgrade() -> None:
    """Refuse: an older version could not read what was counted since."""
    raise StoreError("rollups cannot be moved back to the layout of an older version")


def _events(connection: sa.Connection) -> None:
    if connection.dialect.name == "postgresql":
        op.add_column("events", sa.Column("hour", sa.Integer, nullable=False, server_default="0"))
        op.execute(f"UPDATE events SET hour = timestamp_us / {HOUR_US}")  # noqa: S608 - a number
        op.drop_constraint("uq_events_event_id", "events")
        op.drop_index("ix_events_customer_timestamp", "events")
        op.drop_index("ix_events_timestamp", "events")
    else:  # which drops no constraint
        _rebuilt()
    op.create_index("ix_events_hour_customer", "events", ["hour", "customer_id"])


def _rebuilt() -> None:
    op.create_table(
        _NEW,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("environment_id", sa.Integer, nullable=False),
        sa.Column("labels_id", sa.Integer, nullable=False),
        sa.Column("customer_id", sa.Integer, nullable=False),
        sa.Column("timestamp_us", sa.BigInteger, nullable=False),
        sa.Column("event_id", sa.LargeBinary, nullable=False),
        sa.Column("run_id", sa.LargeBinary),
        sa.Column("call_id", sa.LargeBinary),
        sa.Column("rest", sa.Text, nullable=False),
        sa.Column("hour", sa.Integer, nullable=False, server_default="0"),
    )
    columns = "id, environment_id, labels_id, customer_id, timestamp_us, event_id, run_id, call_id"
    op.execute(
        f"INSERT INTO {_NEW} SELECT {columns}, rest, timestamp_us / {HOUR_US} "  # noqa: S608
        "FROM events ORDER BY id"
    )
    op.drop_table("events")
    op.rename_table(_NEW, "events")


def _keys(connection: sa.Connection) -> None:
    """Sort the keys of all events in; none is aside."""
    table = op.create_table(
        "event_keys",
        sa.Column("key", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("event_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "event_tails",
        sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("first_event", sa.BigInteger, nullable=False),
        sa.Column("keys", sa.LargeBinary, nullable=False),
    )
    query = sa.text("SELECT id, event_id FROM events ORDER BY id")
    found = connection.execute(query, execution_options={"yield_per": KEYS_PER_COPY})
    for part in found.partitions():
        numbers, packed = zip(*part, strict=True)
        keys = sorted(zip(keys_of([bytes(name) for name in packed]), numbers, strict=True))
        rows = [{"key": key, "event_id": number} for key, number in keys]
        connection.execute(sa.insert(table), rows)


def _places(connection: sa.Connection) -> dict[str, int | None]:
    """Give each family's first meters that count or add up a place, the others None."""
    kinds = {"MAX", "LATEST", "WEIGHTED_SUM"}
    query = "SELECT id, family_id, definition FROM rollup_meters WHERE NOT retired ORDER BY id"
    taken: dict[int, int] = {}
    places: dict[str, int | None] = {}
    for meter, family, definition in connection.execute(sa.text(query)):
        place = taken.get(family, 0)
        places[str(meter)] = None
        if json.loads(definition)["aggregation"]["kind"] not in kinds and place < PLACES:
            places[str(meter)] = place
            taken[family] = place + 1
    return places


def _cells(name: str) -> sa.Table:
    return op.create_table(
        name,
        *(
            sa.Column(key, sa.Integer, primary_key=True, autoincrement=False)
            for key in ("family_id", "at", "customer_id", "combination_id")
        ),
        sa.Column("states", sa.Text),
        *(
            sa.Column(f"{kind}_{place}", sa.BigInteger, nullable=False, server_default="0")
            for place in range(PLACES)
            for kind in ("count", "total")
        ),
        sqlite_with_rowid=False,
    )


def _batches(
    connection: sa.Connection, old: str, places: dict[str, int | None]
) -> Iterator[list[dict[str, Any]]]:
    keys = "family_id, at, customer_id, combination_id"
    query = sa.text(f"SELECT {keys}, states FROM {old} ORDER BY {keys}")  # noqa: S608
    found = connection.execute(query, execution_options={"yield_per": ROWS_PER_COPY})
    for part in found.mappings().partitions():
        yield [_moved(dict(row), places) for row in part]


def _moved(row: dict[str, Any], places: dict[str, int | None]) -> dict[str, Any]:
    numbers = {f"{kind}_{at}": 0 for at in range(PLACES) for kind in ("count", "total")}
    rest: dict[str, Any] = {}
    held = json.loads(row["states"])
    for meter in held.keys() & places.keys():  # the others are retired
        place, state = places[meter], held[meter]
        kind, count, total = (*state, 0)[:3]
        if place is None or kind not in _KINDS:
            rest[meter] = state
            continue
        numbers[f"count_{place}"] = count
        if type(total) is int and total <= WHOLE_MAX * count:
            numbers[f"total_{place}"] = total
        else:
            rest[meter] = [kind, 0, total]
    encoded = json.dumps(rest, separators=(",", ":"), ensure_ascii=False) if rest else None
    return {**row, "states": encoded, **numbers}
