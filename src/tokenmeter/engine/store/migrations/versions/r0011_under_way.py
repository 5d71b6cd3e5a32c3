"""What calls and jobs under way are about to take of quotas and limits."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "quota_holds",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("environment", sa.Text, nullable=False),
        sa.Column("customer", sa.Text, nullable=False),
        sa.Column("reference", sa.Text, nullable=False),
        sa.Column("taken", sa.Text, nullable=False),
        sa.Column("event_ids", sa.Text),
        sa.Column("expires_us", sa.BigInteger, nullable=False),
        sa.Column("created_us", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "limit_holds",
        sa.Column("environment", sa.Text, primary_key=True),
        sa.Column("reference", sa.Text, primary_key=True),
        sa.Column("parts", sa.Text, nullable=False),
        sa.Column("created_us", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_quota_holds_customer", "quota_holds", ["environment", "customer"])


def downgrade() -> None:
    """Drop the tables."""
    op.drop_table("limit_holds")
    op.drop_table("quota_holds")
