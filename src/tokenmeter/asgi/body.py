"""The request's body: read once, with a limit, and given to the application as it came."""

from __future__ import annotations

import zlib

from tokenmeter.asgi.incoming import Message, Receive
from tokenmeter.capture.decode import open_decoder

UNPACKED_BYTES_MAX = 32 * 1024 * 1024  # of a compressed request body
PIECE_BYTES = 64 * 1024  # shorter parts of a body are gathered: it may come byte by byte
# Packages of brotli before 1.2 inflate in one piece what they are given.
SLICE_BYTES = 128
ZSTD = "zstd"
_WINDOW = {"gzip": 31, "x-gzip": 31, "deflate": 15}


class Body:
    """
    Stands between server and application: `receive` is what the application calls.

    `ahead` reads the whole body before the application runs, as enforcement must; otherwise it
    is seen as it passes. More than `bytes_max` is passed on, but not kept: `known` is None.
    """

    __slots__ = (
        "_ahead",
        "_bytes_max",
        "_parts",
        "_size",
        "_small",
        "_source",
        "complete",
        "left",
    )

    def __init__(self, source: Receive, bytes_max: int) -> None:
        self._source = source
        self._bytes_max = bytes_max
        self.left = False  # the client went away
        self.complete = False
        self._parts: list[bytes] = []
        self._small: bytearray | None = None  # behind them
        self._size = 0
        self._ahead: Message | None = None

    async def receive(self) -> Message:
        """Return the next message, as the server sent it."""
        ahead = self._ahead
        if ahead is not None:
            self._ahead = None
            return ahead
        message = await self._source()
        self._see(message)
        return message

    async def ahead(self) -> bool:
        """Read the body now; False if it is larger than the limit."""
        while not self.complete and not self.left:
            self._see(await self._source())
            if self._size > self._bytes_max:
                return False
        # As one message: a client may send its body byte by byte.
        content = self.known or b""
        self._ahead = (
            {"type": "http.disconnect"}
            if self.left
            else {"type": "http.request", "body": content, "more_body": False}
        )
        return True

    @property
    def known(self) -> bytes | None:
        """The body so far; None if it is too large to be kept."""
        parts = self._parts
        if self.complete and len(parts) == 1 and not self._small:
            return parts[0]  # as most come
        if self._size > self._bytes_max:
            return None
        if self._small:
            self._gather()
        if len(parts) > 1:
            self._parts = parts = [b"".join(parts)]
        return parts[0] if parts else b""

    def _see(self, message: Message) -> None:
        if message["type"] == "http.disconnect":
            self.left = True
            return
        data: bytes = message.get("body", b"")
        self.complete = not message.get("more_body", False)
        if self.complete and not self._size and len(data) <= self._bytes_max:
            self._size = len(data)
            self._parts = [data]  # all of it, as most come
            return
        self._size += len(data)
        if self._size > self._bytes_max:
            self._parts.clear()
            self._small = None
        elif self._small or (len(data) < PIECE_BYTES and not self.complete):
            small = self._small = bytearray() if self._small is None else self._small
            small += data
            if len(small) >= PIECE_BYTES:
                self._gather()
        elif data:
            self._parts.append(data)

    def _gather(self) -> None:
        if self._small:
            self._parts.append(bytes(self._small))
            self._small = None


def unpacked(body: bytes, encoding: str) -> bytes | None:
    """Return a body without its content-encodings; None if that cannot be done within limits."""
    names = [name for part in encoding.split(",") if (name := part.strip().lower())]
    names = [name for name in names if name != "identity"]
    if not names:
        return body
    if ZSTD in names and len(names) > 1:
        return None  # no client sends that: a bomb need not be opened up to the limit
    window = _WINDOW.get(names[0]) if len(names) == 1 else None
    return _inflated(body, window) if window is not None else _decoded(body, encoding)


def _inflated(body: bytes, window: int) -> bytes | None:
    unpacker = zlib.decompressobj(window)
    try:
        plain = unpacker.decompress(body, UNPACKED_BYTES_MAX)
    except zlib.error:
        return _inflated(body, -window) if window == _WINDOW["deflate"] else None
    # What stands behind the end is read by some servers, and would be by none of ours.
    whole = unpacker.eof and not unpacker.unconsumed_tail and not unpacker.unused_data
    return plain if whole else None


def _decoded(body: bytes, encoding: str) -> bytes | None:
    decoder = open_decoder(encoding)
    if decoder is None:
        return None
    parts: list[bytes] = []
    size = 0
    for start in range(0, len(body), SLICE_BYTES):
        for part in decoder.decode(body[start : start + SLICE_BYTES]):
            parts.append(part)
            size += len(part)
            if size > UNPACKED_BYTES_MAX:
                return None
    return None if decoder.failed else b"".join(parts)
