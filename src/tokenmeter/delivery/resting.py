"""What a shipper does between two steps: it waits, and a glance at the journal costs little."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from tokenmeter.delivery.journal import Journal

LINGER_S = 0.2  # between two glances for new records; callers do not wake the thread
LOOK_S = 2.0  # between two looks at all there is, if there are none: ours and others' files


class Rest:
    """Ends when there may be something to do: a record, a chore, somebody's call, a look."""

    def __init__(self, journal: Journal, has_chores: Callable[[], bool]) -> None:
        self.wake = threading.Event()
        self._journal, self._has_chores = journal, has_chores
        self._mark: object = None

    def mark(self) -> None:
        """Say that the journal is read now: what comes from here on ends the next rest."""
        self._mark = self._journal.mark

    def take(self, pause_s: Callable[[], float], *, is_busy: bool) -> None:
        """Wait for `pause_s` at a time; once only if the shipper has records in its hands."""
        look_at = time.monotonic() + LOOK_S
        while not self.wake.wait(pause_s()):
            if is_busy or self._has_work() or time.monotonic() >= look_at:
                break
        self.wake.clear()

    def _has_work(self) -> bool:
        mark = self._journal.mark
        return mark is None or mark != self._mark or self._has_chores()
