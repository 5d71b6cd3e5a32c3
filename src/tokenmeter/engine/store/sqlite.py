"""One SQLite file as a store: WAL, an fsync at every commit, one fair writer at a time."""

from __future__ import annotations

import contextlib
import random
import sqlite3
import time
from collections.abc import Generator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, cast

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.pool import QueuePool

from tokenmeter.engine.store import migrate
from tokenmeter.engine.store.advice import store_error
from tokenmeter.engine.store.exact import ExactMax, ExactSum, plus
from tokenmeter.engine.store.forks import ForkGate
from tokenmeter.engine.store.interning import (
    interned_combinations,
    interned_labels,
    interned_names,
)
from tokenmeter.engine.store.keys import Tails
from tokenmeter.engine.store.merging import merged_states
from tokenmeter.engine.store.patience import wait_s
from tokenmeter.errors import ConfigurationError, StoreBusyError

LOCK_WAIT_S_MAX = 30.0
# SQLite's own back-off grows to 100 ms and starves a second writer (its longest wait was over
# 2 s); short random pauses give each writer the same chance at every commit of the other.
LOCK_PAUSE_S_MIN = 0.0002
LOCK_PAUSE_S_MAX = 0.002
READ_WAIT_MS_MAX = 10_000
CONNECTIONS_MAX = 8
WAL_PAGES = 8_000  # 32 MB: what many batches change is written to its place once
# Per connection at most. SQLite looks at every page it holds at each commit after a page was
# split, so four times as much would cost an ingest more than the reading that it saves.
CACHE_KIB = 16 * 1024


def database_path(url: str) -> Path | None:
    """Return the file that a `sqlite:` URL names, or None for a database in memory."""
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise ConfigurationError(
            f"{url!r} is not a backend URL; write sqlite:///usage.db or sqlite:////full/path.db"
        ) from error
    if parsed.get_backend_name() != "sqlite":
        raise ConfigurationError(
            "the local engine keeps events in SQLite or PostgreSQL, not in "
            f"{parsed.get_backend_name()}; write sqlite:///usage.db"
        )
    if not parsed.database:
        raise ConfigurationError(
            f"{url!r} names no file; write sqlite:///usage.db, or memory: to keep nothing"
        )
    return None if parsed.database == ":memory:" else Path(parsed.database)


class SqliteStore:
    """The open database. Threads and processes may share the file; a fork is safe."""

    def __init__(self, url: str) -> None:
        path = database_path(url)
        if path is not None and not path.absolute().parent.is_dir():
            raise ConfigurationError(
                f"the folder {path.absolute().parent} does not exist; "
                "create it or correct the backend URL"
            )
        if path is not None and path.is_dir():
            raise ConfigurationError(f"{path} is a folder; name the file in it")
        self.names = interned_names()
        self.labels = interned_labels()
        self.combinations = interned_combinations()
        self.tails = Tails()
        self.plan: object = None
        self.name = "a database in memory" if path is None else str(path)
        # A database in memory lives in one connection, which every thread has to share.
        self._engine = create_engine(
            url,
            isolation_level="AUTOCOMMIT",  # BEGIN and COMMIT are ours, so that BEGIN can wait
            hide_parameters=True,
            poolclass=QueuePool,
            pool_size=CONNECTIONS_MAX if path else 1,
            max_overflow=0,
            connect_args={"check_same_thread": False, "timeout": READ_WAIT_MS_MAX / 1000},
        )
        event.listen(self._engine, "connect", _prepare)
        # A database in memory holds no lock on a file, and closing it would empty it.
        self._use = ForkGate(self._engine).use if path else contextlib.nullcontext
        self._open()
        self._path = path and path.absolute()
        self._file = _identity(self._path)

    @contextlib.contextmanager
    def writing(self) -> Generator[Connection, None, None]:
        """Yield a connection that holds the write lock; commit at the end, durably."""
        with self._connected() as connection:
            raw = _driver(connection)
            try:
                _begin_immediate(raw, self.name)
                yield connection
                raw.execute("COMMIT")
            finally:
                raw.rollback()  # of what was not committed; nothing to do after COMMIT

    def ingesting(self) -> AbstractContextManager[Connection]:
        """Yield a connection as `writing` does: SQLite has one writer anyway."""
        return self.writing()

    @contextlib.contextmanager
    def reading(self) -> Generator[Connection, None, None]:
        """Yield a connection on which every statement sees the same moment."""
        with self._connected() as connection:
            raw = _driver(connection)
            raw.execute("BEGIN")
            try:
                yield connection
            finally:
                raw.rollback()

    @property
    def moved(self) -> bool:
        """Whether the file was deleted or replaced since it was opened."""
        return _identity(self._path) != self._file

    def close(self) -> None:
        """Close the file; a use after this opens it again."""
        self.names.forget()
        self.labels.forget()
        self.combinations.forget()
        self.tails.forget()
        self.plan = None
        self._engine.dispose()

    @contextlib.contextmanager
    def _connected(self) -> Generator[Connection, None, None]:
        try:
            with self._use(), self._engine.connect() as connection:
                yield connection
        except DBAPIError as error:  # statements that SQLAlchemy ran
            raise store_error(self.name, error.orig) from error
        except sqlite3.Error as error:  # statements of our own
            raise store_error(self.name, error) from error

    def _open(self) -> None:
        with self._connected() as connection:
            _until_free(_driver(connection), "PRAGMA journal_mode=WAL", self.name)
            current = migrate.is_current(connection)
        if not current:
            with self.writing() as connection:
                if not migrate.is_current(connection):  # another process may have been first
                    migrate.upgrade(connection)


def _identity(path: Path | None) -> tuple[int, int] | None:
    """Tell a file from any other that may stand in its place; None where there is none."""
    try:
        found = None if path is None else path.stat()
    except OSError:
        return None
    return found and (found.st_dev, found.st_ino)


def _prepare(connection: sqlite3.Connection, _record: object) -> None:
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute(f"PRAGMA wal_autocheckpoint={WAL_PAGES}")
    connection.execute(f"PRAGMA cache_size=-{CACHE_KIB}")
    connection.create_function("merged_states", 2, merged_states, deterministic=True)
    connection.create_function("exact_plus", 2, plus, deterministic=True)
    for name, aggregate in (("exact_sum", ExactSum), ("exact_max", ExactMax)):
        # typeshed knows aggregates that answer an int only; text is just as good.
        connection.create_aggregate(name, 1, cast(Any, aggregate))


def _driver(connection: Connection) -> sqlite3.Connection:
    return cast(sqlite3.Connection, connection.connection.driver_connection)


def _begin_immediate(raw: sqlite3.Connection, name: str) -> None:
    raw.execute("PRAGMA busy_timeout=0")
    try:
        _until_free(raw, "BEGIN IMMEDIATE", name)
    finally:
        raw.execute(f"PRAGMA busy_timeout={READ_WAIT_MS_MAX}")


def _until_free(raw: sqlite3.Connection, statement: str, name: str) -> None:
    """Run `statement` as soon as no other process locks the file, or raise StoreBusyError."""
    most_s = wait_s(LOCK_WAIT_S_MAX)
    deadline = time.monotonic() + most_s
    while True:
        try:
            raw.execute(statement)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise
            if time.monotonic() > deadline:
                raise StoreBusyError(
                    f"another process kept {name} locked for {most_s:.0f} s; try again"
                ) from error
            pause_s = random.uniform(LOCK_PAUSE_S_MIN, LOCK_PAUSE_S_MAX)  # noqa: S311
            time.sleep(pause_s)
        else:
            return
