"""Up to which day a family has the cells of its days: those of later days are in its hours."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from tokenmeter.errors import StoreError

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; until now every day had its cells at once."""
    column = sa.Column("days_until", sa.Integer, nullable=False, server_default="0")
    op.add_column("rollup_families", column)
    op.execute(
        "UPDATE rollup_families SET days_until = coalesce((SELECT max(at) + 1 "
        "FROM rollup_days WHERE rollup_days.family_id = rollup_families.id), 0)"
    )


def downgrade() -> None:
    """Refuse: an older version would look for days that are in their hours alone."""
    raise StoreError("rollups cannot be moved back to the layout of an older version")
