"""The tap for requests: `requests.Session.send`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any

from tokenmeter.capture.exchange import Exchange
from tokenmeter.capture.sink import Sink
from tokenmeter.capture.taps import guard
from tokenmeter.capture.taps.answer import Answer
from tokenmeter.capture.taps.httpx import FindSink
from tokenmeter.capture.taps.outgoing import (
    TextHeaders,
    body_bytes,
    edited_bytes,
    failed,
    open_once,
    plain_fields,
    split_url,
)
from tokenmeter.capture.taps.raw import WatchedRaw
from tokenmeter.capture.taps.refused import refusal_of, requests_response
from tokenmeter.providers.base import Json

# The session whose exchange is being sent in this context: it follows redirects by itself.
_sending: ContextVar[object] = ContextVar("tokenmeter_requests_session", default=None)


class _Outgoing:
    """A prepared request in the adapter's terms."""

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
        """The fields of a body that is made while it is sent: requests-toolbelt's encoder."""
        return plain_fields(getattr(self._request.body, "fields", {}))


def wrapper(find_sink: FindSink) -> Callable[..., Any]:
    """Return the wrapt wrapper for `Session.send`."""

    def send(wrapped: Any, session: Any, args: Any, kwargs: Any) -> Any:
        sink = find_sink()
        request = args[0] if args else kwargs.get("request")
        if sink is None or _is_redirect(session, kwargs):
            return wrapped(*args, **kwargs)
        exchange = _open(sink, request)
        if exchange is None:
            return wrapped(*args, **kwargs)
        options = {name: value for name, value in kwargs.items() if name != "request"}
        if refusal := refusal_of(exchange):
            return requests_response(refusal, exchange.call, request, options)
        response, sent = _send(wrapped, session, exchange, request, options)
        last = _last_attempt(sink, exchange, request, response)
        return response if last is None else _attach(last, request, sent, response)

    return send


def _is_redirect(session: object, kwargs: Mapping[str, Any]) -> bool:
    """Whether the session sends this on its own, within an exchange that is open."""
    return _sending.get() is session and kwargs.get("allow_redirects") is False


def _open(sink: Sink, request: Any) -> Exchange | None:
    url = str(getattr(request, "url", ""))
    return open_once(sink, url, lambda: _Outgoing(request, url))


def _send(
    wrapped: Any, session: Any, exchange: Exchange, request: Any, options: Any
) -> tuple[Any, Any]:
    sent = _sent(exchange, request)
    url, within = guard.enter(str(request.url)), _sending.set(session)
    try:
        response = wrapped(sent, **options)
    except BaseException as error:
        failed(exchange, error)
        raise
    finally:
        _sending.reset(within)
        guard.leave(url)
    return response, sent


def _last_attempt(sink: Sink, exchange: Exchange, request: Any, response: Any) -> Exchange | None:
    """
    Close one exchange for each answer that urllib3 sent the request again for.

    That is `HTTPAdapter(max_retries=Retry(...))`. Returns the exchange of the last attempt.
    """
    last: Exchange | None = exchange
    try:
        ticket, resent = exchange.ticket, _resent(response)
        if resent:
            exchange.ticket = None  # the last attempt settles it
        for past in resent:
            if last is not None and past.error is not None:
                last.fail(past.error)
            elif last is not None:
                last.response(past.status or 0, {})
                last.end()
            last = _open(sink, request)
        if last is not None:
            last.ticket = ticket
        elif ticket is not None:
            ticket.settle(())
    except Exception as error:  # noqa: BLE001 - our fault; the user still gets the answer
        sink.fault(error)
    return last


def _resent(response: Any) -> list[Any]:
    """Return what urllib3 tells of the attempts before the last, at each address."""
    found: list[Any] = []
    for answered in (*response.history, response):
        retries = getattr(answered.raw, "retries", None)
        found += (past for past in getattr(retries, "history", ()) if not past.redirect_location)
    return found


def _sent(exchange: Exchange, request: Any) -> Any:
    """Return the request to send: a copy with our body if there is one, else the user's own."""
    try:
        edited = edited_bytes(exchange)
        return request if edited is None else _edited(request, edited)
    except Exception as error:  # noqa: BLE001 - our fault; the request goes out as it was
        exchange.broken(error)
        return request


def _edited(request: Any, body: bytes) -> Any:
    """Copy the request with our body; the user's own stays as it is."""
    sent = request.copy()
    sent.body = body
    sent.headers.pop("Transfer-Encoding", None)
    sent.headers["Content-Length"] = str(len(body))
    sent.headers["Accept-Encoding"] = "identity"
    return sent


def _attach(exchange: Exchange, request: Any, sent: Any, response: Any) -> Any:
    """Watch the answer: at once if it has been read, else as it is read."""
    try:
        if sent is not request:
            for answered in (*response.history, response):
                _give_back(answered, request, sent)
        content = response._content  # noqa: SLF001 - False until it is read; `content` would read
        answer = Answer(exchange, response.status_code, response.headers, decoded=True)
        if content is False and response.raw is not None:
            response.raw = WatchedRaw(response.raw, answer)
            return response
        given = answer.take(content or b"") + answer.ended()
        if answer.edits:
            response._content = given  # noqa: SLF001 - no public way to replace a read body
    except Exception as error:  # noqa: BLE001 - our fault; the user still gets the answer
        exchange.broken(error)
        exchange.end()
    return response


def _give_back(answered: Any, request: Any, sent: Any) -> None:
    """Show the user their own request; one that followed a redirect gets their body back."""
    if answered.request is sent:
        answered.request = request
    elif answered.request.body == sent.body:
        answered.request.body = request.body
        for name in ("Content-Length", "Transfer-Encoding", "Accept-Encoding"):
            answered.request.headers.pop(name, None)
            if name in request.headers:
                answered.request.headers[name] = request.headers[name]
