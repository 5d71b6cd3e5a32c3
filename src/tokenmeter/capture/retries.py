"""Which call an exchange belongs to: a failed attempt is claimed, once, by its repetition."""

from __future__ import annotations

import os
import random
from collections.abc import Callable

from tokenmeter.attribution import Note, Repeats, Scope

# Ids must differ, not be secret: a generator seeded from the system saves a system call each.
_random = random.Random()  # noqa: S311 - as said
os.register_at_fork(after_in_child=_random.seed)


def new_id(prefix: str) -> str:
    """Return a fresh random id: 128 bits."""
    return f"{prefix}{_random.getrandbits(128):032x}"


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
