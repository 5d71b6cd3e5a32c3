"""Texts that come again and again, kept once: names, and sets of labels."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection, Table, insert, select

from tokenmeter.engine.store.rollup_schema import rollup_combinations
from tokenmeter.engine.store.rows import Labels, LabelSet
from tokenmeter.engine.store.schema import label_sets, names

KEPT_MAX = 100_000  # numbers remembered per table; then the memory starts anew
KEYS_PER_QUERY = 500
DIGEST_BYTES = 16

K = TypeVar("K", bound=Hashable)
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode


class Interned(Generic[K]):
    """
    The numbers of one table's keys.

    A number never changes once it is committed, so what was read is remembered; what a
    transaction adds is remembered when it has been committed (`keep`).
    """

    def __init__(self, table: Table, row: Callable[[K], dict[str, Any]], key: str) -> None:
        self._table = table
        self._row = row
        self._column = table.c[key]
        self._known: dict[K, int] = {}

    def numbers(self, connection: Connection, keys: Collection[K]) -> dict[K, int]:
        """
        Return the number of each key; those that have none yet get one.

        Nobody else may be adding at the same time: the caller ingests (`Store.ingesting`).
        """
        known = self._known
        found = {key: known[key] for key in keys if key in known}
        if len(found) == len(keys):
            return found
        rows = {key: self._row(key) for key in keys if key not in known}
        stored = self._stored(connection, rows)
        wanted = {row[self._column.name]: row for row in rows.values()}
        missing = [row for told, row in wanted.items() if told not in stored]
        if missing:
            connection.execute(insert(self._table), missing)
            stored = self._stored(connection, rows)
        return found | {key: stored[row[self._column.name]] for key, row in rows.items()}

    def keep(self, numbers: Mapping[K, int]) -> None:
        """Remember committed numbers."""
        if len(self._known) + len(numbers) > KEPT_MAX:
            self._known = {}
        self._known.update(numbers)

    def forget(self) -> None:
        """Remember nothing, of a database that may be gone."""
        self._known = {}

    def _stored(
        self, connection: Connection, rows: Mapping[K, Mapping[str, Any]]
    ) -> dict[Any, int]:
        told = list({row[self._column.name] for row in rows.values()})
        found: dict[Any, int] = {}
        for first in range(0, len(told), KEYS_PER_QUERY):
            some = told[first : first + KEYS_PER_QUERY]
            query = select(self._column, self._table.c.id).where(self._column.in_(some))
            found |= {_hashable(key): number for key, number in connection.execute(query)}
        return found


def interned_names() -> Interned[str]:
    """Make the memory of `names`."""
    return Interned[str](names, lambda name: {"name": name}, "name")


def interned_labels() -> Interned[LabelSet]:
    """Make the memory of `label_sets`."""
    return Interned[LabelSet](label_sets, _label_row, "digest")


def interned_combinations() -> Interned[Labels]:
    """Make the memory of `rollup_combinations`."""
    return Interned[Labels](rollup_combinations, _combination_row, "digest")


def numbers_of(connection: Connection, told: Sequence[str]) -> list[int]:
    """Return the numbers of those names that have one."""
    query = select(names.c.id).where(names.c.name.in_([n for n in told if "\x00" not in n]))
    return list(connection.execute(query).scalars())


def _combination_row(key: Labels) -> dict[str, Any]:
    written = _encode(dict(key))
    return {"digest": _digest(written), "labels": written}


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=DIGEST_BYTES).digest()


def _label_row(key: LabelSet) -> dict[str, Any]:
    environment, event_name, source = key.environment, key.event_name, key.source
    labels = dict(key.pairs)
    written = _encode(labels)
    return {
        "digest": _digest(_encode([environment, event_name, source, labels])),
        "environment": environment,
        "event_name": event_name,
        "source": source,
        **{name: _text(labels.get(name)) for name in _COLUMNS},
        "billable": labels.get("billable") != "false",
        "labels": written,
    }


_COLUMNS = ("provider", "model", "model_type", "feature", "outcome")


def _text(value: str | int | None) -> str | None:
    return None if value is None else str(value)


def _hashable(key: Any) -> Any:
    return bytes(key) if isinstance(key, bytes | memoryview) else key
