"""
Requests that ask for the same as one before: described once.

An adapter that looks at a few fields of a body only has `Api.asked` for it: it returns them as a
key, without parsing the prompt.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable

from tokenmeter.capture.previewed import Previewed
from tokenmeter.providers.base import Call

KNOWN_MAX = 1024  # calls that are remembered; then all are forgotten
BODY_BYTES_MAX = 1024 * 1024  # a longer body is described anew: the time is in the parsing


class KnownCalls:
    """What the requests of one meter were found to ask for."""

    __slots__ = ("_asked", "_calls", "previewed")

    def __init__(self) -> None:
        self._asked: dict[tuple[str, str], Callable[[bytes], Hashable | None]] = {}
        self._calls: dict[tuple[str, str, Hashable], Call] = {}
        self.previewed = Previewed()  # calls that were quoted and are not made yet

    def may_find(self, method: str, url: str) -> bool:
        """Say whether requests to this URL are worth a look: at once, without a body."""
        return (method, url) in self._asked

    def find(self, method: str, url: str, body: bytes) -> Call | None:
        """Return what a request asks for, if one that asked for the same is known."""
        asked = self._asked.get((method, url))
        if asked is None or len(body) > BODY_BYTES_MAX:
            return None
        key = asked(body)
        return None if key is None else self._calls.get((method, url, key))

    def learn(self, method: str, url: str, body: bytes, call: Call) -> None:
        """Remember what a request asks for, unless it is a stream: its body may be changed."""
        asked = call.api.asked
        if asked is None or call.streamed or len(body) > BODY_BYTES_MAX:
            return
        key = asked(body)
        if key is None:
            return
        if len(self._calls) >= KNOWN_MAX:
            self._calls.clear()
            self._asked.clear()
        self._asked[method, url] = asked
        self._calls[method, url, key] = call
