"""
Work in slices: a thread of ours that computes lets the user's threads have Python in between.

A thread that wants Python waits up to 5 ms for one that computes; a call must not be held that
long because events are being delivered.
"""

from __future__ import annotations

import threading
import time

SLICE_S = 0.0005
YIELD_S = 0.00005
GROUP_MAX = 16  # pieces of work of a few microseconds between two looks at the clock
GROUP_BYTES_MAX = 32 * 1024  # larger pieces go alone


class _Slice(threading.local):
    end = 0.0


_slice = _Slice()


def let_others_in() -> None:
    """Sleep for a moment if this thread's slice is over. Call it between short pieces of work."""
    if time.perf_counter() >= _slice.end:
        time.sleep(YIELD_S)
        _slice.end = time.perf_counter() + SLICE_S
