"""Requests of httpx: URL and headers are taken apart without asking it, which would be slow."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from tokenmeter.capture.forms import FIELD_BYTES_MAX
from tokenmeter.capture.headers import Headers
from tokenmeter.providers.base import Json


@lru_cache(maxsize=1024)
def split(url: str) -> tuple[str, str, str]:
    """Split a URL into host, path and query; what stands behind a # is not sent."""
    before, _, query = url.partition("#")[0].partition("?")
    authority, slash, path = before.partition("://")[2].partition("/")
    host = authority.rpartition("@")[2]
    return host.lower(), slash + path, query


class HttpxRequest:
    """A request of httpx or httpx2 in the adapter's terms."""

    __slots__ = ("_request", "method", "url")

    def __init__(self, request: Any, url: str) -> None:
        self._request = request
        self.method: str = request.method
        self.url = url

    @property
    def host(self) -> str:
        """The host, and its port if it has one; lower case."""
        return split(self.url)[0]

    @property
    def path(self) -> str:
        """The path as it is sent."""
        return split(self.url)[1]

    @property
    def query(self) -> str:
        """What stands behind the question mark."""
        return split(self.url)[2]

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers, by lower-case name."""
        return Headers(self._request.headers.raw)

    def body(self) -> bytes | None:
        """The body's bytes; None if they cannot be had without consuming them."""
        try:
            content: bytes = self._request.content
        except Exception:  # noqa: BLE001 - RequestNotRead of httpx or httpx2: a streamed body
            return None
        return content

    def fields(self) -> Json:
        """The fields of a multipart body that httpx builds while it sends."""
        found: Json = {}
        for part in getattr(self._request.stream, "fields", ()):
            value = getattr(part, "value", "")
            if isinstance(value, bytes):
                value = value.decode(errors="replace")
            plain = not hasattr(part, "filename") and len(str(value)) <= FIELD_BYTES_MAX
            found[part.name] = str(value) if plain else ""
        return found
