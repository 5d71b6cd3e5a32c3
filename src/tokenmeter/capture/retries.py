"""Which call an exchange belongs to: a failed attempt is claimed, once, by its repetition."""

from __future__ import annotations

import os
from collections.abc import Callable

from tokenmeter.attribution import Note, Repeats, Scope


def new_id(prefix: str) -> str:
    """Return a fresh random id: 128 bits."""
    return prefix + os.urandom(16).hex()


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
