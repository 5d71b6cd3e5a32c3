"""The tables of rollups: what each meter counted per customer, hour or day, and labels."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
)

from tokenmeter.engine.store.schema import metadata as metadata  # with these tables in it

_row_id = BigInteger().with_variant(Integer, "sqlite")

# The meters of one event name share their rows. `keys` are the properties that rows are kept
# apart by: what their prices filter on.
rollup_families = Table(
    "rollup_families",
    metadata,
    Column("id", _row_id, primary_key=True),
    Column("environment", Text, nullable=False),
    Column("event_name", Text, nullable=False),
    Column("keys", Text, nullable=False),  # JSON
    Column("days_until", Integer, nullable=False, server_default="0"),  # see `folding`
    UniqueConstraint("environment", "event_name", "keys", name="uq_rollup_families_keys"),
)

# The events after `live_after` were counted as they came, those up to `done_until` afterwards.
# A meter that was retired missed events and never counts again; it may get another row.
rollup_meters = Table(
    "rollup_meters",
    metadata,
    Column("id", _row_id, primary_key=True),
    Column("family_id", Integer, nullable=False),
    Column("definition", Text, nullable=False),  # JSON
    Column("live_after", BigInteger, nullable=False),  # id of an event
    Column("done_until", BigInteger, nullable=False),  # id of an event
    Column("retired", Boolean, nullable=False),
    Column("place", Integer),  # of its columns in a cell; NULL: it is counted in `states`
    Index("ix_rollup_meters_family", "family_id"),
)

# The values of a family's keys, each combination once.
rollup_combinations = Table(
    "rollup_combinations",
    metadata,
    Column("id", _row_id, primary_key=True),
    Column("digest", LargeBinary, nullable=False),
    Column("labels", Text, nullable=False),  # JSON
    UniqueConstraint("digest", name="uq_rollup_combinations_digest"),
)

# One row; the version rises with every change of a meter or a price.
rollup_version = Table(
    "rollup_version",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("version", BigInteger, nullable=False),
)


# The first meters of a family that count or add up have columns of their own, which SQL adds up:
# how many, and their sum as far as it is of whole numbers up to WHOLE_MAX. The database holds
# fewer than 2**31 events, so a sum stays below 2**63.
PLACES = 8
WHOLE_MAX = 2**32


def _cells(name: str) -> Table:
    """In the order of time, so that new cells are neighbours: a batch touches few pages."""
    return Table(
        name,
        metadata,
        Column("family_id", Integer, primary_key=True, autoincrement=False),
        Column("at", Integer, primary_key=True, autoincrement=False),
        Column("customer_id", Integer, primary_key=True, autoincrement=False),
        Column("combination_id", Integer, primary_key=True, autoincrement=False),
        Column("states", Text),  # JSON: what the columns do not hold, by meter, see `tallies`
        *(
            Column(f"{kind}_{place}", BigInteger, nullable=False, server_default="0")
            for place in range(PLACES)
            for kind in ("count", "total")
        ),
        sqlite_with_rowid=False,
    )


rollup_hours = _cells("rollup_hours")  # `at`: hours since 1970, UTC
rollup_days = _cells("rollup_days")  # `at`: days since 1970, UTC
