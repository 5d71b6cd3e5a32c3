"""The store that a backend URL names."""

from __future__ import annotations

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from tokenmeter.engine.store.protocol import Store
from tokenmeter.engine.store.sqlite import SqliteStore
from tokenmeter.errors import ConfigurationError

_EXAMPLE = "postgresql://user:password@host/database"
_POSTGRES = frozenset({"postgresql", "postgres"})


def is_server(url: str) -> bool:
    """Tell whether a URL names a database server rather than a file."""
    return url.partition(":")[0].partition("+")[0].lower() in _POSTGRES


def open_store(url: str) -> Store:
    """Open the database; ConfigurationError for a URL that names none."""
    if is_server(url):
        try:
            parsed = make_url(url)
        except ArgumentError as error:
            raise ConfigurationError(f"this is not a backend URL; write {_EXAMPLE}") from error
        if "@" in (parsed.host or ""):  # a part of the password would be shown as the host
            raise ConfigurationError("in this URL a password has an @; write %40 for it")
        from tokenmeter.engine.store.postgres import PostgresStore  # an optional part

        return PostgresStore(parsed)
    return SqliteStore(url)
