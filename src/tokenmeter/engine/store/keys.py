"""
Which event ids are stored: their keys, short hashes, new ones aside until they are sorted in.

Ids of events lie anywhere in the order of ids: an index of them would have each batch change as
many pages as it has events. So a batch's keys are written as one row, a tail, and with tail n
the keys of all tails that fall into slice n % SLICES are sorted in: few pages, side by side.
After SLICES tails a tail has nothing left and goes.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from hashlib import blake2b
from itertools import chain
from typing import Any

from sqlalchemy import Connection, select

from tokenmeter.engine.store.bulk import Insertion, insert_rows, run
from tokenmeter.engine.store.packed import can_be_stored, pack
from tokenmeter.engine.store.schema import event_tails

# More would write less where many millions of events are stored, and remember more keys. Another
# number needs a migration: what of the tails is sorted in goes by it.
SLICES = 128
TAIL_KEYS_MAX = 2_000  # a larger batch makes several tails
KEYS_PER_QUERY = 1_000
SOUGHT_MAX = 8  # keys that are searched for in the bytes of tails; more are compared one by one
KEY_BYTES = 8
_SLICE_SHIFT = 56  # a key has 63 bits, its slice is the first 7 of them


def keys_of(packed: Sequence[bytes]) -> list[int]:
    """Return the key of each packed id; two ids may have one: their events tell them apart."""
    digests = b"".join([blake2b(name, digest_size=KEY_BYTES).digest() for name in packed])
    return [key >> 1 for key in _read(digests)]


class Recent:
    """The keys that are not sorted in, as of one tail."""

    def __init__(self) -> None:
        self.number = 0  # of the last tail
        self._events: dict[int, int] = {}  # by key
        self._twins: dict[int, list[int]] = {}  # further events of a key, which is rare
        self._slices: list[list[int]] = [[] for _ in range(SLICES)]

    def found(self, keys: Iterable[int]) -> Iterator[tuple[int, int]]:
        """Yield the events of those keys that are not sorted in, by key."""
        for key in self._events.keys() & keys:
            yield key, self._events[key]
            yield from ((key, event) for event in self._twins.get(key, ()))

    def take(self, number: int, first: int, keys: Sequence[int]) -> None:
        """Take the keys of the next tail, which are of events numbered from `first` on."""
        fresh = dict(zip(keys, range(first, first + len(keys)), strict=True))
        if len(fresh) < len(keys) or not self._events.keys().isdisjoint(fresh):
            fresh = self._without_twins(first, keys)
        self._events |= fresh
        slices = self._slices
        for key in fresh:
            slices[key >> _SLICE_SHIFT].append(key)
        self.number = number

    def sorted_in(self, number: int) -> list[tuple[int, int]]:
        """Give up the slice that is sorted in with a tail: keys and their events."""
        at = number % SLICES
        held, self._slices[at] = self._slices[at], []
        held.sort()
        rows = [(key, self._events.pop(key)) for key in held]
        if not self._twins:
            return rows
        twins = [(key, event) for key in held for event in self._twins.pop(key, ())]
        return sorted(rows + twins)

    def _without_twins(self, first: int, keys: Sequence[int]) -> dict[int, int]:
        fresh: dict[int, int] = {}
        for event, key in enumerate(keys, start=first):
            if key in fresh or key in self._events:
                self._twins.setdefault(key, []).append(event)
            else:
                fresh[key] = event
        return fresh


class Tails:
    """What a process remembers of the tails, so that it need not read them each time."""

    def __init__(self) -> None:
        self._recent: Recent | None = None

    def current(self, connection: Connection) -> Recent:
        """
        Return the keys that are not sorted in; hand them back with `keep` after the commit.

        The caller ingests: nobody else adds meanwhile.
        """
        recent, self._recent = self._recent, None
        last = run(connection, _LAST).fetchone()[0] or 0
        if recent is None or not recent.number <= last < recent.number + SLICES:
            recent = Recent()
            recent.number = max(0, last - SLICES)  # what came before is sorted in
        if recent.number < last:
            _catch_up(connection, recent)
        return recent

    def keep(self, recent: Recent) -> None:
        """Remember what has been committed."""
        self._recent = recent

    def forget(self) -> None:
        """Remember nothing, of a database that may be gone."""
        self._recent = None


def add_keys(connection: Connection, recent: Recent, first: int, keys: Sequence[int]) -> None:
    """Keep the keys of new events, numbered from `first` on."""
    for start in range(0, len(keys), TAIL_KEYS_MAX):
        some = keys[start : start + TAIL_KEYS_MAX]
        number = recent.number + 1
        insert_rows(connection, _TAIL, [(number, first + start, _written(some))])
        recent.take(number, first + start, some)
        rows = recent.sorted_in(number)
        if rows:
            insert_rows(connection, _INTO, rows)
        run(connection, _FORGET, (number - SLICES + 1,))


def stored_events(
    connection: Connection, keys: Sequence[int], recent: Recent
) -> dict[int, list[int]]:
    """Return the events that have one of the keys, by key; most keys have none."""
    found: defaultdict[int, list[int]] = defaultdict(list)
    for key, event in chain(_sorted_in(connection, keys), recent.found(keys)):
        found[key].append(event)
    return found


def candidates(
    connection: Connection, ids: Iterable[str], recent: Recent | None = None
) -> list[int]:
    """Return the numbers of the events that may have one of these ids, and perhaps others."""
    keys = list(set(keys_of([pack(name) for name in ids if can_be_stored(name)])))
    found = [event for _key, event in _sorted_in(connection, keys)]
    if recent is not None:
        found += [event for _key, event in recent.found(keys)]
    elif keys:
        for first, held in connection.execute(_TAILS):
            found += _within(bytes(held), first, keys)
    return found


def _catch_up(connection: Connection, recent: Recent) -> None:
    query = _TAILS.add_columns(event_tails.c.number).where(event_tails.c.number > recent.number)
    for first, held, number in connection.execute(query.order_by(event_tails.c.number)):
        recent.take(number, first, _read(bytes(held)))
        recent.sorted_in(number)


def _sorted_in(connection: Connection, keys: Sequence[int]) -> Iterator[tuple[int, int]]:
    for start in range(0, len(keys), KEYS_PER_QUERY):
        some: Any = keys[start : start + KEYS_PER_QUERY]
        if connection.dialect.name == "sqlite":
            listed, values = f"IN ({_signs(len(some))})", some
        else:
            listed, values = "= ANY(?)", (list(some),)
        yield from run(
            connection,
            f"SELECT key, event_id FROM event_keys WHERE key {listed}",  # noqa: S608 - signs
            values,
        )


@lru_cache(maxsize=KEYS_PER_QUERY)
def _signs(count: int) -> str:
    return ", ".join("?" * count)


def _within(held: bytes, first: int, keys: Sequence[int]) -> Iterator[int]:
    if len(keys) > SOUGHT_MAX:
        sought = frozenset(keys)
        yield from (at for at, key in enumerate(_read(held), start=first) if key in sought)
        return
    for key in keys:
        told = _written([key])
        at = held.find(told)
        while at >= 0:
            if at % KEY_BYTES == 0:
                yield first + at // KEY_BYTES
            at = held.find(told, at + 1)


def _written(keys: Sequence[int]) -> bytes:
    return struct.pack(f">{len(keys)}Q", *keys)


def _read(held: bytes) -> Sequence[int]:
    return struct.unpack(f">{len(held) // KEY_BYTES}Q", held)


_INTO = Insertion("event_keys", ("key", "event_id"), (0, 1), "ON CONFLICT DO NOTHING")
_TAIL = Insertion("event_tails", ("number", "first_event", "keys"), (0, 1, 2))
_FORGET = "DELETE FROM event_tails WHERE number <= ?"
_LAST = "SELECT max(number) FROM event_tails"
_TAILS = select(event_tails.c.first_event, event_tails.c["keys"])
