"""API keys in the database: their hashes, never the keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, Row, insert, select, update
from sqlalchemy.exc import IntegrityError

from tokenmeter.engine.errors import AlreadyExistsError
from tokenmeter.engine.store.ledger_schema import api_keys


class KeyRow(NamedTuple):
    """One row; the order is that of the table's columns."""

    id: str
    environment: str
    key_hash: str
    prefix: str
    scopes: str
    name: str
    created_us: int
    expires_us: int | None
    revoked_us: int | None


def add(connection: Connection, row: KeyRow) -> None:
    """Keep a key; AlreadyExistsError if the same key is kept already."""
    try:
        with connection.begin_nested():
            connection.execute(insert(api_keys), row._asdict())
    except IntegrityError as error:
        raise AlreadyExistsError("This key exists already; take another one.") from error


def by_hash(connection: Connection, key_hash: str) -> KeyRow | None:
    """Return the key of a hash, whatever its environment and state."""
    found = connection.execute(select(api_keys).where(api_keys.c.key_hash == key_hash)).first()
    return None if found is None else _key(found)


def of_environment(connection: Connection, environment: str) -> Sequence[KeyRow]:
    """Return the keys of an environment, the newest first."""
    query = select(api_keys).where(api_keys.c.environment == environment)
    query = query.order_by(api_keys.c.created_us.desc(), api_keys.c.id.desc())
    return [_key(row) for row in connection.execute(query)]


def revoke(connection: Connection, environment: str, key_id: str, at_us: int) -> bool:
    """Mark a key as revoked, once; say whether the environment has such a key."""
    this = (api_keys.c.environment == environment) & (api_keys.c.id == key_id)
    if connection.execute(select(api_keys.c.id).where(this)).first() is None:
        return False
    change = update(api_keys).where(this, api_keys.c.revoked_us.is_(None))
    connection.execute(change.values(revoked_us=at_us))
    return True


def _key(row: Row[tuple[object, ...]]) -> KeyRow:
    return KeyRow(**row._asdict())
