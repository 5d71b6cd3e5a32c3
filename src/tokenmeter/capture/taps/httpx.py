"""The tap for httpx and httpx2, sync and async: `Client.send` and `AsyncClient.send`."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from functools import lru_cache
from types import ModuleType
from typing import Any

from tokenmeter.capture.exchange import Exchange
from tokenmeter.capture.headers import Headers
from tokenmeter.capture.opening import open_exchange
from tokenmeter.capture.sink import Sink
from tokenmeter.capture.taps import guard
from tokenmeter.capture.taps.drain import drain, drain_async
from tokenmeter.capture.taps.raw_http import HttpxRequest
from tokenmeter.capture.taps.refused import httpx_response, refusal_of, refusal_soon
from tokenmeter.providers.base import Json

FindSink = Callable[[], Sink | None]


def sync_wrapper(find_sink: FindSink) -> Callable[..., Any]:
    """Return the wrapt wrapper for `Client.send`."""

    def send(wrapped: Any, _client: Any, args: Any, kwargs: Any) -> Any:
        opened = _open(find_sink, args, kwargs)
        if opened is None:
            return wrapped(*args, **kwargs)
        exchange, request, sent, url = opened
        if refusal := refusal_of(exchange):
            return httpx_response(refusal, exchange.call, request)
        token = guard.enter(url)
        try:
            response = wrapped(sent, *args[1:], **kwargs)
        except BaseException as error:
            _failed(exchange, error)
            raise
        finally:
            guard.leave(token)
        return _attach(exchange, request, response)

    return send


def async_wrapper(find_sink: FindSink) -> Callable[..., Any]:
    """Return the wrapt wrapper for `AsyncClient.send`."""

    def send(wrapped: Any, _client: Any, args: Any, kwargs: Any) -> Any:
        opened = _open(find_sink, args, kwargs)
        if opened is None:
            return wrapped(*args, **kwargs)
        return _send_async(wrapped, opened, args[1:], kwargs)

    return send


async def _send_async(wrapped: Any, opened: _Opened, args: Any, kwargs: Any) -> Any:
    exchange, request, sent, url = opened
    if refusal := await refusal_soon(exchange):
        return httpx_response(refusal, exchange.call, request)
    token = guard.enter(url)
    try:
        response = await wrapped(sent, *args, **kwargs)
    except BaseException as error:
        _failed(exchange, error)
        raise
    finally:
        guard.leave(token)
    return _attach(exchange, request, response)


_Opened = tuple[Exchange, Any, Any, str]  # exchange, the user's request, what is sent, URL


def _open(find_sink: FindSink, args: Any, kwargs: Any) -> _Opened | None:
    """Open an exchange for this request, unless it is none of ours or already watched."""
    sink = find_sink()
    if sink is None:
        return None
    request = args[0] if args else kwargs.get("request")
    try:
        url = str(request.url)
        if guard.sending() == url:
            return None
        exchange = open_exchange(sink, HttpxRequest(request, url))
        if exchange is None:
            return None
        edited = exchange.call.edited_body
        sent = request if edited is None else _edited(request, edited)
    except Exception as error:  # noqa: BLE001 - our fault; the call goes on unmetered, logged
        sink.fault(error)
        return None
    kwargs.pop("request", None)  # last: after a fault of ours the call goes on as it was
    return exchange, request, sent, url


def _edited(request: Any, body: Json) -> Any:
    """Copy the request with our body; the user's own stays as it is."""
    headers = request.headers.copy()
    for name in ("content-length", "transfer-encoding"):
        if name in headers:
            del headers[name]
    headers["accept-encoding"] = "identity"
    content = json.dumps(body, separators=(",", ":")).encode()  # ASCII: half characters too
    return type(request)(
        request.method,
        request.url,
        headers=headers,
        content=content,
        extensions=request.extensions,
    )


def _attach(exchange: Exchange, request: Any, response: Any) -> Any:
    """Watch the answer: at once if it has been read, else as it passes."""
    try:
        content = getattr(response, "_content", None)
        headers = Headers(response.headers.raw)
        if content is not None and exchange.answered(response.status_code, headers, content):
            return response
        exchange.response(response.status_code, headers, decoded=content is not None)
        if exchange.call.edited_body is not None:
            response.request = request
        if content is not None:
            given = exchange.whole(content)
            if exchange.rewrites:
                response._content = given  # noqa: SLF001 - no public way to replace a read body
        else:
            if exchange.rewrites and "content-encoding" in response.headers:
                del response.headers["content-encoding"]  # what we hand on is decoded
            response.stream = _watched(response.stream, exchange)
    except Exception as error:  # noqa: BLE001 - our fault; the user still gets the answer
        exchange.broken(error)
        exchange.end()
    return response


