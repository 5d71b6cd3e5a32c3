"""Decide whether a request is a metered call, and open its exchange."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

from tokenmeter.attribution import current_scope
from tokenmeter.capture.exchange import Exchange
from tokenmeter.capture.requests import Sent, parse_body
from tokenmeter.capture.sink import Sink
from tokenmeter.capture.stopping import stop_if_previewed
from tokenmeter.providers import Request, find
from tokenmeter.providers.base import Call, Json
from tokenmeter.providers.hosts import known_host
from tokenmeter.providers.paths import regular


class Outgoing(Protocol):
    """A request of some HTTP library, read only as far as needed."""

    method: str
    url: str

    @property
    def host(self) -> str:
        """The host, and its port if it has one; lower case."""
        ...

    @property
    def path(self) -> str:
        """The path as it is sent."""
        ...

    @property
    def query(self) -> str:
        """What stands behind the question mark."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers, by lower-case name."""
        ...

    def body(self) -> bytes | None:
        """The body's bytes, or None if they cannot be had without consuming them."""
        ...

    def fields(self) -> Json:
        """The plain form fields, where the body cannot be had as bytes."""
        ...


def open_exchange(sink: Sink, outgoing: Outgoing, *, edits: bool = True) -> Exchange | None:
    """
    Open an exchange if a provider adapter knows this request; else None, cheaply.

    `edits`: another body can still be sent.
    """
    edits = edits and sink.policy.include_usage
    known = known_call(sink, outgoing, edits=edits)
    if known is not None:
        method, url, sent = outgoing.method, outgoing.url, outgoing.body() or b""
        return Exchange(sink, known, Sent(method, url, sent, None, retry_count(outgoing.headers)))
    host = known_host(outgoing.host, sink.hosts)
    path = regular(outgoing.path)
    adapter = find(host, path)
    if adapter is None:
        return None
    body, headers = outgoing.body(), outgoing.headers
    fields = _fields(outgoing, body)
    call = adapter.describe(Request(outgoing.method, host, path, outgoing.query, headers, fields))
    if call is None:
        return None
    stop_if_previewed(current_scope(), call, fields)
    if _is_json(body) and fields and body:  # it could be read, so the call is known
        sink.known.learn(outgoing.method, outgoing.url, body, call)
    if call.edited_body is not None and not (edits and may_edit(headers)):
        call = replace(call, edited_body=None)
    if sink.known.previewed.tokens:
        call = sink.known.previewed.noted(call, fields)
    return Exchange(sink, call, _sent(outgoing, body, fields))


def _is_json(body: bytes | None) -> bool:
    """JSON is told by its first byte: looking a header up is slow in httpx."""
    return body is not None and body[:1] == b"{"


def _fields(outgoing: Outgoing, body: bytes | None) -> Json:
    if body is None:
        return outgoing.fields()
    content_type = "" if _is_json(body) else outgoing.headers.get("content-type", "")
    return parse_body(body, content_type)


def _sent(outgoing: Outgoing, body: bytes | None, fields: Json) -> Sent:
    headers = outgoing.headers
    is_form = not _is_json(body) and headers.get("content-type", "").startswith("multipart/")
    hashed = b"" if body is None or is_form else body  # a form's boundary differs each time
    return Sent(outgoing.method, outgoing.url, hashed, fields, retry_count(headers))


def known_call(sink: Sink, outgoing: Outgoing, *, edits: bool) -> Call | None:
    """Return what a request asks for if it is like one before, unless calls are previewed."""
    known = sink.known
    asks = None if known.previewed.tokens else known.to(outgoing.method, outgoing.url)
    if asks is None:
        return None
    scope, body = current_scope(), outgoing.body()
    if not body or (scope is not None and scope.previews):
        return None
    return asks.find(body, edits=edits)


def may_edit(headers: Mapping[str, str]) -> bool:
    """Say whether another body may be sent: one that is signed, or summed up, may not."""
    if headers.get("authorization", "").startswith("AWS4-"):
        return False
    return not any(headers.get(name) for name in SUMS)


# Headers that hold a sum of the body, or a signature over one.
SUMS = ("x-amz-content-sha256", "content-digest", "digest", "content-md5", "signature")


def retry_count(headers: Mapping[str, str]) -> int:
    """Read the SDK's own count of retries; what is not a small number counts as 0."""
    text = headers.get("x-stainless-retry-count")
    if text is None or text == "0":  # as almost always
        return 0
    return int(text) if text.isdecimal() and len(text) < RETRY_DIGITS_MAX else 0


RETRY_DIGITS_MAX = 4
