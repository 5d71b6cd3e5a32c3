"""A PostgreSQL database as a store, for several hosts: psycopg 3, the extra `postgres`."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Mapping
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool

from tokenmeter.engine.store import migrate
from tokenmeter.engine.store.forks import ForkGate
from tokenmeter.engine.store.interning import (
    interned_combinations,
    interned_labels,
    interned_names,
)
from tokenmeter.engine.store.keys import Tails
from tokenmeter.engine.store.patience import wait_s
from tokenmeter.errors import MissingExtraError, StoreBusyError, StoreError

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlalchemy.engine import URL

LOCK_WAIT_S_MAX = 30.0
CONNECT_WAIT_S_MAX = 10
CONNECTIONS_MAX = 8
CONNECTION_WAIT_S_MAX = 30

# Advisory locks, of this database: one ingest at a time, one migration at a time. Ingests in a
# row need no locks on rows, cannot deadlock, and number the events in the order of arrival.
_LOCK_CLASS = 0x746D  # "tm"
_INGEST_LOCK = 1
_MIGRATION_LOCK = 2
# lock_not_available, deadlock_detected, serialization_failure
_BUSY = frozenset({"55P03", "40P01", "40001"})


class PostgresStore:
    """The open database. Threads, processes and hosts may share it; a fork is safe."""

    def __init__(self, url: URL) -> None:
        self.name = url.render_as_string(hide_password=True)
        self.names = interned_names()
        self.labels = interned_labels()
        self.combinations = interned_combinations()
        self.tails = Tails()
        self.plan: object = None
        self._engine = _engine(url)
        self._use = ForkGate(self._engine).use
        self._open()

    @contextlib.contextmanager
    def writing(self) -> Generator[Connection, None, None]:
        """Yield a connection in a transaction; commit at the end."""
        with self._connected() as connection, connection.begin():
            wait_ms = max(1, round(1000 * wait_s(LOCK_WAIT_S_MAX)))  # 0 would be: for ever
            connection.execute(text(f"SET LOCAL lock_timeout = {wait_ms}"))
            yield connection

    @contextlib.contextmanager
    def ingesting(self) -> Generator[Connection, None, None]:
        """Yield a connection in a transaction that holds the ingest lock."""
        with self.writing() as connection:
            _lock(connection, _INGEST_LOCK)
            yield connection

    @contextlib.contextmanager
    def reading(self) -> Generator[Connection, None, None]:
        """Yield a connection on which every statement sees the same moment."""
        with self._connected() as connection, connection.begin():
            connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"))
            yield connection

    @property
    def moved(self) -> bool:
        """A server knows where its files are."""
        return False

    def close(self) -> None:
        """Close the connections; a use after this opens new ones."""
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
        except DBAPIError as error:
            raise _store_error(self.name, error) from error

    def _open(self) -> None:
        with self.reading() as connection:
            current = migrate.is_current(connection)
        if not current:
            with self.writing() as connection:
                _lock(connection, _MIGRATION_LOCK)
                if not migrate.is_current(connection):  # another process may have been first
                    migrate.upgrade(connection)


def _engine(url: URL) -> Engine:
    options: Mapping[str, Any] = {"connect_timeout": CONNECT_WAIT_S_MAX, **url.query}
    try:
        return create_engine(
            url.set(drivername="postgresql+psycopg", query={}),
            hide_parameters=True,
            poolclass=QueuePool,
            pool_size=CONNECTIONS_MAX,
            max_overflow=0,
            pool_timeout=CONNECTION_WAIT_S_MAX,
            pool_pre_ping=True,  # the server may have been restarted since
            connect_args=dict(options),
        )
    except ImportError as error:
        raise MissingExtraError(
            'PostgreSQL needs an optional part: pip install "tokenmeter[postgres]"'
        ) from error


def _lock(connection: Connection, number: int) -> None:
    connection.execute(
        text("SELECT pg_advisory_xact_lock(:class, :number)"),
        {"class": _LOCK_CLASS, "number": number},
    )


def _store_error(name: str, error: DBAPIError) -> StoreError:
    """Say what the server said; its details would hold the values."""
    cause: Any = error.orig
    if getattr(cause, "sqlstate", None) in _BUSY:
        return StoreBusyError(f"others kept {name} locked for too long; try again")
    said = getattr(getattr(cause, "diag", None), "message_primary", None) or str(cause)
    return StoreError(f"{name} could not be used: {said.splitlines()[0]}")
