"""API keys: made once, shown once, kept as a hash, bound to one environment."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from tokenmeter.engine.clock import Clock, system_clock
from tokenmeter.engine.errors import NotFoundError, ValidationError
from tokenmeter.engine.ids import new_id
from tokenmeter.engine.store import api_keys
from tokenmeter.engine.store.api_keys import KeyRow
from tokenmeter.engine.store.protocol import Store
from tokenmeter.engine.store.rows import microseconds, moment

KEY_BYTES = 32
KEY_CHARS_MIN = 16  # of a key that somebody chose
KEY_CHARS_MAX = 512
PREFIX_CHARS = 8  # of a key that are kept readable, to tell keys apart
NAME_CHARS_MAX = 200


class Scope(StrEnum):
    """What a key may do; `admin` may do everything within its environment."""

    INGEST = "ingest"  # send events; hold, settle and void credit
    READ = "read"
    ADMIN = "admin"


def scopes_of(names: Iterable[str]) -> list[Scope]:
    """Read the names of scopes."""
    try:
        return [Scope(name) for name in names]
    except ValueError:
        raise ValidationError(f"scopes must be of {', '.join(Scope)}.") from None


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key without its secret."""

    key_id: str
    environment: str
    name: str
    prefix: str
    scopes: frozenset[Scope]
    created_at: datetime
    expires_at: datetime | None = None  # exclusive
    revoked_at: datetime | None = None

    def is_valid(self, at: datetime) -> bool:
        """Tell whether the key opens anything at this moment."""
        return self.revoked_at is None and (self.expires_at is None or at < self.expires_at)

    def may(self, scope: Scope) -> bool:
        """Tell whether the key has a scope."""
        return scope in self.scopes or Scope.ADMIN in self.scopes


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key just made: the only time its secret is known."""

    secret: str
    key: ApiKey


class ApiKeys:
    """The keys of all environments in one database."""

    def __init__(self, store: Store, now: Clock = system_clock) -> None:
        self._store = store
        self._now = now

    def create(
        self,
        environment: str,
        scopes: Iterable[Scope],
        *,
        name: str = "",
        expires_at: datetime | None = None,
        secret: str | None = None,
    ) -> NewKey:
        """Make a key, or keep a `secret` that somebody chose, of at least 16 characters."""
        chosen, now = frozenset(scopes), self._now()
        if not chosen:
            raise ValidationError("A key needs a scope: ingest, read or admin.")
        if len(name) > NAME_CHARS_MAX:
            raise ValidationError(f"The name of a key has at most {NAME_CHARS_MAX} characters.")
        if expires_at is not None and expires_at <= now:
            raise ValidationError("expires_at lies in the past; take a later time.")
        known = f"tm_{secrets.token_urlsafe(KEY_BYTES)}" if secret is None else _checked(secret)
        key = ApiKey(
            new_id("key"), environment, name, known[:PREFIX_CHARS], chosen, now, expires_at
        )
        with self._store.writing() as connection:
            api_keys.add(connection, _row(key, known))
        return NewKey(known, key)

    def ensure(self, environment: str, secret: str) -> ApiKey:
        """Return the key of a secret, and keep it as an admin key if it is new."""
        with self._store.reading() as connection:
            found = api_keys.by_hash(connection, _hash(_checked(secret)))
        if found is not None:
            return _key(found)
        return self.create(environment, [Scope.ADMIN], name="first", secret=secret).key

    def find(self, secret: str) -> ApiKey | None:
        """Return the key of a secret if it is valid now, else None."""
        if not 0 < len(secret) <= KEY_CHARS_MAX:
            return None
        with self._store.reading() as connection:
            row = api_keys.by_hash(connection, _hash(secret))
        key = None if row is None else _key(row)
        return key if key is not None and key.is_valid(self._now()) else None

    def list(self, environment: str) -> Sequence[ApiKey]:
        """Return the keys of an environment, revoked and expired ones too, newest first."""
        with self._store.reading() as connection:
            return [_key(row) for row in api_keys.of_environment(connection, environment)]

    def revoke(self, environment: str, key_id: str) -> None:
        """Take a key back; it opens nothing from now on."""
        with self._store.writing() as connection:
            now_us = microseconds(self._now())
            if not api_keys.revoke(connection, environment, key_id, now_us):
                raise NotFoundError(f"There is no key {key_id!r}.")


def _checked(secret: str) -> str:
    usable = KEY_CHARS_MIN <= len(secret) <= KEY_CHARS_MAX and secret.isascii()
    if not usable or not secret.isprintable() or secret != secret.strip():
        raise ValidationError(
            f"A key has {KEY_CHARS_MIN} to {KEY_CHARS_MAX} printable ASCII characters."
        )
    return secret


def _hash(secret: str) -> str:
    # One round is enough: a key has 256 random bits, so there is nothing to guess.
    return hashlib.sha256(secret.encode()).hexdigest()


def _row(key: ApiKey, secret: str) -> KeyRow:
    expires = None if key.expires_at is None else microseconds(key.expires_at)
    return KeyRow(
        key.key_id,
        key.environment,
        _hash(secret),
        key.prefix,
        ",".join(sorted(key.scopes)),
        key.name,
        microseconds(key.created_at),
        expires,
        None,
    )


def _key(row: KeyRow) -> ApiKey:
    return ApiKey(
        row.id,
        row.environment,
        row.name,
        row.prefix,
        frozenset(Scope(name) for name in row.scopes.split(",")),
        moment(row.created_us),
        None if row.expires_us is None else moment(row.expires_us),
        None if row.revoked_us is None else moment(row.revoked_us),
    )
