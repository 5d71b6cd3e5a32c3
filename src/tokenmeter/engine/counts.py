"""Counts of limits for all processes that share a database."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from tokenmeter.engine.clock import Clock, system_clock
from tokenmeter.engine.store.counts import Counts
from tokenmeter.engine.store.protocol import Store
from tokenmeter.engine.store.rows import microseconds, moment
from tokenmeter.rating.rounding import plain

KEPT = timedelta(days=40)  # longer than the longest window
PRUNED_EVERY = timedelta(hours=1)


Part = tuple[str, str, datetime, Decimal]  # see enforcement.limits.Part


class StoredCounters:
    """Counts by key and window; see enforcement.limits.Counters."""

    def __init__(
        self, store: Store, environment: str = "", *, clock: Clock = system_clock
    ) -> None:
        self._store = store
        self._environment = environment
        self._clock = clock
        self._pruned: datetime | None = None

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
        now = self._clock()
        if self._pruned is None or now - self._pruned > PRUNED_EVERY:
            self._pruned = now
            counts.prune(microseconds(now - KEPT))
