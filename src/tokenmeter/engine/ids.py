"""Ids as Flexprice writes them: a prefix and a ULID, ``meter_01JDSZ7Y…``, rising with time."""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections.abc import Callable

RANDOM_BITS = 80
CHARACTERS = 26

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32
_NS_PER_MS = 1_000_000


class IdSource:
    """Makes ids that rise: within a millisecond, and when the clock goes back, it counts on."""

    def __init__(self, now_ms: Callable[[], int] | None = None) -> None:
        self._now_ms = now_ms or (lambda: time.time_ns() // _NS_PER_MS)
        self.forget()

    def forget(self) -> None:
        """Start with new random bits: after a fork both processes would count on alike."""
        self._lock = threading.Lock()
        self._last = 0

    def new(self, prefix: str) -> str:
        """Make one id."""
        fresh = self._now_ms() << RANDOM_BITS | secrets.randbits(RANDOM_BITS)
        with self._lock:
            same = fresh >> RANDOM_BITS <= self._last >> RANDOM_BITS
            self._last = self._last + 1 if same else fresh
            return f"{prefix}_{_written(self._last)}"


def _written(number: int) -> str:
    shifts = range(5 * (CHARACTERS - 1), -1, -5)
    return "".join(_ALPHABET[number >> shift & 31] for shift in shifts)


_source = IdSource()
new_id = _source.new

if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_source.forget)
