"""Which call an exchange belongs to: a failed attempt is claimed, once, by its repetition."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from itertools import count

from tokenmeter.attribution import Note, Repeats, Scope

# Ids must differ, not be secret: each process counts from a number of its own, out of 2**128.
_ids: list[Iterator[int]] = []


def _begin() -> None:
    _ids[:] = [count(int.from_bytes(os.urandom(16), "big"))]


_begin()
os.register_at_fork(after_in_child=_begin)


def new_id(prefix: str) -> str:
    """Return a fresh random id: 128 bits."""
    return f"{prefix}{next(_ids[0]) & ID_MASK:032x}"


ID_MASK = 2**128 - 1


def claim(scope: Scope | None, wanted: Callable[[], Repeats], since_s: float) -> Note | None:
    """
    Take the newest failed attempt that this exchange repeats, if it failed after `since_s`.

    `wanted` is asked only if a note waits: it hashes the request.
    """
    if scope is None:
        return None
    repeats: Repeats | None = None
    for level in scope.chain():
        for note in reversed(level.notes):
            repeats = repeats or wanted()
            if note.failed_at_s > since_s and note.repeats == repeats and _taken(level, note):
                return note
    return None


def _taken(level: Scope, note: Note) -> bool:
    """Remove the note; False if another thread was faster."""
    try:
        level.notes.remove(note)
    except ValueError:
        return False
    return True
