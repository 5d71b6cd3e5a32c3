"""The tables of money and keys. Amounts are decimals as text: exact in every database."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, Table, Text, UniqueConstraint, text

from tokenmeter.engine.store.schema import metadata as metadata  # with these tables in it

# The arithmetic is done in Python under the write lock (SQLite) or the row lock of
# `wallet_balances` (PostgreSQL).
wallet_credits = Table(
    "credits",
    metadata,
    Column("id", Text, primary_key=True),
    Column("environment", Text, nullable=False),
    Column("wallet_id", Text, nullable=False),
    Column("amount", Text, nullable=False),
    Column("remaining", Text, nullable=False),
    Column("priority", Integer),
    Column("expires_us", BigInteger),
    Column("reason", Text, nullable=False),
    Column("reference", Text),
    Column("created_us", BigInteger, nullable=False),
    Index("ix_credits_wallet", "environment", "wallet_id"),
)

wallet_transactions = Table(
    "wallet_transactions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("environment", Text, nullable=False),
    Column("wallet_id", Text, nullable=False),
    Column("type", Text, nullable=False),  # credit | debit
    Column("amount", Text, nullable=False),
    Column("credit_amount", Text, nullable=False),
    Column("balance_before", Text, nullable=False),
    Column("balance_after", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("reference_type", Text),
    Column("reference_id", Text),
    Column("idempotency_key", Text),
    Column("expires_us", BigInteger),
    Column("priority", Integer),
    Column("created_us", BigInteger, nullable=False),
    Column("body", Text, nullable=False),
    UniqueConstraint(
        "environment", "wallet_id", "idempotency_key", name="uq_wallet_transactions_idempotency"
    ),
    Index("ix_wallet_transactions_wallet", "environment", "wallet_id", "created_us"),
)

holds = Table(
    "holds",
    metadata,
    Column("id", Text, primary_key=True),
    Column("environment", Text, nullable=False),
    Column("wallet_id", Text, nullable=False),
    Column("amount", Text, nullable=False),
    Column("state", Text, nullable=False),  # held | settled | voided | expired
    Column("settled_amount", Text),
    Column("reference", Text),
    Column("expires_us", BigInteger, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("closed_us", BigInteger),
    Column("steps", Text),  # JSON: quantities by price, where prices depend on other usage
    Index("ix_holds_wallet_state", "environment", "wallet_id", "state"),
    Index("ix_holds_closed", "environment", "wallet_id", "closed_us"),
)

wallet_balances = Table(
    "wallet_balances",
    metadata,
    Column("environment", Text, primary_key=True),
    Column("wallet_id", Text, primary_key=True),
    Column("credit_balance", Text, nullable=False),
    Column("held", Text, nullable=False),
    Column("version", Integer, nullable=False),
)

_OPEN = text("status <> 'VOIDED' AND subscription_id IS NOT NULL")

invoices = Table(
    "invoices",
    metadata,
    Column("id", Text, primary_key=True),
    Column("environment", Text, nullable=False),
    Column("customer_id", Text, nullable=False),
    Column("subscription_id", Text),
    Column("status", Text, nullable=False),  # DRAFT | FINALIZED | VOIDED | SKIPPED
    Column("period_start_us", BigInteger, nullable=False),
    Column("period_end_us", BigInteger, nullable=False),
    Column("number", Text),  # given at finalize
    Column("currency", Text, nullable=False),
    Column("amount_due", Text, nullable=False),
    Column("body", Text, nullable=False),  # of a finalized invoice: its bytes for ever
    Column("created_us", BigInteger, nullable=False),
    Column("finalized_us", BigInteger),
    UniqueConstraint("environment", "number", name="uq_invoices_number"),
    Index("ix_invoices_customer", "environment", "customer_id", "period_start_us"),
    Index(
        "uq_invoices_open",
        "environment",
        "subscription_id",
        "period_start_us",
        "period_end_us",
        unique=True,
        sqlite_where=_OPEN,
        postgresql_where=_OPEN,
    ),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", Text, primary_key=True),
    Column("environment", Text, nullable=False),
    Column("key_hash", Text, nullable=False),
    Column("prefix", Text, nullable=False),
    Column("scopes", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("expires_us", BigInteger),
    Column("revoked_us", BigInteger),
    UniqueConstraint("key_hash", name="uq_api_keys_key_hash"),
    Index("ix_api_keys_environment", "environment"),
)

limit_counts = Table(
    "limit_counts",
    metadata,
    Column("environment", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("window_us", BigInteger, primary_key=True),
    Column("counted", Text, nullable=False),
)

limit_holds = Table(
    "limit_holds",
    metadata,
    Column("environment", Text, primary_key=True),
    Column("reference", Text, primary_key=True),
    Column("parts", Text, nullable=False),  # JSON: unit, key, window_us, expected
    Column("created_us", BigInteger, nullable=False),
)

quota_holds = Table(
    "quota_holds",
    metadata,
    Column("id", Text, primary_key=True),
    Column("environment", Text, nullable=False),
    Column("customer", Text, nullable=False),  # external id
    Column("reference", Text, nullable=False),
    Column("taken", Text, nullable=False),  # JSON: quantities by meter
    Column("event_ids", Text),  # JSON: once the call has ended, what is counted in its place
    Column("expires_us", BigInteger, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Index("ix_quota_holds_customer", "environment", "customer"),
)
