"""How much text passed in a stream of events, estimated from a sample of them."""

from __future__ import annotations

import json
import re

from tokenmeter.providers.base import Api

SAMPLE_BYTES_MAX = 4 * 1024  # kept of the first events, to learn how much of them is text
# A larger event is looked at by itself: what a search found, an image, the request told again.
LARGE_BYTES = 2 * 1024

# More empty lines end nothing; a line may end in another way than the one before it.
BOUNDARY = re.compile(rb"\r\n\r\n[\r\n]*|\n\n\n*|\r\r\r*|\n\r\n[\r\n]*|\r\n\n[\r\n]*")
_BLANKS = (b"\r\n\r\n", b"\n\n", b"\r\r")
_MARK = b"\xef\xbb\xbf"  # of the byte order, which may stand before the first event


class Passed:
    """Takes whole events; says how many bytes of text the stream has held."""

    __slots__ = ("_api", "_large_bytes", "_large_events", "_large_text", "_sample")

    def __init__(self, api: Api) -> None:
        self._api = api
        self._sample = b""
        self._large_events = self._large_bytes = self._large_text = 0

    def take(self, events: bytes) -> bool:
        """Take whole events; say whether more small ones are wanted, as large ones always are."""
        if len(events) > LARGE_BYTES:
            self._take_many(events)
        elif len(self._sample) < SAMPLE_BYTES_MAX:
            self._sample += events
        return len(self._sample) < SAMPLE_BYTES_MAX

    def skip(self, size: int) -> None:
        """Leave an event of `size` bytes out that is too large to be kept: it is no text."""
        self._large_events += 1
        self._large_bytes += size

    def text_bytes(self, bytes_seen: int, events: int) -> int:
        """Estimate the bytes of text in `events` events, which were `bytes_seen` long in all."""
        text = around = with_text = without = without_bytes = 0
        for raw in BOUNDARY.split(self._sample)[:-1]:
            found = self._text_of(raw)
            if found:
                text, around, with_text = text + found, around + len(raw) - found, with_text + 1
            else:
                without, without_bytes = without + 1, without_bytes + len(raw)
        if not with_text:
            return self._large_text
        small = events - self._large_events
        later = max(0, small - without)
        blank = len(_between(self._sample))
        framing = without_bytes + blank * small + around * later // with_text
        return self._large_text + max(text, bytes_seen - self._large_bytes - framing)

    def _take_many(self, events: bytes) -> None:
        """Go from one large event to the next, over as many small ones as lie between."""
        between = _between(events)
        blank, at = len(between), 0
        while at < len(events):
            last = events.rfind(between, at, at + LARGE_BYTES + blank)
            if last >= 0:
                if len(self._sample) < SAMPLE_BYTES_MAX:
                    self._sample += events[at : last + blank]
                at = last + blank
                continue
            end = events.find(between, at)
            end = len(events) if end < 0 else end
            self._large_text += self._text_of(events[at:end])
            self.skip(end + blank - at)
            at = end + blank

    def _text_of(self, raw: bytes) -> int:
        if self._api.text is None:
            return 0
        try:
            parsed = json.loads(event_data(raw))
        except (ValueError, RecursionError):
            return 0
        text = self._api.text(parsed) if isinstance(parsed, dict) else ""
        return len(text.encode(errors="replace"))  # a half character is no UTF-8


def _between(events: bytes) -> bytes:
    """Return what most streams of this kind have between two events."""
    return next((blank for blank in _BLANKS if blank in events), b"\n\n")


def event_data(raw: bytes) -> bytes:
    """
    Return the data of one raw event; its lines joined as the standard says.

    Some gateways call every answer a stream of events: a JSON text is its own data.
    """
    if raw.startswith(b"data:") and b"\n" not in raw[:-2] and b"\r" not in raw:
        return raw[5:].strip()
    raw = raw.removeprefix(_MARK)
    lines = [line[5:].strip() for line in raw.splitlines() if line.startswith(b"data:")]
    return b"\n".join(lines) or _json_of(raw)


def _json_of(raw: bytes) -> bytes:
    begun = raw.lstrip()
    return begun if begun[:1] in (b"{", b"[") else b""
