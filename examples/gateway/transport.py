"""The proxy's transport: httpx2's own connection pool, over sockets that are quick."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterable, AsyncIterator
from urllib.request import getproxies

import httpcore2
import httpx2

from .wire import Sockets


def transport_of(limits: httpx2.Limits) -> httpx2.AsyncBaseTransport | None:
    """Return it; None, which is httpx2's own, where the environment names a proxy."""
    return None if {"http", "https", "all"} & set(getproxies()) else Transport(limits)


class Transport(httpx2.AsyncBaseTransport):
    """Sends requests over a pool of connections."""

    def __init__(self, limits: httpx2.Limits, *, verify: ssl.SSLContext | bool = True) -> None:
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=httpx2.create_ssl_context(verify=verify),
            max_connections=limits.max_connections,
            max_keepalive_connections=limits.max_keepalive_connections,
            keepalive_expiry=limits.keepalive_expiry,
            network_backend=Sockets(),
        )

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send one; the answer's body is yet to come."""
        url = request.url
        try:
            answer = await self._pool.handle_async_request(
                httpcore2.Request(
                    request.method,
                    httpcore2.URL(
                        scheme=url.raw_scheme,
                        host=url.raw_host,
                        port=url.port,
                        target=url.raw_path,
                    ),
                    headers=request.headers.raw,
                    content=request.stream,
                    extensions=request.extensions,
                )
            )
        except Exception as error:
            raise _named(error) from error
        return httpx2.Response(
            answer.status,
            headers=answer.headers,
            stream=_Answer(answer),
            extensions=answer.extensions,
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._pool.aclose()


class _Answer(httpx2.AsyncByteStream):
    def __init__(self, answer: httpcore2.Response) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        stream = self._answer.stream
        assert isinstance(stream, AsyncIterable)
        try:
            async for part in stream:
                yield part
        except Exception as error:
            raise _named(error) from error

    async def aclose(self) -> None:
        await self._answer.aclose()


def _named(error: Exception) -> Exception:
    """Return an error of the pool's as that of httpx2, which has the same name."""
    same = getattr(httpx2, type(error).__name__, None)
    if isinstance(same, type) and issubclass(same, httpx2.TransportError):
        return same(str(error))
    return error
