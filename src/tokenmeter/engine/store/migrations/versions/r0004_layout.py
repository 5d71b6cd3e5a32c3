"""Events in a third of the bytes: labels and names once, ids packed."""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

from tokenmeter.engine.store.interning import interned_labels, interned_names
from tokenmeter.engine.store.packed import pack
from tokenmeter.engine.store.rows import moment, to_row
from tokenmeter.errors import StoreError
from tokenmeter.event import Event

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

ROWS_PER_COPY = 1_000

_row_id = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_LABELS = ("provider", "model", "model_type", "feature", "outcome")
_OLD = "events_r0001"


def upgrade() -> None:
    """Move the old events aside, make the tables, copy."""
    op.drop_index("ix_events_timestamp", "events")
    op.drop_index("ix_events_customer_timestamp", "events")
    op.rename_table("events", _OLD)
    if op.get_bind().dialect.name == "postgresql":  # which does not rename these along
        op.execute(f"ALTER INDEX events_pkey RENAME TO {_OLD}_pkey")
        op.execute(f"ALTER SEQUENCE events_id_seq RENAME TO {_OLD}_id_seq")
    _names()
    _copy(op.get_bind(), _events())
    op.drop_table(_OLD)


def downgrade() -> None:
    """Refuse: an older version could not read what was stored since."""
    raise StoreError("events cannot be moved back to the layout of an older version")


def _names() -> None:
    op.create_table(
        "names",
        sa.Column("id", _row_id, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.UniqueConstraint("name", name="uq_names_name"),
    )
    op.create_table(
        "label_sets",
        sa.Column("id", _row_id, primary_key=True),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("environment", sa.Text, nullable=False),
        sa.Column("event_name", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        *(sa.Column(name, sa.Text) for name in _LABELS),
        sa.Column("billable", sa.Boolean, nullable=False),
        sa.Column("labels", sa.Text, nullable=False),
        sa.UniqueConstraint("digest", name="uq_label_sets_digest"),
    )
    op.create_index("ix_label_sets_event_name", "label_sets", ["environment", "event_name"])


def _events() -> sa.Table:
    table = op.create_table(
        "events",
        sa.Column("id", _row_id, primary_key=True),
        sa.Column("environment_id", sa.Integer, nullable=False),
        sa.Column("labels_id", sa.Integer, nullable=False),
        sa.Column("customer_id", sa.Integer, nullable=False),
        sa.Column("timestamp_us", sa.BigInteger, nullable=False),
        sa.Column("event_id", sa.LargeBinary, nullable=False),
        sa.Column("run_id", sa.LargeBinary),
        sa.Column("call_id", sa.LargeBinary),
        sa.Column("rest", sa.Text, nullable=False),
        sa.UniqueConstraint("event_id", "environment_id", name="uq_events_event_id"),
    )
    op.create_index("ix_events_timestamp", "events", ["timestamp_us"])
    op.create_index("ix_events_customer_timestamp", "events", ["customer_id", "timestamp_us"])
    return table


def _copy(connection: sa.Connection, events: sa.Table) -> None:
    names, labels = interned_names(), interned_labels()
    for old in _batches(connection):
        rows = [to_row(_event(row)) for row in old]
        told = {name for row in rows for name in (row.environment, row.customer)}
        named = names.numbers(connection, told)
        labelled = labels.numbers(connection, {row.labels for row in rows})
        names.keep(named)
        labels.keep(labelled)
        connection.execute(
            sa.insert(events),
            [
                {
                    "environment_id": named[row.environment],
                    "labels_id": labelled[row.labels],
                    "customer_id": named[row.customer],
                    "timestamp_us": row.timestamp_us,
                    "event_id": pack(row.event_id),
                    "run_id": None if row.run_id is None else pack(row.run_id),
                    "call_id": None if row.call_id is None else pack(row.call_id),
                    "rest": row.rest,
                }
                for row in rows
            ],
        )


def _batches(connection: sa.Connection) -> Any:
    statement = sa.text(f"SELECT * FROM {_OLD} WHERE id > :last ORDER BY id LIMIT :rows")  # noqa: S608
    last = 0
    while True:
        found = connection.execute(statement, {"last": last, "rows": ROWS_PER_COPY})
        rows = list(found.mappings())
        if not rows:
            return
        yield rows
        last = rows[-1]["id"]


def _event(row: Any) -> Event:
    return Event.from_dict(
        {
            "event_name": row["event_name"],
            "event_id": row["event_id"],
            "external_customer_id": row["customer"],
            "timestamp": moment(row["timestamp_us"]).isoformat(),
            "properties": json.loads(row["properties"]),
            "source": row["source"],
        }
    )
