"""Bring a database to the tables this version needs."""

from __future__ import annotations

from typing import cast

from sqlalchemy import Connection, inspect, text

from tokenmeter.engine.store.schema import HEAD, VERSION_TABLE
from tokenmeter.errors import StoreError

_SCRIPTS = "tokenmeter.engine.store:migrations"


def is_current(connection: Connection) -> bool:
    """Say whether every migration has run: the cheap question, asked at each opening."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return False
    version = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}"))  # noqa: S608
    return cast(str | None, version.scalar()) == HEAD


def upgrade(connection: Connection) -> None:
    """
    Run the missing migrations inside the transaction that `connection` is in.

    The caller holds the write lock and has asked `is_current` under it.
    """
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
