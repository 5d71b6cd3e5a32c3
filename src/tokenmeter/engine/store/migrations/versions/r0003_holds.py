"""Holds are found by when they were closed."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the index."""
    op.create_index("ix_holds_closed", "holds", ["environment", "wallet_id", "closed_us"])


def downgrade() -> None:
    """Drop the index."""
    op.drop_index("ix_holds_closed", "holds")
