"""Counts in memory: of one process."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from tokenmeter.enforcement.parts import Part

JOBS_MAX = 100_000  # remembered until their end, the oldest is forgotten first
COUNTS_MAX = 100_000  # the oldest windows are forgotten first


class MemoryCounters:
    """Counts by key and window for the threads of one process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[tuple[str, datetime], Decimal] = {}
        self._jobs: OrderedDict[str, Sequence[Part]] = OrderedDict()

    def add(self, key: str, window: datetime, amount: Decimal, most: Decimal) -> bool:
        """Add if the sum stays within `most`; say whether it did."""
        with self._lock:
            sum_then = self._counts.get((key, window), Decimal(0)) + amount
            if sum_then > most:
                return False
            if len(self._counts) >= COUNTS_MAX:
                self._forget()
            self._counts[key, window] = sum_then
            return True

    def correct(self, key: str, window: datetime, by: Decimal) -> None:
        """Add what may be negative, whatever the sum."""
        with self._lock:
            counted = self._counts.get((key, window))
            if counted is not None:
                self._counts[key, window] = counted + by

    def keep(self, reference: str, parts: Sequence[Part]) -> None:
        """Remember what was counted for a job until its end."""
        with self._lock:
            self._jobs[reference] = tuple(parts)
            if len(self._jobs) > JOBS_MAX:
                self._jobs.popitem(last=False)

    def taken_back(self, reference: str) -> Sequence[Part]:
        """Return what was remembered, and forget it; nothing if nothing was."""
        with self._lock:
            return self._jobs.pop(reference, ())

    def _forget(self) -> None:
        oldest = sorted(self._counts, key=lambda place: place[1])
        for place in oldest[: COUNTS_MAX // 10]:
            del self._counts[place]
