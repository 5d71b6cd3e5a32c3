"""Events whose records have just been written: the shipper need not read them from the disk."""

from __future__ import annotations

from tokenmeter.event import Event

FRESH_MAX = 4096  # events kept until they are shipped; beyond it, records are read again


class Fresh:
    """The last events by their lines. One shipper takes each; others read the journal."""

    __slots__ = ("_events",)

    def __init__(self) -> None:
        self._events: dict[bytes, Event] = {}

    def put(self, line: bytes, event: Event) -> None:
        """Remember the event of a record that ends with a newline."""
        if len(self._events) >= FRESH_MAX:
            self._events.clear()  # nobody takes them: the backend is down
        self._events[line[:-1]] = event

    def take(self, line: bytes) -> Event | None:
        """Return the event of a line, once; None if it is not known."""
        return self._events.pop(line, None)