def _failed(exchange: Exchange, error: BaseException) -> None:
    """Close after an exception: maybe that of a hook of the user's, for an answer that came."""
    answer: Any = getattr(error, "response", None)
    try:
        if hasattr(answer, "status_code"):
            content = getattr(answer, "_content", None)
            exchange.response(
                answer.status_code, Headers(answer.headers.raw), decoded=content is not None
            )
            if content is not None and not answer.is_success:
                exchange.whole(content)
    except Exception as fault:  # noqa: BLE001 - our fault; the user gets the error that is his
        exchange.broken(fault)
    exchange.fail(error)


def _watched(stream: Any, exchange: Exchange) -> Any:
    """Wrap the answer's stream in the class that its library expects."""
    kind: type[object] = type(stream)
    return _watching(kind)(stream, exchange)  # type: ignore[arg-type]  # a class has a hash


@lru_cache(maxsize=64)
def _watching(kind: type[object]) -> Any:
    """Return the watching class for the streams of a class."""
    sync = hasattr(kind, "__iter__") and not hasattr(kind, "__aiter__")
    return _stream_class(_library(kind), sync=sync)


def _library(kind: type[object]) -> ModuleType:
    """Find httpx or httpx2: a custom transport's stream derives from one of them."""
    import sys

    for cls in kind.__mro__:
        name = cls.__module__.partition(".")[0]
        if name in LIBRARIES:
            return sys.modules[name]
    raise TypeError(f"the stream class {kind.__name__} is neither httpx's nor httpx2's")


LIBRARIES = ("httpx2", "httpx")


@lru_cache(maxsize=8)
def _stream_class(library: ModuleType, *, sync: bool) -> Any:
    """Make the watching stream class of one library, once."""
    base = library.SyncByteStream if sync else library.AsyncByteStream
    return type("WatchedStream", (_SyncWatch if sync else _AsyncWatch, base), {})


class _Watch:
    """What the sync and the async stream share: the exchange's end, and the inner stream."""

    def __init__(self, stream: Any, exchange: Exchange) -> None:
        self._stream = stream
        self._exchange = exchange
        self._inner: Any = None  # the iterator, once it was asked for

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)  # httpx2 reads `elapsed` here

    def __del__(self) -> None:
        exchange = self.__dict__.get("_exchange")
        if exchange is not None and exchange.is_open:
            exchange.close()


class _SyncWatch(_Watch):
    def __iter__(self) -> Iterator[bytes]:
        exchange = self._exchange
        quiet, take = exchange.quiet(), exchange.chunk
        self._inner = inner = iter(self._stream)
        try:
            for chunk in inner:
                if quiet(chunk):
                    yield chunk
                    continue
                given = take(chunk)
                if given:
                    yield given
        except GeneratorExit:
            self._gone()
            raise
        except BaseException as error:
            exchange.fail(error)
            raise
        held = exchange.end()
        if held:
            yield held

    def _gone(self) -> bool:
        """The user reads no further; say whether we do."""
        exchange, stream = self._exchange, self._stream
        if not exchange.drains():
            exchange.close()
            return False
        inner = iter(stream) if self._inner is None else self._inner
        exchange.later(lambda: drain(exchange, inner, stream))
        return True

    def close(self) -> None:
        if not self._gone() and not self._exchange.is_draining:
            self._stream.close()


class _AsyncWatch(_Watch):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        exchange = self._exchange
        quiet, take = exchange.quiet(), exchange.chunk
        self._inner = inner = aiter(self._stream)
        try:
            async for chunk in inner:
                if quiet(chunk):
                    yield chunk
                    continue
                given = take(chunk)
                if given:
                    yield given
        except GeneratorExit:
            self._gone()
            raise
        except BaseException as error:
            exchange.fail(error)
            raise
        finally:
            if isinstance(inner, AsyncGenerator) and not exchange.is_draining:
                await inner.aclose()
        held = exchange.end()
        if held:
            yield held

    def _gone(self) -> bool:
        """The user reads no further; say whether we do."""
        exchange, stream = self._exchange, self._stream
        if not exchange.drains():
            exchange.close()
            return False
        drain_async(exchange, aiter(stream) if self._inner is None else self._inner, stream)
        return True

    async def aclose(self) -> None:
        if not self._gone() and not self._exchange.is_draining:
            await self._stream.aclose()
