"""The answer to a watched request, as the taps of requests, aiohttp and botocore see it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from tokenmeter.capture.eventstream import CONTENT_TYPE, SSE_TYPE, Frames
from tokenmeter.capture.exchange import Exchange

FAILED_FROM = 400  # HTTP status, inclusive
SMALL_BYTES = 64  # shorter pieces are gathered up to a line: requests reads byte by byte
GATHERED_BYTES_MAX = 1024


class Answer:
    """
    Hands the bytes of one answer to its exchange.

    `edits`: what `take` returns may differ from what came. An answer that is still compressed
    when it passes is never edited.
    """

    __slots__ = ("_frames", "_headers", "_small", "_status", "edits", "encoded", "exchange")

    def __init__(
        self, exchange: Exchange, status: int, headers: Mapping[str, str], *, decoded: bool
    ) -> None:
        self.exchange = exchange
        self._status = status
        self._headers = headers
        self._frames: Frames | None = None
        self._small = b""
        self.encoded = headers.get("content-encoding", "identity") not in {"", "identity"}
        self.begin(decoded=decoded)

    def begin(self, *, decoded: bool) -> None:
        """Say how the bytes will come; "not decoded" may be said later, before the first."""
        headers = self._headers
        if headers.get("content-type", "").startswith(CONTENT_TYPE) and self._status < FAILED_FROM:
            self._frames = Frames()
            plain = {name.lower(): value for name, value in headers.items()}
            headers = {**plain, "content-type": SSE_TYPE}
        self.exchange.response(self._status, headers, decoded=decoded)
        self.edits = self.exchange.rewrites and (decoded or not self.encoded)

    def take(self, data: bytes) -> bytes:
        """Take the next bytes; return those that the user is to get."""
        if len(data) < SMALL_BYTES and self._gathered(data):
            return b"" if self.edits else data
        whole, self._small = self._small + data, b""
        given = self._seen(whole)
        return given if self.edits else data

    def ended(self) -> bytes:
        """The answer is complete; return the bytes that were held back."""
        whole, self._small = self._small, b""
        held = (self._seen(whole) if whole else b"") + self.exchange.end()
        return held if self.edits else b""

    def _gathered(self, data: bytes) -> bool:
        """Keep a small piece until its line is complete: an event ends with a line."""
        whole = len(self._small) + len(data)
        if self._frames is not None or whole > GATHERED_BYTES_MAX or b"\n" in data:
            return False
        self._small += data
        return True

    def _seen(self, whole: bytes) -> bytes:
        frames = self._frames
        if frames is None:
            return self.exchange.chunk(whole)
        for piece in self.pieces(whole):
            self.exchange.chunk(piece)
        if frames.over:
            self.exchange.end()  # the user's library raises now, and may leave it open
        return b""

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
        whole, self._small = self._small, b""
        yield from self.pieces(whole)
        for data in chunks:
            yield from self.pieces(data)
