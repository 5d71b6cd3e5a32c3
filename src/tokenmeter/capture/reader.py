"""Fold the bytes of one answer into a Reading, in constant memory."""

from __future__ import annotations

import json
from typing import Any, Protocol

from tokenmeter.capture.squeeze import KEEP_BYTES, Squeezed
from tokenmeter.providers.base import NO_READING, Api, Reading

FEED_BYTES = 64 * 1024  # a body that is there as a whole is read in slices of this size
BINARY_BYTES_MAX = 64 * 1024  # of an answer that is not JSON, at most this much is looked at


class Reader(Protocol):
    """Takes the plain bytes of an answer; `reading` is what they reported so far."""

    reading: Reading

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes; return those that the user is to get."""
        ...

    def end(self) -> bytes:
        """Say that nothing more comes; return what was held back."""
        ...


NOT_JSON = Reading(flags=frozenset({"not_json"}))
_DECODER = json.JSONDecoder()


def fold_payload(api: Api, reading: Reading, payload: bytes | bytearray) -> Reading:
    """Read one JSON payload on top of `reading`; what is not JSON is flagged."""
    try:
        parsed: Any = json.loads(payload)
    except (ValueError, RecursionError):
        return reading | NOT_JSON
    return fold_parsed(api, reading, parsed)


def fold_parsed(api: Api, reading: Reading, parsed: object) -> Reading:
    """Fold one JSON object, or each object of a list; anything else is flagged."""
    if isinstance(parsed, dict):
        read = api.read(parsed)
        return reading.plus(read) if api.adds else reading | read
    if isinstance(parsed, list):
        for element in parsed:
            reading = fold_parsed(api, reading, element)
        return reading
    return reading | NOT_JSON


class BodyReader:
    """
    An answer that is one JSON value, a list of them, JSON lines, or not JSON at all.

    Lists and lines are folded as they come, so their length does not matter.
    """

    def __init__(self, api: Api, content_type: str) -> None:
        self.reading = NO_READING
        self._api = api
        self._content_type = content_type
        self._body = Squeezed()

    def feed(self, data: bytes) -> bytes:
        for start in range(0, len(data), FEED_BYTES):
            self._body.feed(data[start : start + FEED_BYTES])
            if len(self._body.kept) > KEEP_BYTES:
                self._consume(last=False)
        return data

    def end(self) -> bytes:
        if self._body.overflowed:
            self.reading = self.reading | Reading(flags=frozenset({"body_too_large"}))
            return b""
        self._consume(last=True)
        body = bytes(self._body.kept).strip()
        if not body or body == b"]":
            return b""
        if self._api.read_bytes is not None and body[:1] not in (b"{", b"["):
            read = self._api.read_bytes(body[:BINARY_BYTES_MAX], self._content_type)
            self.reading = self.reading | read
        else:
            self.reading = fold_payload(self._api, self.reading, body)
        return b""

    def _consume(self, *, last: bool) -> None:
        """Fold the whole elements of a list, or the whole lines, that have arrived."""
        body = bytes(self._body.kept)
        start = body.lstrip()[:1]
        if start in (b"[", b","):
            rest = self._fold_elements(body.decode(errors="replace"))
            self._body.kept = bytearray(rest.encode())
        elif _looks_like_lines(body):
            *lines, rest_line = body.splitlines(keepends=True)
            if last or rest_line.endswith(b"\n"):
                lines, rest_line = [*lines, rest_line], b""
            for line in lines:
                if line.strip():
                    self.reading = fold_payload(self._api, self.reading, line)
            self._body.kept = bytearray(rest_line)

    def _fold_elements(self, body: str) -> str:
        """Fold the objects at the front of a list; return what is left of it."""
        at = 0
        while True:
            begin = at + len(body[at:]) - len(body[at:].lstrip("[, \t\r\n"))
            try:
                parsed, at = _DECODER.raw_decode(body, begin)
            except (ValueError, RecursionError):
                return body[at:]
            self.reading = fold_parsed(self._api, self.reading, parsed)


def _looks_like_lines(body: bytes) -> bool:
    """JSON lines: a whole object on the first line and another one after it."""
    first, _, rest = body.strip().partition(b"\n")
    return first.endswith(b"}") and first.startswith(b"{") and rest.lstrip()[:1] == b"{"


class SilentReader:
    """An answer in an encoding that cannot be read here: flagged, never guessed."""

    def __init__(self, encoding: str) -> None:
        self.reading = Reading(flags=frozenset({f"unreadable_encoding:{encoding[:20]}"}))

    def feed(self, data: bytes) -> bytes:
        return data

    def end(self) -> bytes:
        return b""
