"""The tables. A change here comes with a migration in `migrations/versions`."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)

VERSION_TABLE = "tokenmeter_version"  # not alembic's own name: the database may be shared
HEAD = "0003"  # the last migration

metadata = MetaData()
_row_id = BigInteger().with_variant(Integer, "sqlite")

# `id` rises with arrival. `environment` is "" where an event has none, since NULLs never
# collide in a unique constraint. `properties` holds every property as JSON text; the columns
# between `source` and `properties` repeat those that are filtered and grouped often.
events = Table(
    "events",
    metadata,
    Column("id", _row_id, primary_key=True),
    Column("environment", Text, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("event_name", Text, nullable=False),
    Column("customer", Text, nullable=False),
    Column("timestamp_us", BigInteger, nullable=False),  # microseconds since 1970, UTC
    Column("source", Text, nullable=False),
    Column("provider", Text),
    Column("model", Text),
    Column("model_type", Text),
    Column("feature", Text),
    Column("outcome", Text),
    Column("run_id", Text),
    Column("call_id", Text),
    Column("billable", Boolean, nullable=False),
    Column("properties", Text, nullable=False),
    UniqueConstraint("environment", "event_id", name="uq_events_environment_event_id"),
    Index("ix_events_timestamp", "timestamp_us"),
    Index("ix_events_customer_timestamp", "customer", "timestamp_us"),
)

# A copy of a stored event that differs from it, once per difference.
event_conflicts = Table(
    "event_conflicts",
    metadata,
    Column("id", _row_id, primary_key=True),
    Column("environment", Text, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("difference", Text, nullable=False),
    UniqueConstraint(
        "environment", "event_id", "difference", name="uq_event_conflicts_difference"
    ),
)

# The definitions: meters, plans, prices, customers, ... as JSON in Flexprice's field names.
documents = Table(
    "documents",
    metadata,
    Column("environment", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("body", Text, nullable=False),
    Column("lookup_key", Text),
    Column("parent", Text),
    Column("status", Text, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("updated_us", BigInteger, nullable=False),
    Column("version", Integer, nullable=False),
    Index("ix_documents_parent", "environment", "kind", "parent"),
    Index(
        "uq_documents_lookup_key",
        "environment",
        "kind",
        "lookup_key",
        unique=True,
        sqlite_where=text("status = 'published'"),
        postgresql_where=text("status = 'published'"),
    ),
)
