"""Faults of ours during a user's call: counted, logged once each, never raised."""

from __future__ import annotations

import logging

log = logging.getLogger("tokenmeter")

FAULT_KINDS_MAX = 100  # different faults that are logged; all are counted
FAULT_CHARS_MAX = 200  # of a fault's message, to tell it from others


class Faults:
    """Counts what went wrong on our side; `count` is part of a meter's health."""

    def __init__(self) -> None:
        self.count = 0
        self._kinds: set[str] = set()

    def add(self, error: BaseException) -> None:
        """Count a fault, and log it the first time."""
        self.count += 1
        kind = f"{type(error).__name__}: {error}"[:FAULT_CHARS_MAX]
        if kind not in self._kinds and len(self._kinds) < FAULT_KINDS_MAX:
            self._kinds.add(kind)
            log.error("tokenmeter could not meter a call; the call is unharmed", exc_info=error)
