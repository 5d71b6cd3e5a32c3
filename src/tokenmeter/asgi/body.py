"""The request's body: read once, with a limit, and given to the application as it came."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field

from tokenmeter.asgi.incoming import Message, Receive

UNPACKED_BYTES_MAX = 32 * 1024 * 1024  # of a compressed request body
_WINDOW = {"gzip": 31, "x-gzip": 31, "deflate": 15}


@dataclass(slots=True)
class Body:
    """
    Stands between server and application: `receive` is what the application calls.

    `ahead` reads the whole body before the application runs, as enforcement must; otherwise it
    is seen as it passes. More than `bytes_max` is passed on, but not kept: `known` is None.
    """

    source: Receive
    bytes_max: int
    left: bool = False  # the client went away
    complete: bool = False
    _parts: list[bytes] = field(default_factory=list[bytes])
    _size: int = 0
    _ahead: list[Message] = field(default_factory=list[Message])

    async def receive(self) -> Message:
        """Return the next message, as the server sent it."""
        if self._ahead:
            return self._ahead.pop(0)
        message = await self.source()
        self._see(message)
        return message

    async def ahead(self) -> bool:
        """Read the body now; False if it is larger than the limit."""
        while not self.complete and not self.left:
            message = await self.source()
            self._see(message)
            self._ahead.append(message)
            if self._size > self.bytes_max:
                self._ahead.clear()
                return False
        return True

    @property
    def known(self) -> bytes | None:
        """The body so far; None if it is too large to be kept."""
        if self._size > self.bytes_max:
            return None
        if len(self._parts) > 1:
            self._parts = [b"".join(self._parts)]
        return self._parts[0] if self._parts else b""

    def _see(self, message: Message) -> None:
        if message["type"] == "http.disconnect":
            self.left = True
            return
        data: bytes = message.get("body", b"")
        self._size += len(data)
        if self._size > self.bytes_max:
            self._parts.clear()
        elif data:
            self._parts.append(data)
        self.complete = not message.get("more_body", False)


def unpacked(body: bytes, encoding: str) -> bytes | None:
    """Return a body without its content-encoding; None if that cannot be done within limits."""
    name = encoding.strip().lower()
    if name in {"", "identity"}:
        return body
    window = _WINDOW.get(name)
    if window is None:
        return None
    unpacker = zlib.decompressobj(window)
    try:
        plain = unpacker.decompress(body, UNPACKED_BYTES_MAX)
    except zlib.error:
        return None
    return plain if unpacker.eof and not unpacker.unconsumed_tail else None
