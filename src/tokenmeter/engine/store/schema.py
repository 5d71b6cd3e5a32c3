"""The tables. A change here comes with a migration in `migrations/versions`."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from tokenmeter.engine.store.packed import PackedId

VERSION_TABLE = "tokenmeter_version"  # not alembic's own name: the database may be shared
HEAD = "0011"  # the last migration

HOUR_US = 3_600_000_000

metadata = MetaData()
_row_id = BigInteger().with_variant(Integer, "sqlite")

# Customers and environments, each text once: events and rollups hold the number.
names = Table(
    "names",
    metadata,
    Column("id", _row_id, primary_key=True),
    Column("name", Text, nullable=False),
    UniqueConstraint("name", name="uq_names_name"),
)

# What many events say alike (`rows.LABELS`), each combination once. `labels` holds all of it as
# JSON; the columns repeat what is filtered and grouped often. `environment` is "" where the
# events have none.
label_sets = Table(
    "label_sets",
    metadata,
    Column("id", _row_id, primary_key=True),
    Column("digest", LargeBinary, nullable=False),
    Column("environment", Text, nullable=False),
    Column("event_name", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("provider", Text),
    Column("model", Text),
    Column("model_type", Text),
    Column("feature", Text),
    Column("outcome", Text),
    Column("billable", Boolean, nullable=False),
    Column("labels", Text, nullable=False),
    UniqueConstraint("digest", name="uq_label_sets_digest"),
    Index("ix_label_sets_event_name", "environment", "event_name"),
)

# `id` rises with arrival. `rest` holds, as JSON text, the properties that are neither labels
# nor columns: each event's own.
events = Table(
    "events",
    metadata,
    Column("id", _row_id, primary_key=True),
    Column("environment_id", Integer, nullable=False),
    Column("labels_id", Integer, nullable=False),
    Column("customer_id", Integer, nullable=False),
    Column("timestamp_us", BigInteger, nullable=False),  # microseconds since 1970, UTC
    Column("event_id", PackedId, nullable=False),
    Column("run_id", PackedId),
    Column("call_id", PackedId),
    Column("rest", Text, nullable=False),
    Column("hour", Integer, nullable=False, server_default="0"),  # since 1970, UTC
    # The one index: by the hour first, so that new events lie together, whoever their customers
    # are. What asks for a time names its hours, see `hours`.
    Index("ix_events_hour_customer", "hour", "customer_id"),
)

# The events by the hash of their id, see `keys`: the ids of both environments and of different
# events may have one key.
event_keys = Table(
    "event_keys",
    metadata,
    Column("key", BigInteger, primary_key=True, autoincrement=False),
    Column("event_id", BigInteger, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)

# The keys of the latest events, in their order, 8 bytes each, until all are in `event_keys`.
event_tails = Table(
    "event_tails",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("first_event", BigInteger, nullable=False),
    Column("keys", LargeBinary, nullable=False),
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
