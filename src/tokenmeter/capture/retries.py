"""Which call an exchange belongs to: a failed attempt is claimed, once, by its repetition."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from itertools import count

from tokenmeter.attribution import Note, Repeats, Run, Scope, name_of

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


def run_id_of(given: object) -> str:
    """Return the id of a run as the user named it; a new one if there is no name."""
    return name_of(given) or new_id("run_")


def claim(scope: Scope, wanted: Callable[[], Repeats], window_s: float) -> Note | None:
    """
    Take the newest failed attempt that this exchange repeats, of the last `window_s` seconds.

    `wanted` is asked only if a note waits: it hashes the request.
    """
    level: Scope | None = scope
    while level is not None:
        if level.notes:
            found = _claimed(level, wanted(), time.monotonic() - window_s, scope.run)
            if found is not None:
                return found
        level = level.outer
    return None


def _claimed(level: Scope, repeats: Repeats, since_s: float, run: Run | None) -> Note | None:
    for note in reversed(level.notes):
        if note.failed_at_s <= since_s or note.repeats != repeats:
            continue
        if note.may_be_claimed_in(run) and _taken(level, note):
            return note
    return None


def _taken(level: Scope, note: Note) -> bool:
    """Remove the note; False if another thread was faster."""
    try:
        level.notes.remove(note)
    except ValueError:
        return False
    return True
