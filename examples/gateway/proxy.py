"""The reverse proxy: it forwards a request, and the answer's bytes as they come. Plain ASGI."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

import httpx2

from tokenmeter.asgi import Incoming

from .upstreams import Upstream, is_offered, upstream_of

BODY_BYTES_MAX = 32 * 1024 * 1024
WHOLE_BYTES_MAX = 256 * 1024  # an answer of this length goes on in one piece
URLS_MAX = 1_024  # that are kept parsed,
URL_CHARS_MAX = 512  # if they are no longer than this
TIMEOUT = httpx2.Timeout(600.0, connect=10.0)
LIMITS = httpx2.Limits(max_connections=1_000, max_keepalive_connections=200)

# Of one connection only (RFC 9110, 7.6.1), or written anew by the client library.
_HOPS = frozenset(
    {
        *(b"connection", b"host", b"keep-alive", b"proxy-authenticate", b"proxy-authorization"),
        *(b"te", b"trailer", b"transfer-encoding", b"upgrade", b"content-length"),
    }
)
# What proves who the client is, to us and to nobody else.
_SECRETS = frozenset({b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key", b"cookie"})
# What would make it another request than the one that was looked at.
_DISGUISES = frozenset({b"x-http-method-override", b"x-http-method", b"x-method-override"})
_ASKED = _HOPS | _SECRETS | _DISGUISES
_ANSWERED = _HOPS - {b"content-length"}
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"})
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})  # which have a length, if only 0
_TIMEOUTS = TIMEOUT.as_dict()
_KEPT_IN_PATH = "/:@!$&'()*+,;=-._~"  # a question mark that was encoded stays so: no query of it

GoesTo = Callable[[str, Mapping[str, str]], tuple[Upstream, str]]
RawHeaders = list[tuple[bytes, bytes]]


def create_client(transport: httpx2.AsyncBaseTransport | None = None) -> httpx2.AsyncClient:
    """Make the client of a proxy."""
    return httpx2.AsyncClient(transport=transport, timeout=TIMEOUT, limits=LIMITS)


class Proxy:
    """An ASGI application that forwards every request to its provider, through one pool."""

    def __init__(
        self,
        client: httpx2.AsyncClient,
        knows: Callable[[Incoming], object],
        goes_to: GoesTo = upstream_of,
    ) -> None:
        self._client = client
        self._knows = knows
        self._goes_to = goes_to

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request with what its provider answers."""
        if scope["type"] != "http":
            raise NotImplementedError("this proxy forwards HTTP and nothing else")
        request = Incoming(scope)
        if not self._knows(request):  # also where nothing is metered
            await _say(send, 401, "send the key you were given")
            return
        if request.method not in _METHODS or not is_offered(request.path):
            await _say(send, 404, "this gateway does not offer it, as it would not be metered")
            return
        body, left = await _body(receive)
        if left:
            return
        if body is None:
            await _say(send, 413, "the body is too large")
            return
        try:
            answer = await self._client.send(self._sent(request, body), stream=True)
        except httpx2.HTTPError as error:
            await _say(send, 502, f"the provider cannot be reached: {type(error).__name__}")
            return
        await _pass_on(answer, receive, send)

    def _sent(self, request: Incoming, body: bytes) -> httpx2.Request:
        upstream, path = self._goes_to(request.path, request.headers)
        url = upstream.base_url + quote(path, safe=_KEPT_IN_PATH)
        if request.query:
            query = parse_qsl(request.query, keep_blank_values=True)
            url += "?" + urlencode([pair for pair in query if pair[0] != "key"])
        address = _parsed(url) if len(url) <= URL_CHARS_MAX else httpx2.URL(url)
        headers = [(b"host", address.netloc), *_kept(request.raw_headers, _ASKED)]
        headers += [(n.encode(), v.encode()) for n, v in upstream.headers().items()]
        if body or request.method in _WITH_BODY:
            headers.append((b"content-length", str(len(body)).encode()))
        # As a stream: of content, httpx2 would work out these two, and read all headers anew.
        sent = httpx2.Request(
            request.method,
            address,
            headers=headers,
            stream=httpx2.ByteStream(body),
            extensions={"timeout": _TIMEOUTS},
        )
        sent.read()
        return sent


_parsed = lru_cache(maxsize=URLS_MAX)(httpx2.URL)


async def _body(receive: Any) -> tuple[bytes | None, bool]:
    """Read a body: None if it is too large; and whether the client left meanwhile."""
    parts, size = list[bytes](), 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None, True
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > BODY_BYTES_MAX:
            return None, False
        if not message.get("more_body", False):
            return b"".join(parts) if len(parts) > 1 else parts[0], False


async def _pass_on(answer: httpx2.Response, receive: Any, send: Any) -> None:
    """Send an answer on; the provider stops when the client is gone."""
    length = answer.headers.get("content-length", "")
    streamed = "event-stream" in answer.headers.get("content-type", "")
    # The usage chunk that we asked for is taken out of a stream.
    headers = _kept(answer.headers.raw, _HOPS if streamed else _ANSWERED)
    start = {"type": "http.response.start", "status": answer.status_code, "headers": headers}
    if not streamed and length.isdecimal() and int(length[:9]) <= WHOLE_BYTES_MAX:
        try:
            body = b"".join([chunk async for chunk in answer.aiter_raw()])
        except httpx2.HTTPError as error:
            await _say(send, 502, f"the provider broke off: {type(error).__name__}")
            return
        finally:
            await answer.aclose()
        await send(start)
        await send({"type": "http.response.body", "body": body})
        return
    await _Stream(answer, send).run(start, receive)


class _Stream:
    """An answer that goes on chunk by chunk, until it ends or the client is gone."""

    def __init__(self, answer: httpx2.Response, send: Any) -> None:
        self._answer = answer
        self._send = send
        self._ended = False
        self._streams = asyncio.current_task()

    async def run(self, start: Any, receive: Any) -> None:
        """Forward it."""
        watch = asyncio.create_task(_left(receive))
        watch.add_done_callback(self._gone)
        try:
            await self._send(start)
            async for chunk in self._answer.aiter_raw():
                await self._send({"type": "http.response.body", "body": chunk, "more_body": True})
            self._ended = True
            await self._send({"type": "http.response.body", "body": b""})
        except asyncio.CancelledError:
            if self._ended or not watch.done() or self._uncancelled() > 0:
                raise
        except OSError:
            pass  # so some servers say that the client is gone
        finally:
            self._ended = True
            watch.cancel()
            await self._answer.aclose()

    def _gone(self, watch: asyncio.Task[None]) -> None:
        if not self._ended and not watch.cancelled() and self._streams is not None:
            self._streams.cancel()

    def _uncancelled(self) -> int:
        return 0 if self._streams is None else self._streams.uncancel()


async def _left(receive: Any) -> None:
    """Wait until the client is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _say(send: Any, status: int, message: str) -> None:
    body = json.dumps({"error": {"message": message, "type": "gateway_error"}}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _kept(headers: Iterable[tuple[bytes, bytes]], dropped: frozenset[bytes]) -> RawHeaders:
    return [pair for pair in headers if pair[0].lower() not in dropped]
