"""The answer to a watched request, as the taps of requests, aiohttp and botocore see it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from tokenmeter.capture.eventstream import CONTENT_TYPE
from tokenmeter.capture.exchange import Exchange

SMALL_BYTES = 64  # shorter pieces are gathered up to a line: requests reads byte by byte
GATHERED_BYTES_MAX = 1024


class Answer:
    """
    Hands the bytes of one answer to its exchange.

    `edits`: what `take` returns may differ from what came. An answer that is still compressed
    when it passes is never edited.
    """

    __slots__ = ("_gathers", "_headers", "_small", "_status", "edits", "encoded", "exchange")

    def __init__(
        self, exchange: Exchange, status: int, headers: Mapping[str, str], *, decoded: bool
    ) -> None:
        self.exchange = exchange
        self._status = status
        self._headers = headers
        self._small = b""
        # A frame of AWS has no line that would end it.
        self._gathers = not headers.get("content-type", "").startswith(CONTENT_TYPE)
        self.encoded = headers.get("content-encoding", "identity") not in {"", "identity"}
        self.begin(decoded=decoded)

    def begin(self, *, decoded: bool) -> None:
        """Say how the bytes will come; "not decoded" may be said later, before the first."""
        try:
            self.exchange.response(self._status, self._headers, decoded=decoded)
        except Exception as error:  # noqa: BLE001 - our fault; the user still gets the answer
            self.exchange.broken(error)
        self.edits = self.exchange.rewrites and (decoded or not self.encoded)

    def take(self, data: bytes) -> bytes:
        """Take the next bytes; return those that the user is to get."""
        try:
            if len(data) < SMALL_BYTES and self._gathered(data):
                return b"" if self.edits else data
            whole, self._small = self._small + data, b""
        except TypeError as error:  # a body that gives no bytes is the user's to see
            self.exchange.broken(error)
            return data
        given = self.exchange.chunk(whole)
        return given if self.edits else data

    def ended(self) -> bytes:
        """The answer is complete; return the bytes that were held back."""
        whole, self._small = self._small, b""
        held = (self.exchange.chunk(whole) if whole else b"") + self.exchange.end()
        return held if self.edits else b""

    def rest(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Yield what the exchange has not seen of the chunks so far, and those still to come."""
        whole, self._small = self._small, b""
        if whole:
            yield whole
        yield from chunks

    def _gathered(self, data: bytes) -> bool:
        """Keep a small piece until its line is complete: an event ends with a line."""
        whole = len(self._small) + len(data)
        if not self._gathers or whole > GATHERED_BYTES_MAX or b"\n" in data:
            return False
        self._small += data
        return True
