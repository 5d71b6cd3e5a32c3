"""An edited stream of which we read no more, after a fault of ours: the user loses nothing."""

from __future__ import annotations

import json

from tokenmeter.capture.passed import BOUNDARY, event_data
from tokenmeter.capture.reader import Reader, SilentReader
from tokenmeter.capture.sse import HELD_BYTES_MAX, EventReader, is_only_usage
from tokenmeter.providers.base import Reading

FAULT = Reading(flags=frozenset({"meter_fault"}))


class PassingReader(SilentReader):
    """
    Goes on where another reader stumbled, with the bytes that it held back.

    It asks no adapter. The chunk that only we asked for is still taken out.
    """

    def __init__(self, held: bytes) -> None:
        super().__init__("")
        self._held = held

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes; return all whole events but ours."""
        rest, start = self._held + data, 0
        given: list[bytes] = []
        for boundary in BOUNDARY.finditer(rest):
            event, start = rest[start : boundary.end()], boundary.end()
            if not _is_ours(event):
                given.append(event)
        self._held = rest[start:]
        if len(self._held) > HELD_BYTES_MAX:
            given.append(self._held)
            self._held = b""
        return b"".join(given)

    def end(self) -> bytes:
        """Return what was held back, unless it is ours."""
        held, self._held = self._held, b""
        return b"" if _is_ours(held) else held


def reader_after_fault(stumbled: Reader | None, *, strips: bool) -> Reader:
    """Return what reads on after a fault of ours, beginning with what is known so far."""
    held = stumbled.held if strips and isinstance(stumbled, EventReader) else None
    reader = SilentReader("") if held is None else PassingReader(held)
    reader.reading = FAULT if stumbled is None else stumbled.reading | FAULT
    return reader


def reader_after_close(last: Reader | None, *, strips: bool) -> Reader | None:
    """Return what hands an edited stream on whose event is written while the user reads on."""
    held = last.held if strips and isinstance(last, EventReader) else None
    return None if held is None else PassingReader(held)


def _is_ours(event: bytes) -> bool:
    if b'"usage"' not in event:
        return False
    try:
        return is_only_usage(json.loads(event_data(event)))
    except (ValueError, RecursionError):
        return False
