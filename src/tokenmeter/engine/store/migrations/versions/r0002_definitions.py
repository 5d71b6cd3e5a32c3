"""Definitions as documents, and the tables of money and keys."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_PUBLISHED = sa.text("status = 'published'")
_OPEN = sa.text("status <> 'VOIDED' AND subscription_id IS NOT NULL")
_TABLES = (
    "documents",
    "credits",
    "wallet_transactions",
    "holds",
    "wallet_balances",
    "invoices",
    "api_keys",
)


def upgrade() -> None:
    """Create the tables."""
    _documents()
    _credits()
    _transactions()
    _holds()
    _invoices()
    _api_keys()


def downgrade() -> None:
    """Drop the tables."""
    for name in _TABLES:
        op.drop_table(name)


def _documents() -> None:
    op.create_table(
        "documents",
        sa.Column("environment", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("lookup_key", sa.Text),
        sa.Column("parent", sa.Text),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("created_us", sa.BigInteger, nullable=False),
        sa.Column("updated_us", sa.BigInteger, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
    )
    op.create_index("ix_documents_parent", "documents", ["environment", "kind", "parent"])
    op.create_index(
        "uq_documents_lookup_key",
        "documents",
        ["environment", "kind", "lookup_key"],
        unique=True,
        sqlite_where=_PUBLISHED,
        postgresql_where=_PUBLISHED,
    )


def _credits() -> None:
    op.create_table(
        "credits",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("environment", sa.Text, nullable=False),
        sa.Column("wallet_id", sa.Text, nullable=False),
        sa.Column("amount", sa.Text, nullable=False),
        sa.Column("remaining", sa.Text, nullable=False),
        sa.Column("priority", sa.Integer),
        sa.Column("expires_us", sa.BigInteger),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("reference", sa.Text),
        sa.Column("created_us", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_credits_wallet", "credits", ["environment", "wallet_id"])


def _transactions() -> None:
    op.create_table(
        "wallet_transactions",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("environment", sa.Text, nullable=False),
        sa.Column("wallet_id", sa.Text, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("amount", sa.Text, nullable=False),
        sa.Column("credit_amount", sa.Text, nullable=False),
        sa.Column("balance_before", sa.Text, nullable=False),
        sa.Column("balance_after", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("reference_type", sa.Text),
        sa.Column("reference_id", sa.Text),
        sa.Column("idempotency_key", sa.Text),
        sa.Column("expires_us", sa.BigInteger),
        sa.Column("priority", sa.Integer),
        sa.Column("created_us", sa.BigInteger, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.UniqueConstraint(
            "environment",
            "wallet_id",
            "idempotency_key",
            name="uq_wallet_transactions_idempotency",
        ),
    )
    op.create_index(
        "ix_wallet_transactions_wallet",
        "wallet_transactions",
        ["environment", "wallet_id", "created_us"],
    )


def _holds() -> None:
    op.create_table(
        "holds",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("environment", sa.Text, nullable=False),
        sa.Column("wallet_id", sa.Text, nullable=False),
        sa.Column("amount", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("settled_amount", sa.Text),
        sa.Column("reference", sa.Text),
        sa.Column("expires_us", sa.BigInteger, nullable=False),
        sa.Column("created_us", sa.BigInteger, nullable=False),
        sa.Column("closed_us", sa.BigInteger),
    )
    op.create_index("ix_holds_wallet_state", "holds", ["environment", "wallet_id", "state"])
    op.create_table(
        "wallet_balances",
        sa.Column("environment", sa.Text, primary_key=True),
        sa.Column("wallet_id", sa.Text, primary_key=True),
        sa.Column("credit_balance", sa.Text, nullable=False),
        sa.Column("held", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
    )


def _invoices() -> None:
    op.create_table(
        "invoices",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("environment", sa.Text, nullable=False),
        sa.Column("customer_id", sa.Text, nullable=False),
        sa.Column("subscription_id", sa.Text),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("period_start_us", sa.BigInteger, nullable=False),
        sa.Column("period_end_us", sa.BigInteger, nullable=False),
        sa.Column("number", sa.Text),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("amount_due", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("created_us", sa.BigInteger, nullable=False),
        sa.Column("finalized_us", sa.BigInteger),
        sa.UniqueConstraint("environment", "number", name="uq_invoices_number"),
    )
    op.create_index(
        "ix_invoices_customer", "invoices", ["environment", "customer_id", "period_start_us"]
    )
    op.create_index(
        "uq_invoices_open",
        "invoices",
        ["environment", "subscription_id", "period_start_us", "period_end_us"],
        unique=True,
        sqlite_where=_OPEN,
        postgresql_where=_OPEN,
    )


def _api_keys() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("environment", sa.Text, nullable=False),
        sa.Column("key_hash", sa.Text, nullable=False),
        sa.Column("prefix", sa.Text, nullable=False),
        sa.Column("scopes", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("created_us", sa.BigInteger, nullable=False),
        sa.Column("expires_us", sa.BigInteger),
        sa.Column("revoked_us", sa.BigInteger),
        sa.UniqueConstraint("key_hash", name="uq_api_keys_key_hash"),
    )
    op.create_index("ix_api_keys_environment", "api_keys", ["environment"])
