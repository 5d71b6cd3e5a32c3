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


class KnownCalls:
    """What the requests of one meter were found to ask for."""

    __slots__ = ("_asked", "_calls", "_edited", "previewed")

    def __init__(self) -> None:
        self._asked: dict[tuple[str, str], Callable[[bytes], Hashable | None]] = {}
        self._calls: dict[tuple[str, str, Hashable], Call] = {}
        self._edited: set[tuple[str, str, Hashable]] = set()  # which are to be asked for usage
        self.previewed = Previewed()  # calls that were quoted and are not made yet

    def may_find(self, method: str, url: str) -> bool:
        """Say whether requests to this URL are worth a look: at once, without a body."""
        return (method, url) in self._asked

    def find(self, method: str, url: str, body: bytes, *, edits: bool) -> Call | None:
        """
        Return what a request asks for, if one that asked for the same is known.

        `edits`: its body may be changed; then one that has to be is described anew.
        """
        asked = self._asked.get((method, url))
        if asked is None or len(body) > BODY_BYTES_MAX:
            return None
        key = asked(body)
        if key is None or (edits and (method, url, key) in self._edited):
            return None
        return self._calls.get((method, url, key))

    def learn(self, method: str, url: str, body: bytes, call: Call) -> None:
        """Remember what a request asks for, and whether its body is to be changed."""
        asked = call.api.asked
        if asked is None or len(body) > BODY_BYTES_MAX:
            return
        key = asked(body)
        if key is None:
            return
        if len(self._calls) >= KNOWN_MAX:
            self._calls.clear()
            self._asked.clear()
            self._edited.clear()
        self._asked[method, url] = asked
        if call.edited_body is not None:
            self._edited.add((method, url, key))
            call = replace(call, edited_body=None)
        self._calls[method, url, key] = call
