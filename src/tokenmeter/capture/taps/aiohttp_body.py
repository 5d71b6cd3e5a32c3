"""
The body of an aiohttp answer: a StreamReader of aiohttp's own class, filled by us.

aiohttp's ways to read (`read`, `readline`, `iter_any` …) are as they were: each waits for more
bytes in one method, `_wait`, and there we take them from the reader that aiohttp made.
"""

from __future__ import annotations

import asyncio
import sys
import weakref
from collections.abc import AsyncIterator, Callable
from functools import lru_cache
from typing import Any

from tokenmeter.capture.taps.answer import Answer
from tokenmeter.capture.taps.drain import DRAIN_S_MAX, drain_async

DRAIN_LOOK_S = 0.5  # while an answer is read on, so often its connection is looked at


def watched_reader(response: Any, answer: Answer) -> Any:
    """Return the reader that takes the place of `response.content`."""
    return _reader_class(sys.modules["aiohttp.streams"].StreamReader)(response, answer)


def filled_reader(body: bytes) -> Any:
    """Return a reader of aiohttp's that has all of a body."""
    streams = sys.modules["aiohttp.streams"]
    reader = streams.StreamReader(_Flow(), max(1, len(body)), loop=asyncio.get_running_loop())
    reader.feed_data(body)
    reader.feed_eof()
    return reader


@lru_cache(maxsize=2)
def _reader_class(base: type) -> Any:
    return type("WatchedReader", (_Watch, base), {})


class _Flow:
    """Stands for the connection: nothing arrives by itself, so nothing need be paused."""

    connected = True
    _reading_paused = False  # aiohttp before 3.14 looks here

    def pause_reading(self) -> None:
        """There is nothing to pause."""

    def resume_reading(self, **_options: Any) -> None:
        """There is nothing to resume."""


class _Watch:
    """Our part of the reader; the other base is aiohttp's StreamReader."""

    _source: Any = None
    _answer: Any = None
    _exception: BaseException | None
    _eof: bool

    def __init__(self, response: Any, answer: Answer) -> None:
        base: Any = super()
        limit = response.content.get_read_buffer_limits()[0]
        base.__init__(_Flow(), limit, loop=asyncio.get_running_loop())
        self._source = response.content
        self._answer = answer
        self._response = weakref.ref(response)
        self._chunked = "chunked" in response.headers.get("Transfer-Encoding", "").lower()
        if self._chunked:
            base.begin_http_chunk_receiving()

    def __del__(self) -> None:
        exchange = None if self._answer is None else self._answer.exchange
        if exchange is not None and exchange.is_open and not exchange.is_draining:
            exchange.close()

    async def _wait(self, func_name: str) -> None:  # noqa: ARG002 - aiohttp's signature
        """Fetch more bytes. A read that is cancelled may be tried again: it ends nothing."""
        try:
            data, chunk_ended = await self._source.readchunk()
        except RuntimeError:  # another task is reading, and goes on
            raise
        except Exception as error:
            self._answer.exchange.fail(error)
            raise
        self._took(data, chunk_ended=chunk_ended)

    def _took(self, data: bytes, *, chunk_ended: bool = False) -> None:
        base: Any = super()
        base.feed_data(self._answer.take(data) if data else b"")
        self.total_compressed_bytes = getattr(self._source, "total_compressed_bytes", None)
        if chunk_ended and self._chunked:
            base.end_http_chunk_receiving()
        self._end_with_source()

    def _end_with_source(self) -> None:
        if self._source.at_eof() and not self._eof:
            base: Any = super()
            base.feed_data(self._answer.ended())
            base.feed_eof()

    def read_nowait(self, n: int = -1) -> bytes:
        base: Any = super()
        if self.exception() is None and not self._eof:
            self._took(self._source.read_nowait(-1))
        given: bytes = base.read_nowait(n)
        return given

    def at_eof(self) -> bool:
        base: Any = super()
        self._end_with_source()
        return bool(base.at_eof())

    def is_eof(self) -> bool:
        return bool(self._source.is_eof())

    async def wait_eof(self) -> None:
        await self._source.wait_eof()

    def on_eof(self, callback: Callable[[], None]) -> None:
        self._source.on_eof(callback)

    def set_read_chunk_size(self, n: int) -> None:
        base: Any = super()
        base.set_read_chunk_size(n)
        self._source.set_read_chunk_size(n)

    def exception(self) -> BaseException | None:
        found: BaseException | None = self._exception or self._source.exception()
        return found

    def set_exception(self, exc: BaseException, *cause: Any) -> None:
        """Released or closed: aiohttp says so here, whichever way it happened."""
        base: Any = super()
        if not self._gone():
            self._source.set_exception(exc, *cause)
        base.set_exception(exc, *cause)

    def _gone(self) -> bool:
        """The user reads no further; say whether we do."""
        exchange = self._answer.exchange
        if exchange.is_draining:
            return True
        if exchange.is_open and not exchange.call.streamed:
            self._look_at_arrived()
        connection = self._detached()
        if connection is None:
            exchange.close()
            return False
        drain_async(exchange, self._rest(connection), _Line(connection))
        return True

    def _look_at_arrived(self) -> None:
        """An answer that nobody reads has often arrived all the same."""
        source = self._source
        if source.exception() is None and not self._eof:
            try:
                self._answer.take(source.read_nowait(-1))
            except RuntimeError:  # another task is still waiting for it
                return
            self._end_with_source()

    def _detached(self) -> Any:
        """Take the connection from the response if we read on, so that it stays open."""
        response: Any = self._response()
        connection = getattr(response, "_connection", None)
        if connection is None or not _in_loop() or not self._answer.exchange.drains():
            return None
        response._connection = None  # noqa: SLF001 - else aiohttp closes it now
        return connection

    async def _rest(self, connection: Any) -> AsyncIterator[bytes]:
        """Yield what is still to come. A session that is closed does not wake its readers."""
        clock = asyncio.get_running_loop().time
        until_s = clock() + DRAIN_S_MAX
        while not self._source.at_eof():
            try:
                data = await asyncio.wait_for(self._source.readany(), DRAIN_LOOK_S)
            except Exception as error:
                if connection.closed or clock() > until_s:
                    raise asyncio.CancelledError from error  # given up, and no fault of ours
                if not isinstance(error, TimeoutError):
                    raise
                continue
            for piece in self._answer.rest((data,)):
                yield piece


def _in_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


class _Line:
    """The connection of an answer that is read on without the user."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def aclose(self) -> None:
        self._connection.release()
