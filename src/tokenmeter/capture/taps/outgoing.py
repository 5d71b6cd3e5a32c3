"""What the taps of requests, aiohttp and botocore share on the way out."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from tokenmeter.capture.exchange import Exchange
from tokenmeter.capture.forms import FIELD_BYTES_MAX
from tokenmeter.capture.opening import Outgoing, open_exchange
from tokenmeter.capture.sink import Sink
from tokenmeter.capture.taps import guard
from tokenmeter.providers.base import Json


@lru_cache(maxsize=1024)
def split_url(url: str) -> tuple[str, str, str]:
    """Split a URL into host, path and query; an invalid one has none of them."""
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2].lower()  # with its port, if it has one
    except ValueError:
        return "", "", ""
    return host, parts.path, parts.query


class TextHeaders(Mapping[str, str]):
    """Headers of a library that ignores case, their values as text even if they are bytes."""

    __slots__ = ("_headers",)

    def __init__(self, headers: Mapping[str, Any]) -> None:
        self._headers = headers

    def __getitem__(self, name: str) -> str:
        value = self._headers[name]
        return value.decode("latin-1") if isinstance(value, bytes) else str(value)

    def __iter__(self) -> Iterator[str]:
        return (str(name).lower() for name in self._headers)

    def __len__(self) -> int:
        return len(self._headers)


def body_bytes(body: object) -> bytes | None:
    """Return a request body as bytes; None if reading it would use it up."""
    if body is None:
        return b""
    if isinstance(body, bytes):
        return body
    if isinstance(body, str):
        return body.encode()
    if isinstance(body, bytearray | memoryview):
        return bytes(body)
    return body.getvalue() if isinstance(body, io.BytesIO) else None


def plain_fields(pairs: Mapping[str, object] | list[tuple[str, object]]) -> Json:
    """Return the form fields that are parameters; files are named, their bytes left out."""
    found: Json = {}
    for name, value in pairs.items() if isinstance(pairs, Mapping) else pairs:
        plain = value.decode(errors="replace") if isinstance(value, bytes) else value
        short = isinstance(plain, str | int | float) and len(str(plain)) <= FIELD_BYTES_MAX
        found[str(name)] = str(plain) if short else ""
    return found


def open_once(sink: Sink, url: str, make: Callable[[], Outgoing]) -> Exchange | None:
    """Open the exchange of a request, unless it is none of ours or already watched."""
    try:
        return None if guard.sending() == url else open_exchange(sink, make())
    except Exception as error:  # noqa: BLE001 - our fault; the call goes on unmetered, logged
        sink.fault(error)
        return None


def edited_bytes(exchange: Exchange) -> bytes | None:
    """Return the body to send in place of the user's bytes, if there is one."""
    edited = exchange.call.edited_body
    return None if edited is None else json.dumps(edited, separators=(",", ":")).encode()


def failed(exchange: Exchange, error: BaseException) -> None:
    """
    Close the exchange of a request that raised; keep the status if the error knows it.

    Never raises: the error may be anybody's, with any `response`.
    """
    try:
        answer = getattr(error, "response", error)  # requests; aiohttp's errors have it themselves
        status = getattr(answer, "status_code", None) or getattr(answer, "status", None)
        if isinstance(status, int) and status > 0:
            exchange.response(status, getattr(answer, "headers", None) or {})
    except Exception as fault:  # noqa: BLE001 - our fault; the user gets their own error
        exchange.broken(fault)
    exchange.fail(error)
