"""Which call an exchange belongs to: a failed attempt is claimed, once, by its repetition."""

from __future__ import annotations

import os
from collections.abc import Callable

from tokenmeter.attribution import Attribution, Note, Scope


def new_id(prefix: str) -> str:
    """Return a fresh random id: 128 bits."""
    return prefix + os.urandom(16).hex()


def claim(
    scope: Scope | None, attribution: Attribution, fingerprint: Callable[[], bytes], since_s: float
) -> Note | None:
    """
    Take the newest failed attempt that this exchange repeats.

    It repeats one if fingerprint and attribution are equal and it failed after `since_s`
    (monotonic). The fingerprint is asked for only if a note waits.
    """
    if scope is None:
        return None
    for level in scope.chain():
        if not level.notes:
            continue
        wanted = fingerprint()
        for note in reversed(level.notes):
            if (
                note.failed_at_s >= since_s
                and note.fingerprint == wanted
                and note.attribution == attribution
                and _taken(level, note)
            ):
                return note
    return None


def _taken(level: Scope, note: Note) -> bool:
    """Remove the note; False if another thread was faster."""
    try:
        level.notes.remove(note)
    except ValueError:
        return False
    return True
