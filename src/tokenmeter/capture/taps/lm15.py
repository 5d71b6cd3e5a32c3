"""
The tap for lm15: `stream` of its transports, sync and async, on which everything of it is built.

It speaks HTTP by itself, over sockets. DSPy carries a copy of it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from tokenmeter.capture.exchange import Exchange
from tokenmeter.capture.taps.answer import Answer
from tokenmeter.capture.taps.drain import drain, drain_async
from tokenmeter.capture.taps.httpx import FindSink
from tokenmeter.capture.taps.outgoing import (
    body_bytes,
    edited_bytes,
    failed,
    open_once,
    split_url,
)
from tokenmeter.capture.taps.refused import lm15_response, refusal_of, refusal_soon
from tokenmeter.providers.base import Json

PACKAGES = ("lm15", "dspy._vendor.lm15")


class _Outgoing:
    """A transport's request in the adapter's terms."""

    __slots__ = ("_request", "headers", "host", "method", "path", "query", "url")

    def __init__(self, request: Any, url: str) -> None:
        self._request = request
        self.method: str = request.method.upper()
        self.url = url
        self.host, self.path, self.query = split_url(url)
        self.headers: Mapping[str, str] = _headers(request.headers)

    def body(self) -> bytes | None:
        return body_bytes(self._request.body)

    def fields(self) -> Json:
        return {}


def sync_wrapper(find_sink: FindSink) -> Callable[..., Any]:
    """Return the wrapt wrapper for `StdlibTransport.stream`."""

    def stream(wrapped: Any, _transport: Any, args: Any, kwargs: Any) -> Any:
        request = args[0] if args else kwargs.get("request")
        exchange = _open(find_sink, request)
        if exchange is None:
            return wrapped(*args, **kwargs)
        if refusal := refusal_of(exchange):
            return lm15_response(refusal, exchange.call, request, soon=False)
        try:
            response = wrapped(_sent(exchange, request))
        except BaseException as error:
            failed(exchange, error)
            raise
        return _attach(exchange, response, _Watch)

    return stream


def async_wrapper(find_sink: FindSink) -> Callable[..., Any]:
    """Return the wrapt wrapper for `StdlibAsyncTransport.stream`."""

    def stream(wrapped: Any, _transport: Any, args: Any, kwargs: Any) -> Any:
        if find_sink() is None:
            return wrapped(*args, **kwargs)
        return _Asked(find_sink, wrapped, args[0] if args else kwargs.get("request"))

    return stream


class _Asked:
    """What `async with` or `await` makes a call of; the call is made then."""

    def __init__(self, find_sink: FindSink, wrapped: Any, request: Any) -> None:
        self._find_sink, self._wrapped, self._request = find_sink, wrapped, request
        self._response: Any = None

    def __await__(self) -> Any:
        return self._send().__await__()

    async def __aenter__(self) -> Any:
        self._response = await self._send()
        return self._response

    async def __aexit__(self, *error: object) -> None:
        if self._response is not None:
            await self._response.aclose()

    async def _send(self) -> Any:
        exchange = _open(self._find_sink, self._request)
        if exchange is None:
            return await self._wrapped(self._request)
        if refusal := await refusal_soon(exchange):
            return lm15_response(refusal, exchange.call, self._request, soon=True)
        try:
            response = await self._wrapped(_sent(exchange, self._request))
        except BaseException as error:
            failed(exchange, error)
            raise
        return _attach(exchange, response, _AsyncWatch)


def _open(find_sink: FindSink, request: Any) -> Exchange | None:
    sink = find_sink()
    url = str(getattr(request, "url", ""))
    return None if sink is None else open_once(sink, url, lambda: _Outgoing(request, url))


def _headers(pairs: Any) -> dict[str, str]:
    return {name.lower(): value for name, value in pairs}


def _sent(exchange: Exchange, request: Any) -> Any:
    """Return the request to send: a copy with our body if there is one, else the user's own."""
    try:
        edited = edited_bytes(exchange)
        if edited is None:
            return request
        ours = ("content-length", "accept-encoding")  # the transport writes them by itself
        kept = [pair for pair in request.headers if pair[0].lower() not in ours]
        return replace(request, body=edited, headers=kept)
    except Exception as error:  # noqa: BLE001 - our fault; the request goes out as it was
        exchange.broken(error)
        return request


def _attach(exchange: Exchange, response: Any, watch: Callable[..., Any]) -> Any:
    """Watch the answer as it is read; the transport decodes it."""
    try:
        answer = Answer(exchange, response.status, _headers(response.headers), decoded=True)
        watched = watch(answer, response._chunks, response._release)  # noqa: SLF001 - no public way
        response._chunks, response._release = watched.chunks(), watched.release  # noqa: SLF001
    except Exception as error:  # noqa: BLE001 - our fault; the user still gets the answer
        exchange.broken(error)
        exchange.end()
    return response


class _Watched:
    """The chunks of a response, and what gives its connection back when it is closed."""

    def __init__(self, answer: Answer, chunks: Any, release: Any) -> None:
        self._answer, self._chunks, self._release = answer, chunks, release

    def __del__(self) -> None:
        exchange = self._answer.exchange
        if exchange.is_open and not exchange.is_draining:
            exchange.close()


class _Watch(_Watched):
    def chunks(self) -> Iterator[bytes]:
        """Hand on the chunks that are the user's."""
        answer = self._answer
        try:
            for data in self._chunks:
                if given := answer.take(data):
                    yield given
        except Exception as error:
            answer.exchange.fail(error)
            raise
        if held := answer.ended():
            yield held

    def release(self, body_consumed: bool) -> None:  # noqa: FBT001 - as the transport calls it
        """Say how it ended; a response that was left early may be read on."""
        exchange = self._answer.exchange
        if exchange.drains():
            pieces = self._answer.rest(self._chunks)
            exchange.later(lambda: drain(exchange, pieces, self))
            return
        if exchange.is_open:
            exchange.close()
        self._release(body_consumed)

    def close(self) -> None:
        """Give the connection back after it was read on."""
        self._release(False)  # noqa: FBT003 - as above


class _AsyncWatch(_Watched):
    async def chunks(self) -> AsyncIterator[bytes]:
        answer = self._answer
        try:
            async for data in self._chunks:
                if given := answer.take(data):
                    yield given
        except Exception as error:
            answer.exchange.fail(error)
            raise
        if held := answer.ended():
            yield held

    async def release(self, body_consumed: bool) -> None:  # noqa: FBT001 - as above
        exchange = self._answer.exchange
        if exchange.drains():
            drain_async(exchange, self._chunks, self)
            return
        if exchange.is_open:
            exchange.close()
        await self._release(body_consumed)

    async def aclose(self) -> None:
        await self._release(False)  # noqa: FBT003 - as above
