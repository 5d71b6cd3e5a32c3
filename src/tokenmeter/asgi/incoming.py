"""The request that came in, as identity functions and routes see it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from functools import cached_property
from typing import Any
from urllib.parse import parse_qs

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
RawHeaders = list[tuple[bytes, bytes]]

# Where SDKs put the key: OpenAI and Anthropic (OAuth), Anthropic, Azure, Google.
_KEY_HEADERS = ("x-api-key", "api-key", "x-goog-api-key")


class Incoming:
    """One HTTP request to the gateway. Everything here can be forged by the client."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.method: str = scope["method"]
        self.path: str = scope["path"]

    @cached_property
    def headers(self) -> dict[str, str]:
        """Header values by lower-case name; of a repeated one the last."""
        raw: RawHeaders = self.scope["headers"]
        return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in raw}

    def values(self, name: str) -> list[str]:
        """All values of one header: more than one may be an attempt to smuggle."""
        wanted, raw = name.encode("latin-1"), self.scope["headers"]
        return [value.decode("latin-1") for key, value in raw if key.lower() == wanted]

    @property
    def query(self) -> str:
        """The query string, without the question mark."""
        return bytes(self.scope.get("query_string", b"")).decode("latin-1")

    @property
    def client(self) -> str | None:
        """The address of the peer: a proxy's, if there is one in between."""
        peer = self.scope.get("client")
        return None if not peer else str(peer[0])

    @property
    def api_key(self) -> str | None:
        """The key that the client's SDK sends, wherever its provider wants it."""
        kind, _, token = self.headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and token.strip():
            return token.strip()
        for name in _KEY_HEADERS:
            if self.headers.get(name):
                return self.headers[name]
        found = parse_qs(self.query).get("key") if "key=" in self.query else None
        return found[0] if found else None
