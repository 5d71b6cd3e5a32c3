"""Events whose records have just been written: the shipper need not read them from the disk."""

from __future__ import annotations

from typing import Any

from tokenmeter.event import Event
from tokenmeter.lines import event_of, record_of

FRESH_MAX = 4096  # events kept until they are shipped; beyond it, records are read again
_KEY = slice(40, 200)  # of a line: most often the event's id is in it, and it is soon hashed


class Fresh:
    """The last events by their lines. One shipper takes each; others read the journal."""

    __slots__ = ("_events",)

    def __init__(self) -> None:
        self._events: dict[bytes, tuple[bytes, Event]] = {}

    def put(self, line: bytes, event: Event) -> None:
        """Remember the event of a record that ends with a newline."""
        if len(self._events) >= FRESH_MAX:
            self._events.clear()  # nobody takes them: the backend is down
        self._events[line[_KEY]] = (line, event)

    def read(self, line: bytes) -> Event | dict[str, Any] | None:
        """Return the event of a line, or the record that must be resolved; None for neither."""
        return self._taken(line) or event_of(line) or record_of(line)

    def read_records(self, line: bytes) -> Event | dict[str, Any] | None:
        """As `read`, but what is not known is a record, also if it is an event as it stands."""
        return self._taken(line) or record_of(line)

    def _taken(self, line: bytes) -> Event | None:
        """Take the event of this very line, which has lost its newline."""
        key = line[_KEY] if len(line) >= _KEY.stop else line[_KEY] + b"\n"
        kept = self._events.pop(key, None)
        if kept is None:
            return None
        written, event = kept
        return event if len(written) == len(line) + 1 and written.startswith(line) else None
