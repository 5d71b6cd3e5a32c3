"""The answer to a watched request, as the taps of requests, aiohttp and botocore see it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from tokenmeter.capture.eventstream import CONTENT_TYPE, SSE_TYPE, Frames
from tokenmeter.capture.exchange import Exchange

FAILED_FROM = 400  # HTTP status, inclusive


class Answer:
    """
    Hands the bytes of one answer to its exchange.

    `edits`: what `take` returns may differ from what came. An answer that is still compressed
    when it passes is never edited.
    """

    __slots__ = ("_frames", "_headers", "_status", "edits", "encoded", "exchange")

    def __init__(
        self, exchange: Exchange, status: int, headers: Mapping[str, str], *, decoded: bool
    ) -> None:
        self.exchange = exchange
        self._status = status
        self._headers = headers
        self._frames: Frames | None = None
        self.encoded = headers.get("content-encoding", "identity") not in {"", "identity"}
        self.begin(decoded=decoded)

    def begin(self, *, decoded: bool) -> None:
        """Say how the bytes will come; may be said again before the first of them."""
        headers = self._headers
        if headers.get("content-type", "").startswith(CONTENT_TYPE) and self._status < FAILED_FROM:
            self._frames = Frames()
            headers = {"content-type": SSE_TYPE, "date": headers.get("date", "")}
        self.exchange.response(self._status, headers, decoded=decoded)
        self.edits = self.exchange.rewrites and (decoded or not self.encoded)

    def take(self, data: bytes) -> bytes:
        """Take the next bytes; return those that the user is to get."""
        if self._frames is None:
            given = self.exchange.chunk(data)
            return given if self.edits else data
        for piece in self.pieces(data):
            self.exchange.chunk(piece)
        return data

    def ended(self) -> bytes:
        """The answer is complete; return the bytes that were held back."""
        held = self.exchange.end()
        return held if self.edits else b""

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """Yield what the exchange is to be given of `data`."""
        frames = self._frames
        if frames is None:
            yield data
            return
        yield from frames.decode(data)
        if frames.failed:
            self._frames = None
            self.exchange.broken(ValueError("this is no AWS event stream"))

    def all_pieces(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """The same for all chunks that are still to come."""
        for data in chunks:
            yield from self.pieces(data)
