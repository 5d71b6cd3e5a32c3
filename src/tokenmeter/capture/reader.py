"""Fold the bytes of one answer into a Reading, in constant memory."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

from tokenmeter.capture.squeeze import KEEP_BYTES, Squeezed
from tokenmeter.providers.base import NO_READING, TEXT_CHARS_MAX, Api, Reading, is_clean

FEED_BYTES = 64 * 1024  # a body that is there as a whole is read in slices of this size
BINARY_BYTES_MAX = 64 * 1024  # of an answer that is not JSON, at most this much is looked at
FIRST_BYTES = 64  # in which the first character of a JSON text stands


class Reader(Protocol):
    """Takes the plain bytes of an answer."""

    @property
    def reading(self) -> Reading:
        """What they reported so far."""
        ...

    @reading.setter
    def reading(self, reading: Reading) -> None: ...

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes; return those that the user is to get."""
        ...

    def body(self) -> bytes | None:
        """Return all that was fed, if it is a small body of which nothing has been read yet."""
        ...

    def end(self) -> bytes:
        """Say that nothing more comes; return what was held back."""
        ...


NOT_JSON = Reading(flags=frozenset({"not_json"}))
NOT_UTF8 = Reading(flags=frozenset({"not_utf8"}))
TOO_LARGE = Reading(flags=frozenset({"body_too_large"}))
_DECODER = json.JSONDecoder()
_BETWEEN = re.compile(r"[\[,\s]*")  # elements of a list


def fold_payload(api: Api, reading: Reading, payload: bytes | bytearray) -> Reading:
    """Read one JSON payload on top of `reading`; what is not JSON is flagged."""
    parsed, doubts = parse(payload)
    return reading | doubts if doubts is NOT_JSON else fold_parsed(api, reading | doubts, parsed)


def parse(payload: bytes | bytearray) -> tuple[Any, Reading]:
    """Return the JSON value, and a reading that flags what is wrong with it."""
    try:
        return json.loads(payload), NO_READING
    except UnicodeDecodeError:
        try:  # a broken character in some text does not make the usage beside it wrong
            return json.loads(payload.decode(errors="replace")), NOT_UTF8
        except (ValueError, RecursionError):
            return None, NOT_JSON
    except (ValueError, RecursionError):
        return None, NOT_JSON


def fold_parsed(api: Api, reading: Reading, parsed: object) -> Reading:
    """Fold one JSON object, or each object of a list; anything else is flagged."""
    for element in parsed if isinstance(parsed, list) else (parsed,):
        if not isinstance(element, dict):
            reading = reading | NOT_JSON
            continue
        read = _clean(api.read(element))
        reading = reading.plus(read) if api.adds else reading | read
    return reading


def _clean(read: Reading) -> Reading:
    """Cut texts that no database would take: control characters, half characters, pages."""
    texts = (read.model, read.response_id, read.error_type, *read.dimensions.values())
    texts += tuple(text for part in read.parts for text in (part.name, part.model))
    if all(text is None or is_clean(text) for text in texts):
        return read
    return replace(
        read,
        model=_cut(read.model),
        response_id=_cut(read.response_id),
        error_type=_cut(read.error_type),
        dimensions=_cut_all(read.dimensions),
        parts=tuple(
            replace(part, name=_cut(part.name) or "", model=_cut(part.model))
            for part in read.parts
        ),
        flags=read.flags | {"invalid:text"},
    )


def _cut(text: str | None) -> str | None:
    if text is None or is_clean(text):
        return text
    return "".join(c if c.isprintable() else "?" for c in text[:TEXT_CHARS_MAX])


def _cut_all(texts: Mapping[str, str]) -> dict[str, str]:
    return {name: _cut(text) or "" for name, text in texts.items()}


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
        self._look_at = KEEP_BYTES  # doubles while nothing can be taken out: work stays linear

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes, and give them back as they are."""
        if self._is_binary(data):
            self._body.kept += data[: BINARY_BYTES_MAX - len(self._body.kept)]
            return data
        for start in range(0, len(data), FEED_BYTES):
            self._body.feed(data[start : start + FEED_BYTES])
            if len(self._body.kept) > self._look_at:
                self._consume(last=False)
                self._look_at = max(KEEP_BYTES + 1, 2 * len(self._body.kept))
        return data

    def body(self) -> bytes | None:
        """Return all that was fed, if it is a small body of which nothing has been read yet."""
        untouched = self.reading is NO_READING and self._look_at == KEEP_BYTES
        return bytes(self._body.kept) if untouched else None

    def end(self) -> bytes:
        """Read what is left; nothing was held back."""
        if self._body.overflowed:
            self.reading = self.reading | TOO_LARGE
            return b""
        self._consume(last=True)
        body = bytes(self._body.kept).strip()
        if not body or body == b"]":
            return b""
        if self._api.read_bytes is not None and self._is_binary(body):
            self.reading = self.reading | self._api.read_bytes(body, self._content_type)
        else:
            self.reading = fold_payload(self._api, self.reading, body)
        return b""

    def _is_binary(self, data: bytes) -> bool:
        """Sound or plain text, where the endpoint answers so; `data` counts if it comes first."""
        if self._api.read_bytes is None:
            return False
        first = bytes(self._body.kept[:FIRST_BYTES]) or data
        return first.lstrip()[:1] not in (b"{", b"[", b"")

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
            between = _BETWEEN.match(body, at)
            begin = at if between is None else between.end()
            try:
                parsed, at = _DECODER.raw_decode(body, begin)
            except (ValueError, RecursionError):
                return body[at:]
            self.reading = fold_parsed(self._api, self.reading, parsed)


def _looks_like_lines(body: bytes) -> bool:
    """JSON lines: a whole object on the first line and another one after it."""
    first, _, rest = body.strip().partition(b"\n")
    return first.rstrip().endswith(b"}") and first.startswith(b"{") and rest.lstrip()[:1] == b"{"


class SilentReader:
    """An answer in an encoding that cannot be read here: flagged, never guessed."""

    def __init__(self, encoding: str) -> None:
        self.reading = Reading(flags=frozenset({f"unreadable_encoding:{encoding[:20]}"}))

    def feed(self, data: bytes) -> bytes:
        """Give the bytes back as they are."""
        return data

    def body(self) -> bytes | None:
        """It cannot be read."""
        return None

    def end(self) -> bytes:
        """Nothing was held back."""
        return b""
