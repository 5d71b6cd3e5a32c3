"""
The tap for botocore, and so for boto3: `botocore.httpsession.URLLib3Session.send`.

It sees every attempt of boto3's own retries. Requests are signed by then: none is edited.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tokenmeter.capture.exchange import Exchange
from tokenmeter.capture.taps import guard
from tokenmeter.capture.taps.answer import Answer
from tokenmeter.capture.taps.httpx import FindSink
from tokenmeter.capture.taps.outgoing import (
    TextHeaders,
    body_bytes,
    failed,
    open_once,
    split_url,
)
from tokenmeter.capture.taps.raw import WatchedRaw
from tokenmeter.capture.taps.refused import botocore_response, refusal_of
from tokenmeter.providers.base import Json


class _Outgoing:
    """An AWSPreparedRequest in the adapter's terms."""

    __slots__ = ("_request", "headers", "host", "method", "path", "query", "url")

    def __init__(self, request: Any, url: str) -> None:
        self._request = request
        self.method: str = request.method
        self.url = url
        self.host, self.path, self.query = split_url(url)
        self.headers: Mapping[str, str] = TextHeaders(request.headers)

    def body(self) -> bytes | None:
        return body_bytes(self._request.body)

    def fields(self) -> Json:
        return {}


def wrapper(find_sink: FindSink) -> Callable[..., Any]:
    """Return the wrapt wrapper for `URLLib3Session.send`."""

    def send(wrapped: Any, _session: Any, args: Any, kwargs: Any) -> Any:
        sink = find_sink()
        request = args[0] if args else kwargs.get("request")
        url = str(getattr(request, "url", ""))
        exchange = None
        if sink is not None:
            exchange = open_once(sink, url, lambda: _Outgoing(request, url))
        if exchange is None:
            return wrapped(*args, **kwargs)
        if refusal := refusal_of(exchange):
            return botocore_response(refusal, exchange.call, request)
        token = guard.enter(url)
        try:
            response = wrapped(*args, **kwargs)
        except BaseException as error:
            failed(exchange, error)
            raise
        finally:
            guard.leave(token)
        return _attach(exchange, response)

    return send


def _attach(exchange: Exchange, response: Any) -> Any:
    """Watch the answer: at once if botocore has read it, else as it is read."""
    try:
        headers = TextHeaders(response.headers)
        content = response._content  # noqa: SLF001 - None until it is read; `content` would read
        answer = Answer(exchange, response.status_code, headers, decoded=content is None)
        if content is None:
            response.raw = WatchedRaw(response.raw, answer)
        else:
            answer.take(content)
            answer.ended()
    except Exception as error:  # noqa: BLE001 - our fault; the user still gets the answer
        exchange.broken(error)
        exchange.end()
    return response
