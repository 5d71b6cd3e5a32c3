"""What came in, as the adapters take it: a request to the provider whose API it speaks."""

from __future__ import annotations

from tokenmeter.asgi.body import unpacked
from tokenmeter.asgi.incoming import Incoming
from tokenmeter.asgi.routes import Route
from tokenmeter.capture.requests import parse_body
from tokenmeter.providers import find
from tokenmeter.providers.base import Call, Json, Request


class Asked:
    """The request of one route; see capture.opening.Outgoing. `content` None: it was too large."""

    __slots__ = (
        *("_content", "_fields", "_plain", "_request", "_route", "headers", "method", "url"),
    )

    def __init__(
        self, request: Incoming, route: Route, content: bytes | None, *, method: str = ""
    ) -> None:
        self._request, self._route = request, route
        self.method, self.url = method or request.method, route.url
        self.headers = headers = request.headers
        self._content = content
        self._plain = content
        self._fields: Json | None = None  # read when somebody asks
        if content and headers.known.get(b"content-encoding"):
            # Several headers of this name are one, in their order (RFC 9110, 5.3).
            self._plain = unpacked(content, ",".join(request.values("content-encoding")))

    def body(self) -> bytes | None:
        """The body without its content-encoding."""
        return self._plain

    def fields(self) -> Json:
        """The parameters that the body holds."""
        if self._fields is None:
            plain = self._plain
            kind = self.headers.get("content-type", "")
            self._fields = parse_body(plain, kind) if plain else {}
        return self._fields

    @property
    def host(self) -> str:
        """The host of the provider whose API the path speaks; "" for a route of the user's."""
        return self._route.host or ""

    @property
    def path(self) -> str:
        """The path, without the gateway's prefix."""
        return self._route.path

    @property
    def query(self) -> str:
        """What stands behind the question mark."""
        return self._request.query

    @property
    def full_url(self) -> str:
        """The URL with its query."""
        query = self.query
        return f"{self.url}?{query}" if query else self.url

    def call(self) -> Call | None:
        """Describe the request; None if no provider bills it, or none of ours knows it."""
        adapter = find(self.host, self.path)
        request = Request(
            self.method, self.host, self.path, self.query, self.headers, self.fields()
        )
        return None if adapter is None else adapter.describe(request)

    @property
    def is_readable(self) -> bool:
        """Whether the body, if there is one, says what is asked for."""
        return self._content == b"" or bool(self.fields())
