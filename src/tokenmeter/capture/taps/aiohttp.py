"""The tap for aiohttp: `aiohttp.ClientSession._request`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
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
from tokenmeter.capture.taps.refused import aiohttp_response, refusal_soon
from tokenmeter.providers.base import Json

SWITCHING_PROTOCOLS = 101  # a websocket: what follows is no answer

_NAME = re.compile(r'\bname="([^"]*)"')


class _Outgoing:
    """The arguments of `ClientSession._request` in the adapter's terms."""

    __slots__ = ("_options", "headers", "host", "method", "path", "query", "url")

    def __init__(self, headers: Any, method: str, url: str, options: Mapping[str, Any]) -> None:
        self._options = options
        self.method = method.upper()
        self.url = url
        self.host, self.path, self.query = split_url(url)
        self.headers: Mapping[str, str] = TextHeaders(headers)

    def body(self) -> bytes | None:
        if self._options.get("json") is not None:
            return None
        data = self._options.get("data")
        value = getattr(data, "_value", None)  # of an aiohttp payload
        return body_bytes(value if isinstance(value, bytes) else data)

    def fields(self) -> Json:
        """The fields of a body that aiohttp makes while it sends."""
        sent, data = self._options.get("json"), self._options.get("data")
        if sent is not None:
            return dict(sent) if isinstance(sent, dict) else {}
        if hasattr(data, "append_payload"):
            return plain_fields(_parts(data))
        form = getattr(data, "_fields", None)  # FormData has no public way to read it
        if form is not None:
            return plain_fields([(o["name"], None if "filename" in o else v) for o, _, v in form])
        return plain_fields(data) if isinstance(data, Mapping | list) else {}


def _parts(writer: Any) -> list[tuple[str, object]]:
    """Return the named parts of a MultipartWriter; a file has no value."""
    found: list[tuple[str, object]] = []
    for part, *_ in writer:
        disposition = part.headers.get("Content-Disposition", "")
        name = _NAME.search(disposition)
        if name is not None:
            value = None if "filename" in disposition else getattr(part, "_value", None)
            found.append((name[1], value))
    return found


def wrapper(find_sink: FindSink) -> Callable[..., Any]:
    """Return the wrapt wrapper for `ClientSession._request`."""

    def request(wrapped: Any, session: Any, args: Any, kwargs: Any) -> Any:
        sink = find_sink()
        if sink is None:
            return wrapped(*args, **kwargs)
        return _request(sink, wrapped, session, *args, **kwargs)

    return request


async def _request(
    sink: Sink, wrapped: Any, session: Any, /, method: str, str_or_url: Any, **options: Any
) -> Any:
    asked = str(str_or_url)  # httpx2 over aiohttp hands on its own URL
    exchange = None
    if guard.sending() != asked:
        exchange = _open(sink, session, method, str_or_url, options)
    if exchange is None:
        response = await wrapped(method, str_or_url, **options)
        return _redirected(sink, session, response, options)
    if refusal := await refusal_soon(exchange):
        url = session._build_url(str_or_url)  # noqa: SLF001 - with the session's base URL
        sent = (method.upper(), url, session._prepare_headers(options.get("headers")))  # noqa: SLF001
        return await aiohttp_response(refusal, exchange.call, session, sent, options)
    token = guard.enter(asked)
    try:
        response = await wrapped(method, str_or_url, **_edited(exchange, session, options))
    except BaseException as error:
        failed(exchange, error)
        raise
    finally:
        guard.leave(token)
    return _attach(exchange, session, response, options)


def _open(sink: Sink, session: Any, method: str, url: Any, options: Any) -> Exchange | None:
    try:
        built = session._build_url(url)  # noqa: SLF001 - with the session's base URL
        params = options.get("params")
        whole = str(built.update_query(params) if params else built)
        headers = session._prepare_headers(options.get("headers"))  # noqa: SLF001 - as above
    except (ValueError, TypeError):
        return None  # aiohttp is going to say so
    return open_once(sink, whole, lambda: _Outgoing(headers, method, whole, options))


def _redirected(sink: Sink, session: Any, response: Any, options: Any) -> Any:
    """Open the exchange of an unknown host that redirected to a provider."""
    if not getattr(response, "history", ()):
        return response
    options = {name: value for name, value in options.items() if name != "params"}
    exchange = _open(sink, session, response.method, response.url, options)
    return response if exchange is None else _attach(exchange, session, response, options)


def _edited(exchange: Exchange, session: Any, options: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments with our body, if it is to be sent; the user's stay as they are."""
    edited = exchange.call.edited_body
    if edited is None:
        return options
    try:
        # As JSON it is written by the session's own serializer: the user's values may need it.
        as_json = options.get("json") is not None
        ours = {"json": edited} if as_json else {"data": edited_bytes(exchange)}
        headers = session._prepare_headers(options.get("headers"))  # noqa: SLF001 - as above
        for name in ("Content-Length", "Transfer-Encoding"):
            headers.popall(name, None)
        headers["Accept-Encoding"] = "identity"
    except Exception as error:  # noqa: BLE001 - our fault; the request goes out as it was
        exchange.broken(error)
        return options
    return {**options, "headers": headers, **ours}


def _attach(exchange: Exchange, session: Any, response: Any, options: Any) -> Any:
    """Watch the answer: at once if it has been read, else as it is read."""
    try:
        body = response._body  # noqa: SLF001 - None until it is read
        wanted = options.get("auto_decompress")
        decoded = body is not None or (session.auto_decompress if wanted is None else wanted)
        answer = Answer(exchange, response.status, response.headers, decoded=decoded)
        if body is not None:
            given = answer.take(body) + answer.ended()
            if answer.edits:
                response._body = given  # noqa: SLF001 - no public way to replace a read body
        elif response.status == SWITCHING_PROTOCOLS or response.content.at_eof():
            answer.ended()
        else:
            # Here to keep our import light: asyncio is there by now.
            from tokenmeter.capture.taps.aiohttp_body import watched_reader

            response.content = watched_reader(response, answer)
    except Exception as error:  # noqa: BLE001 - our fault; the user still gets the answer
        exchange.broken(error)
        exchange.end()
    return response
