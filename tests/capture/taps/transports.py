"""Transports as lm15's are to their callers, that play answers in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.capture.play import Answer, Player


@dataclass(slots=True)
class TransportRequest:
    """What is to be sent."""

    method: str
    url: str
    headers: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    body: bytes = b""


class TransportResponse:
    """Gives its connection back once: when it is read, or closed."""

    def __init__(
        self,
        *,
        status: int,
        reason: str,
        headers: list[tuple[str, str]],
        http_version: str,
        chunks: Iterator[bytes],
        release: Callable[[bool], None],
    ) -> None:
        self.status, self.reason, self.http_version = status, reason, http_version
        self.headers = headers
        self._chunks, self._release, self._released = chunks, release, False

    def __iter__(self) -> Iterator[bytes]:
        is_read = False
        try:
            yield from self._chunks
            is_read = True
        finally:
            self._once(is_read=is_read)

    def _once(self, *, is_read: bool = False) -> None:
        released, self._released = self._released, True
        if not released:
            self._release(is_read)

    def __enter__(self) -> TransportResponse:
        return self

    def __exit__(self, *error: object) -> None:
        self._once()


class AsyncTransportResponse:
    """The same, awaited."""

    def __init__(
        self,
        *,
        status: int,
        reason: str,
        headers: list[tuple[str, str]],
        http_version: str,
        chunks: AsyncIterator[bytes],
        release: Callable[[bool], Awaitable[None]],
    ) -> None:
        self.status, self.reason, self.http_version = status, reason, http_version
        self.headers = headers
        self._chunks, self._release, self._released = chunks, release, False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        is_read = False
        try:
            async for chunk in self._chunks:
                yield chunk
            is_read = True
        finally:
            await self._once(is_read=is_read)

    async def _once(self, *, is_read: bool = False) -> None:
        released, self._released = self._released, True
        if not released:
            await self._release(is_read)

    async def aclose(self) -> None:
        await self._once()


class StdlibTransport:
    """Answers from a player."""

    def __init__(self, player: Player) -> None:
        self._player = player

    def stream(self, request: TransportRequest) -> TransportResponse:
        answer = self._player.next(request)
        return TransportResponse(
            **_head(answer), chunks=_chunks(self._player, answer), release=self._closed
        )

    def _closed(self, _is_read: object) -> None:
        self._player.closed += 1


class StdlibAsyncTransport:
    """The same, awaited."""

    def __init__(self, player: Player) -> None:
        self._player = player

    def stream(self, request: TransportRequest) -> _Sending:
        return _Sending(self._player, request)


class _Sending:
    """Sends when it is entered or awaited."""

    def __init__(self, player: Player, request: TransportRequest) -> None:
        self._player, self._request = player, request
        self._response: AsyncTransportResponse | None = None

    def __await__(self) -> Generator[Any, Any, AsyncTransportResponse]:
        return self._send().__await__()

    async def __aenter__(self) -> AsyncTransportResponse:
        self._response = await self._send()
        return self._response

    async def __aexit__(self, *error: object) -> None:
        if self._response is not None:
            await self._response.aclose()

    async def _send(self) -> AsyncTransportResponse:
        answer = self._player.next(self._request)
        return AsyncTransportResponse(
            **_head(answer), chunks=_later(self._player, answer), release=self._closed
        )

    async def _closed(self, _is_read: object) -> None:
        self._player.closed += 1


def _head(answer: Answer) -> dict[str, Any]:
    headers = list(answer.headers.items())
    return {"status": answer.status, "reason": "", "headers": headers, "http_version": "HTTP/1.1"}


def _chunks(player: Player, answer: Answer) -> Iterator[bytes]:
    for chunk in answer.chunks:
        player.taken += 1
        yield chunk
    if answer.error is not None:
        raise answer.error


async def _later(player: Player, answer: Answer) -> AsyncIterator[bytes]:
    for chunk in _chunks(player, answer):
        yield chunk
