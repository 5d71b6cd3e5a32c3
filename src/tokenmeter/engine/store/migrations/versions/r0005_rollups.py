"""Rollups: what each meter counted, hour by hour and day by day."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_row_id = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_CELLS = ("rollup_hours", "rollup_days")
_OTHERS = ("rollup_version", "rollup_combinations", "rollup_meters", "rollup_families")


def upgrade() -> None:
    """Create the tables; the first ingest finds the meters."""
    _families()
    op.create_table(
        "rollup_combinations",
        sa.Column("id", _row_id, primary_key=True),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("labels", sa.Text, nullable=False),
        sa.UniqueConstraint("digest", name="uq_rollup_combinations_digest"),
    )
    version = op.create_table(
        "rollup_version",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("version", sa.BigInteger, nullable=False),
    )
    op.bulk_insert(version, [{"id": 1, "version": 1}])
    for name in _CELLS:
        _cells(name)


def downgrade() -> None:
    """Drop the tables: rollups can be made again."""
    for name in (*_CELLS, *_OTHERS):
        op.drop_table(name)


def _families() -> None:
    op.create_table(
        "rollup_families",
        sa.Column("id", _row_id, primary_key=True),
        sa.Column("environment", sa.Text, nullable=False),
        sa.Column("event_name", sa.Text, nullable=False),
        sa.Column("keys", sa.Text, nullable=False),
        sa.UniqueConstraint("environment", "event_name", "keys", name="uq_rollup_families_keys"),
    )
    op.create_table(
        "rollup_meters",
        sa.Column("id", _row_id, primary_key=True),
        sa.Column("family_id", sa.Integer, nullable=False),
        sa.Column("definition", sa.Text, nullable=False),
        sa.Column("live_after", sa.BigInteger, nullable=False),
        sa.Column("done_until", sa.BigInteger, nullable=False),
        sa.Column("retired", sa.Boolean, nullable=False),
    )
    op.create_index("ix_rollup_meters_family", "rollup_meters", ["family_id"])


def _cells(name: str) -> None:
    op.create_table(
        name,
        sa.Column("family_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("customer_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("at", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("combination_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("states", sa.Text, nullable=False),
        sqlite_with_rowid=False,
    )
