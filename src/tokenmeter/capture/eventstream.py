"""
AWS event streams (`application/vnd.amazon.eventstream`), read as server-sent events.

A frame is: total length, length of the headers, a checksum of both; headers; payload; a
checksum of all. A frame whose sum is wrong is read all the same, and flagged: the user's
library may not look at sums.
"""

from __future__ import annotations

import base64
import binascii
import json
import struct
from collections.abc import Iterator

from tokenmeter.providers.base import Reading

CONTENT_TYPE = "application/vnd.amazon.eventstream"
SSE_TYPE = "text/event-stream"
NOT_FRAMES = Reading(flags=frozenset({"not_frames"}))
DAMAGED = Reading(flags=frozenset({"damaged_frame"}))
FRAME_BYTES_MAX = 1024 * 1024  # a larger frame is passed over: no usage report is that large
SLICE_BYTES = 64 * 1024  # of a chunk that is there as a whole, so much is looked at at a time

_PRELUDE = struct.Struct(">III")
PRELUDE_BYTES = _PRELUDE.size
_SUM_BYTES = 4
_SMALLEST = _PRELUDE.size + _SUM_BYTES
_LARGEST = 25 * 1024 * 1024  # of AWS: 24 MiB of payload, 128 KiB of headers
_TEXT = 7  # the header type of a string; 6 is bytes, both have a length before them
_FIXED = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}  # bytes by header type


class Frames:
    """
    Turns an AWS event stream into server-sent events, in bounded memory.

    Each frame becomes one event: its JSON payload with the frame's type under
    ``":event-type"``; an exception also has its type under ``"__exception"``. The payload of
    an InvokeModel frame, base64 in ``"bytes"``, is unpacked. `failed`: these are no frames.
    `over`: an exception ended the stream. `doubts`: what is wrong with them, if anything is.
    """

    __slots__ = ("_pending", "_skip", "doubts", "failed", "over")

    def __init__(self) -> None:
        self.failed = False
        self.doubts: Reading | None = None
        self.over = False
        self._pending = bytearray()
        self._skip = 0  # bytes still to come of a frame that is too large

    def decode(self, data: bytes) -> Iterator[bytes]:
        """Yield an event for each frame that is complete with the next chunk."""
        for start in range(0, len(data), SLICE_BYTES):
            if self.failed:
                return
            self._pending += data[start : start + SLICE_BYTES]
            while frame := self._next():
                yield as_event(*frame)
                self.over = self.over or is_exception(frame[0])

    def _next(self) -> tuple[dict[str, str], bytes] | None:
        pending = self._pending
        while True:
            skipped = min(self._skip, len(pending))
            del pending[:skipped]
            self._skip -= skipped
            if self._skip or len(pending) < _PRELUDE.size:
                return None
            total, headers_length, _ = _PRELUDE.unpack_from(pending)
            if not _SMALLEST + headers_length <= total <= _LARGEST:
                self.failed, self.doubts = True, NOT_FRAMES
                pending.clear()
                return None
            if total <= FRAME_BYTES_MAX:
                break
            self._skip = total
        if len(pending) < total:
            return None
        frame = bytes(pending[:total])
        del pending[:total]
        if binascii.crc32(frame[:-_SUM_BYTES]) != int.from_bytes(frame[-_SUM_BYTES:]):
            self.doubts = DAMAGED
        body = _PRELUDE.size + headers_length
        return frame_headers(frame[_PRELUDE.size : body]), frame[body:-_SUM_BYTES]


def begins_frames(data: bytes) -> bool:
    """Tell an event stream by its first `PRELUDE_BYTES`: a frame's lengths and their checksum."""
    if len(data) < PRELUDE_BYTES:
        return False
    total, headers_length, checksum = _PRELUDE.unpack_from(data)
    is_possible: bool = _SMALLEST + headers_length <= total <= _LARGEST
    return is_possible and binascii.crc32(data[: PRELUDE_BYTES - _SUM_BYTES]) == checksum


def frame_headers(raw: bytes) -> dict[str, str]:
    """Return the headers that are text; what cannot be read ends them."""
    found: dict[str, str] = {}
    at = 0
    try:
        while at < len(raw):
            name_end = at + 1 + raw[at]
            name = raw[at + 1 : name_end].decode(errors="replace")
            kind, at = raw[name_end], name_end + 1
            if kind in _FIXED:
                at += _FIXED[kind]
                continue
            end = at + 2 + int.from_bytes(raw[at : at + 2])
            if kind == _TEXT:
                found[name] = raw[at + 2 : end].decode(errors="replace")
            at = end
    except IndexError:
        return found
    return found


def is_exception(headers: dict[str, str]) -> bool:
    """Tell the frame that ends a stream which failed."""
    return headers.get(":message-type", "event") != "event"


def as_event(headers: dict[str, str], payload: bytes) -> bytes:
    """
    Return a frame as a server-sent event.

    What the frame itself says comes last, so that no payload can say otherwise: an agent's text
    may be JSON, too.
    """
    kind = headers.get(":event-type", "")
    front: dict[str, str] = {":event-type": kind}
    if is_exception(headers):
        failure = headers.get(":exception-type") or headers.get(":error-code") or "error"
        front = {":event-type": kind or failure, "__exception": failure}
    elif kind == "chunk":
        payload = _unpacked(payload)
    end = json.dumps(front, separators=(",", ":")).encode()
    rest = payload.strip()
    if rest.startswith(b"{") and rest.endswith(b"}"):
        inner = rest[:-1].rstrip()
        rest = inner + (b"" if inner == b"{" else b",") + end[1:]
    else:
        rest = end  # an agent's chunk holds its text
    # A line break inside JSON is white space; in a server-sent event it would end the line.
    return b"data: " + rest.replace(b"\r", b" ").replace(b"\n", b" ") + b"\n\n"


def _unpacked(payload: bytes) -> bytes:
    """Return what an InvokeModel frame holds; the payload itself if it is anything else."""
    try:
        inner = json.loads(payload)["bytes"]
        return base64.b64decode(inner, validate=True)
    except (ValueError, TypeError, KeyError, RecursionError, binascii.Error):
        return payload
