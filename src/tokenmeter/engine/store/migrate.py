"""Bring a database to the tables this version needs."""

from __future__ import annotations

from typing import cast

from sqlalchemy import (
    Column,
    Connection,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    insert,
    inspect,
    text,
)

from tokenmeter.engine.store import ledger_schema
from tokenmeter.engine.store.rollup_schema import rollup_version
from tokenmeter.engine.store.schema import HEAD, VERSION_TABLE
from tokenmeter.errors import StoreError

metadata = ledger_schema.metadata  # with all tables in it
_SCRIPTS = "tokenmeter.engine.store:migrations"


def is_current(connection: Connection) -> bool:
    """Say whether every migration has run: the cheap question, asked at each opening."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return False
    version = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}"))  # noqa: S608
    return cast(str | None, version.scalar()) == HEAD


def upgrade(connection: Connection) -> None:
    """
    Make the tables, or run the missing migrations, in the transaction that `connection` is in.

    The caller holds the write lock and has asked `is_current` under it.
    """
    there = set(inspect(connection).get_table_names())
    strange = sorted(there.intersection(metadata.tables))
    if VERSION_TABLE not in there and strange:
        raise StoreError(
            f"this database holds tables of another program ({strange[0]}); name another one"
        )
    if VERSION_TABLE not in there:
        _create(connection)
    else:
        _migrate(connection)


def _create(connection: Connection) -> None:
    """Make at once what the migrations would make of a database without our tables."""
    metadata.create_all(connection, checkfirst=False)
    connection.execute(insert(rollup_version), {"id": 1, "version": 1})
    version = Table(
        VERSION_TABLE,
        MetaData(),
        Column("version_num", String(32), nullable=False),
        PrimaryKeyConstraint("version_num", name=f"{VERSION_TABLE}_pkc"),  # as alembic does it
    )
    version.create(connection)
    connection.execute(insert(version), {"version_num": HEAD})


def _migrate(connection: Connection) -> None:
    # Alembic is slow to import and needed once per database, so not at module level.
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", _SCRIPTS)
    config.set_main_option("path_separator", "os")
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise StoreError(
            "this database was written by a newer tokenmeter; upgrade tokenmeter to open it"
        ) from error
