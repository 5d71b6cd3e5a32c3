"""
Work in slices: a thread of ours that computes lets the user's threads have Python in between.

A thread that wants Python waits up to 5 ms for one that computes; a call must not be held that
long because events are being delivered.
"""

from __future__ import annotations

import time

SLICE_S = 0.0005
YIELD_S = 0.00005


class Slices:
    """Call `let_others_in` between two short pieces of work."""

    def __init__(self) -> None:
        self._end = time.perf_counter() + SLICE_S

    def let_others_in(self) -> None:
        """Sleep for a moment if this slice is over."""
        if time.perf_counter() >= self._end:
            time.sleep(YIELD_S)
            self._end = time.perf_counter() + SLICE_S
