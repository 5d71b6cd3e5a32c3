"""Trouble is logged once, not once per event."""

from __future__ import annotations

import logging

_logger = logging.getLogger("tokenmeter.delivery")


class Alarms:
    """
    Log the first report of each kind of trouble; stay silent until it is over.

    `last` keeps the newest message for `health()`, logged or not.
    """

    def __init__(self) -> None:
        self._sounding: set[str] = set()
        self.last: str | None = None

    def sound(self, kind: str, message: str) -> None:
        """Report trouble of this kind; only the first report since `over` is logged."""
        self.last = message
        if kind not in self._sounding:
            self._sounding.add(kind)
            _logger.error("tokenmeter: %s", message)

    def over(self, kind: str, message: str) -> None:
        """Say that trouble of this kind has ended, if there was any."""
        if kind in self._sounding:
            self._sounding.discard(kind)
            _logger.warning("tokenmeter: %s", message)
