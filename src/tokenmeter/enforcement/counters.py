"""Counts in memory: of one process."""

from __future__ import annotations

import threading
from datetime import datetime
from decimal import Decimal

COUNTS_MAX = 100_000  # the oldest windows are forgotten first


class MemoryCounters:
    """Counts by key and window for the threads of one process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[tuple[str, datetime], Decimal] = {}

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

    def _forget(self) -> None:
        oldest = sorted(self._counts, key=lambda place: place[1])
        for place in oldest[: COUNTS_MAX // 10]:
            del self._counts[place]
