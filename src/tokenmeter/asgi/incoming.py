"""The request that came in, as identity functions and routes see it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from operator import itemgetter
from typing import Any
from urllib.parse import parse_qs

from tokenmeter.capture.headers import Headers, RawHeaders

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
# Where SDKs put the key: OpenAI and Anthropic (OAuth), Anthropic, Azure, Google.
_KEY_HEADERS = (b"x-api-key", b"api-key", b"x-goog-api-key")
# With these an application answers by a file's name, and no byte of it is seen.
_HIDING = frozenset({"http.response.pathsend", "http.response.zerocopysend"})

OURS = b"x-tokenmeter-"
OURS_MAX = len(OURS)
# An SDK's own count of its retries: true at its tap, and at a gateway whatever the client says.
RETRIES = b"x-stainless-retry-count"


def without_ours(headers: Iterable[tuple[bytes, bytes]]) -> RawHeaders:
    """Return headers without those that only we may set, in whatever spelling."""
    raw = headers if type(headers) is list else list(headers)
    return [pair for pair in raw if not _is_ours(pair[0])] if _may_hold_ours(raw) else raw


def _may_hold_ours(raw: RawHeaders) -> bool:
    """Look at all names at once: almost always none is ours."""
    return _OUR_NAME in b"\n".join(map(_name_of, raw)).lower()


_OUR_NAME = b"tokenmeter"
_name_of: Callable[[tuple[bytes, bytes]], bytes] = itemgetter(0)


def _is_ours(name: bytes) -> bool:
    begin = name[:OURS_MAX]
    return begin == OURS or begin.lower().replace(b"_", b"-") == OURS  # WSGI knows no dashes


class Incoming:
    """One HTTP request to the gateway. Everything here can be forged by the client."""

    __slots__ = ("headers", "method", "path", "raw_headers", "scope")

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.method: str = scope["method"].upper()  # an HTTP client does so, too
        self.path: str = scope["path"]
        raw = scope.get("headers", ())
        if type(raw) is not list:
            raw = scope["headers"] = list(raw)
        self.raw_headers: RawHeaders = raw  # as they came
        self.headers = Headers(raw)  # by lower-case name; of a repeated one the last

    @property
    def below_mount(self) -> str:
        """The path below the place where the application is mounted."""
        root: str = self.scope.get("root_path") or ""
        path = self.path
        below = bool(root) and path.startswith(root) and path[len(root) : len(root) + 1] == "/"
        return path[len(root) :] if below else path

    def sealed(self, *, doubts_retries: bool) -> RawHeaders:
        """
        Take out what only the gateway may say, and what would hide the answer from it.

        Returns the headers of ours that the client sent.
        """
        scope, raw, known = self.scope, self.raw_headers, self.headers.known
        ours = [p for p in raw if _is_ours(p[0])] if _may_hold_ours(raw) else []
        retries = known.get(RETRIES)
        # A plain 0, as all SDKs send it, says nothing; of several headers one may be believed.
        said = retries is not None and (retries != b"0" or len(known) != len(raw))
        doubted = said and doubts_retries
        if ours or doubted:
            kept = without_ours(raw)
            if doubted:
                kept = [pair for pair in kept if pair[0].lower() != RETRIES]
            scope["headers"] = self.raw_headers = kept
            self.headers = Headers(kept)
        extensions = scope.get("extensions")
        if extensions and not _HIDING.isdisjoint(extensions):
            seen = {name: told for name, told in extensions.items() if name not in _HIDING}
            scope["extensions"] = seen
        return ours

    def values(self, name: str) -> list[str]:
        """All values of one header: more than one may be an attempt to smuggle."""
        wanted = name.encode("latin-1")
        length = len(wanted)
        return [
            value.decode("latin-1")
            for key, value in self.raw_headers
            if len(key) == length and key.lower() == wanted
        ]

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
        known = self.headers.known
        if len(known) != len(self.raw_headers) and self._has_two_keys():
            return None  # one may be meant for whoever stands before us
        said = known.get(b"authorization")
        if said is not None and said[:7].lower() == b"bearer ":
            token = said[7:].decode("latin-1").strip()
            if token:
                return token
        for name in _KEY_HEADERS:
            found = known.get(name)
            if found:
                return found.decode("latin-1")
        keys = parse_qs(self.query).get("key") if "key=" in self.query else None
        return keys[0] if keys else None

    def _has_two_keys(self) -> bool:
        names = ("authorization", *(name.decode() for name in _KEY_HEADERS))
        return any(len(set(self.values(name))) > 1 for name in names)
