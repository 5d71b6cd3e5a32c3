"""Run an adapter over a recorded exchange, without any capture: describe, read, settle."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from tests.corpus import Exchange
from tokenmeter.capture.reader import BodyReader, Reader
from tokenmeter.capture.requests import parse_body
from tokenmeter.capture.sse import EventReader
from tokenmeter.providers import Call, Reading, Request, find


@dataclass(frozen=True)
class Read:
    """What the adapter makes of one exchange."""

    call: Call | None
    reading: Reading


def as_request(exchange: Exchange) -> Request:
    """The recorded request in the adapter's terms."""
    url = urlsplit(exchange.request["url"])
    headers = {k.lower(): v for k, v in exchange.request["headers"].items()}
    body = parse_body(exchange.request_body, headers.get("content-type", ""))
    return Request(
        exchange.request["method"], url.hostname or "", url.path, url.query, headers, body
    )


def read(exchange: Exchange, *, chunk_bytes: int = 97) -> Read:
    """Describe the request, read the answer in small chunks, settle."""
    request = as_request(exchange)
    adapter = find(request.host, request.path)
    call = adapter.describe(request) if adapter else None
    if call is None:
        return Read(None, Reading())
    headers = {k.lower(): v for k, v in exchange.response["headers"].items()}
    content_type = headers.get("content-type", "")
    reader: Reader
    if "text/event-stream" in content_type or exchange.body.startswith((b"data:", b"event:")):
        reader = EventReader(call.api)
    else:
        reader = BodyReader(call.api, content_type)
    if call.api.read_headers is not None:
        reader.reading = call.api.read_headers(headers)
    body = exchange.body
    for start in range(0, len(body), chunk_bytes):
        reader.feed(body[start : start + chunk_bytes])
    reader.end()
    return Read(call, call.api.settle(reader.reading, call))
