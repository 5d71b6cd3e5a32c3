"""Play answers through httpx and httpx2 transports, in chunks, sync and async."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import httpx
import httpx2

LIBRARIES = [httpx2, httpx]


@dataclass
class Answer:
    """One answer: its chunks are handed over one by one."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict[str, str])
    chunks: list[bytes] = field(default_factory=list[bytes])
    error: Exception | None = None  # raised after the chunks


@dataclass
class Player:
    """Answers requests from a list, the last one again and again; remembers what was sent."""

    answers: list[Answer]
    sent: list[Any] = field(default_factory=list[Any])
    closed: int = 0
    taken: int = 0

    def next(self, request: Any) -> Answer:
        self.sent.append(request)
        answer = self.answers[min(len(self.sent), len(self.answers)) - 1]
        if answer.error is not None and not answer.chunks:
            raise answer.error
        return answer

    def transport(self, library: ModuleType = httpx2) -> Any:
        """A transport of the library that plays these answers."""
        return _sync_transport(library, self)

    def async_transport(self, library: ModuleType = httpx2) -> Any:
        """The same for async clients."""
        return _async_transport(library, self)

    def client(self, library: ModuleType = httpx2, **options: Any) -> Any:
        return library.Client(transport=self.transport(library), **options)

    def async_client(self, library: ModuleType = httpx2, **options: Any) -> Any:
        return library.AsyncClient(transport=self.async_transport(library), **options)


def _sync_transport(library: ModuleType, player: Player) -> Any:
    class Stream(library.SyncByteStream):  # type: ignore[name-defined,misc]
        def __init__(self, answer: Answer) -> None:
            self._answer = answer

        def __iter__(self) -> Iterator[bytes]:
            for chunk in self._answer.chunks:
                player.taken += 1
                yield chunk
            if self._answer.error is not None:
                raise self._answer.error

        def close(self) -> None:
            player.closed += 1

    class Transport(library.BaseTransport):  # type: ignore[name-defined,misc]
        def handle_request(self, request: Any) -> Any:
            answer = player.next(request)
            request.read()
            return library.Response(answer.status, headers=answer.headers, stream=Stream(answer))

    return Transport()


def _async_transport(library: ModuleType, player: Player) -> Any:
    import asyncio

    class Stream(library.AsyncByteStream):  # type: ignore[name-defined,misc]
        def __init__(self, answer: Answer) -> None:
            self._answer = answer

        async def __aiter__(self) -> AsyncIterator[bytes]:
            for chunk in self._answer.chunks:
                player.taken += 1
                await asyncio.sleep(0)
                yield chunk
            if self._answer.error is not None:
                raise self._answer.error

        async def aclose(self) -> None:
            player.closed += 1

    class Transport(library.AsyncBaseTransport):  # type: ignore[name-defined,misc]
        async def handle_async_request(self, request: Any) -> Any:
            answer = player.next(request)
            await request.aread()
            return library.Response(answer.status, headers=answer.headers, stream=Stream(answer))

    return Transport()


def chunks_of(body: bytes, size: int) -> list[bytes]:
    """Cut a body into chunks."""
    return [body[start : start + size] for start in range(0, len(body), size)]


MakeHandler = Callable[[Any], Any]
