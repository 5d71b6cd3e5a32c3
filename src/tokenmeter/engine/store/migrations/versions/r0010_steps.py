"""Holds know what they are about to use, where a price depends on what was used before."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; holds of before are of money alone."""
    op.add_column("holds", sa.Column("steps", sa.Text()))


def downgrade() -> None:
    """Drop it."""
    op.drop_column("holds", "steps")
