"""
Requests that ask for the same as one before: described once.

An adapter that looks at a few fields of a body only has `Api.asked` for it: it returns them as a
key, without parsing the prompt.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import replace

from tokenmeter.capture.previewed import Previewed
from tokenmeter.providers.base import Call

KNOWN_MAX = 1024  # calls that are remembered; then all are forgotten
BODY_BYTES_MAX = 1024 * 1024  # a longer body is described anew: the time is in the parsing


class Asks:
    """What the requests to one URL were found to ask for."""

    __slots__ = ("_asked", "_calls", "_edited")

    def __init__(self, asked: Callable[[bytes], Hashable | None]) -> None:
        self._asked = asked
        self._calls: dict[Hashable, Call] = {}
        self._edited: set[Hashable] = set()  # which are to be asked for their usage

    def find(self, body: bytes, *, edits: bool) -> Call | None:
        """
        Return what a request asks for, if one that asked for the same is known.

        `edits`: its body may be changed; then one that has to be is described anew.
        """
        if len(body) > BODY_BYTES_MAX:
            return None
        key = self._asked(body)
        if key is None or (edits and key in self._edited):
            return None
        return self._calls.get(key)

    def learn(self, body: bytes, call: Call) -> bool:
        """Remember what a request asks for; True if nothing like it was known."""
        key = self._asked(body)
        if key is None:
            return False
        is_new = key not in self._calls
        if call.edited_body is not None:
            self._edited.add(key)
            call = replace(call, edited_body=None)
        self._calls[key] = call
        return is_new


class KnownCalls:
    """What the requests of one meter were found to ask for."""

    __slots__ = ("_by_url", "_learned", "previewed")

    def __init__(self) -> None:
        self._by_url: dict[tuple[str, str], Asks] = {}
        self._learned = 0
        self.previewed = Previewed()  # calls that were quoted and are not made yet

    def to(self, method: str, url: str) -> Asks | None:
        """Return what is known of requests to this URL: at once, without a body."""
        return self._by_url.get((method, url))

    def learn(self, method: str, url: str, body: bytes, call: Call) -> None:
        """Remember what a request asks for."""
        asked = call.api.asked
        if asked is None or len(body) > BODY_BYTES_MAX:
            return
        if self._learned >= KNOWN_MAX:
            self._by_url.clear()
            self._learned = 0
        asks = self._by_url.get((method, url)) or Asks(asked)
        if asks.learn(body, call):
            self._learned += 1
            self._by_url[method, url] = asks
