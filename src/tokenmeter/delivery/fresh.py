"""Events whose records have just been written: the shipper need not read them from the disk."""

from __future__ import annotations

from typing import Any

from tokenmeter.event import Event
from tokenmeter.lines import event_of, record_of

FRESH_MAX = 4096  # events kept until they are shipped; beyond it, records are read again


class Fresh:
    """The last events by their lines. One shipper takes each; others read the journal."""

    __slots__ = ("_events",)

    def __init__(self) -> None:
        # No tuples: each object that outlives its call brings a collection of garbage nearer.
        self._events: dict[bytes, Event] = {}

    def put(self, line: bytes, event: Event) -> None:
        """Remember the event of a record that ends with a newline."""
        if len(self._events) >= FRESH_MAX:
            self._events.clear()  # nobody takes them: the backend is down
        self._events[line] = event

    def read(self, line: bytes) -> Event | dict[str, Any] | None:
        """
        Return the event of a line, or the record that must be resolved; None for neither.

        The line has lost its newline.
        """
        return self._events.pop(line + b"\n", None) or event_of(line) or record_of(line)

    def read_records(self, line: bytes) -> Event | dict[str, Any] | None:
        """As `read`, but what is not known is a record, also if it is an event as it stands."""
        return self._events.pop(line + b"\n", None) or record_of(line)
