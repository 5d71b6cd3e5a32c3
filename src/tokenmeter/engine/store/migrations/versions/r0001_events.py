"""Events, and the copies that differ from them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_row_id = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Create the two tables."""
    op.create_table(
        "events",
        sa.Column("id", _row_id, primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in _NAMES),
        sa.Column("timestamp_us", sa.BigInteger, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        *(sa.Column(name, sa.Text) for name in _DIMENSIONS),
        sa.Column("billable", sa.Boolean, nullable=False),
        sa.Column("properties", sa.Text, nullable=False),
        sa.UniqueConstraint("environment", "event_id", name="uq_events_environment_event_id"),
    )
    op.create_index("ix_events_timestamp", "events", ["timestamp_us"])
    op.create_index("ix_events_customer_timestamp", "events", ["customer", "timestamp_us"])
    op.create_table(
        "event_conflicts",
        sa.Column("id", _row_id, primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in _CONFLICT),
        sa.UniqueConstraint(*_CONFLICT, name="uq_event_conflicts_difference"),
    )


def downgrade() -> None:
    """Drop both tables."""
    op.drop_table("event_conflicts")
    op.drop_table("events")


_NAMES = ("environment", "event_id", "event_name", "customer")
_DIMENSIONS = ("provider", "model", "model_type", "feature", "outcome", "run_id", "call_id")
_CONFLICT = ("environment", "event_id", "difference")
