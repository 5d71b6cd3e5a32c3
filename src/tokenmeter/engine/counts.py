"""Counts of limits for all processes that share a database."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from tokenmeter.engine.clock import Clock, system_clock
from tokenmeter.engine.store.counts import Counts
from tokenmeter.engine.store.protocol import Store
from tokenmeter.engine.store.rows import microseconds, moment
from tokenmeter.rating.rounding import plain

KEPT = timedelta(days=40)  # longer than the longest window
PRUNED_EVERY_S = 3600.0
STEP_S_MAX = 60.0  # a clock that was moved by more is not believed for an hour

Monotonic = Callable[[], float]

Part = tuple[str, str, datetime, Decimal]  # see enforcement.parts.Part


class StoredCounters:
    """Counts by key and window; see enforcement.parts.Counters."""

    def __init__(
        self,
        store: Store,
        environment: str = "",
        *,
        clock: Clock = system_clock,
        monotonic: Monotonic = time.monotonic,
    ) -> None:
        self._store = store
        self._environment = environment
        self._clock = clock
        self._monotonic = monotonic
        self._looked = clock(), monotonic()

    def add(self, key: str, window: datetime, amount: Decimal, most: Decimal) -> bool:
        """Add if the sum stays within `most`; say whether it did."""
        at_us = microseconds(window)
        with self._store.writing() as connection:
            counts = Counts(connection, self._environment)
            self._prune(counts)
            sum_then = counts.locked(key, at_us) + amount
            if sum_then > most:
                return False
            counts.write(key, at_us, sum_then)
        return True

    def correct(self, key: str, window: datetime, by: Decimal) -> None:
        """Add what may be negative, whatever the sum."""
        at_us = microseconds(window)
        with self._store.writing() as connection:
            counts = Counts(connection, self._environment)
            counts.write(key, at_us, counts.locked(key, at_us) + by)

    def keep(self, reference: str, parts: Sequence[Part]) -> None:
        """Remember what was counted for a job until its end."""
        kept = [(unit, key, microseconds(at), plain(much)) for unit, key, at, much in parts]
        now_us = microseconds(self._clock())
        with self._store.writing() as connection:
            Counts(connection, self._environment).keep(reference, json.dumps(kept), now_us)

    def taken_back(self, reference: str) -> Sequence[Part]:
        """Return what was remembered, and forget it; nothing if nothing was."""
        with self._store.reading() as connection:
            if Counts(connection, self._environment).kept(reference) is None:
                return ()
        with self._store.writing() as connection:
            counts = Counts(connection, self._environment)
            text = counts.kept(reference)
            is_ours = counts.forget(reference)
        if text is None or not is_ours:
            return ()
        return [(u, key, moment(at_us), Decimal(much)) for u, key, at_us, much in json.loads(text)]

    def _prune(self, counts: Counts) -> None:
        """Forget what is old by a clock that went evenly: by one that jumps, all would be."""
        (since, since_s), now_s = self._looked, self._monotonic()
        if now_s - since_s < PRUNED_EVERY_S:
            return
        now = self._clock()
        self._looked = now, now_s
        if abs((now - since).total_seconds() - (now_s - since_s)) <= STEP_S_MAX:
            counts.prune(microseconds(now - KEPT))
