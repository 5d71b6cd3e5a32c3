"""
Requests that ask for the same as one before, told by the few bytes around their prompt.

An endpoint whose adapter looks at a few plain fields only (`Api.asked`) is described once for
each combination of them. The fields stand outside of every list and object in the body, before
the first bracket or behind the last one; what lies between is not parsed, only searched for
their names.
"""

from __future__ import annotations

from tokenmeter.capture.previewed import Previewed
from tokenmeter.providers.base import Call

AROUND_BYTES_MAX = 512  # of a body outside its lists and objects; more is described anew
KNOWN_MAX = 1024  # calls that are remembered; then all are forgotten
_ESCAPED = b"\\u00"  # a name may be written with escapes: such a body is parsed


class KnownCalls:
    """What the requests of one meter were found to ask for."""

    __slots__ = ("_asked", "_calls", "previewed")

    def __init__(self) -> None:
        self._asked: dict[tuple[str, str], tuple[bytes, ...]] = {}
        self._calls: dict[tuple[str, str, bytes], Call] = {}
        self.previewed = Previewed()  # calls that were quoted and are not made yet

    def may_find(self, method: str, url: str) -> bool:
        """Say whether requests to this URL are worth a look: at once, without a body."""
        return (method, url) in self._asked

    def find(self, method: str, url: str, body: bytes) -> Call | None:
        """Return what a request asks for, if one that asked for the same is known."""
        asked = self._asked.get((method, url))
        if asked is None:
            return None
        around = _around(body, asked)
        return None if around is None else self._calls.get((method, url, around))

    def learn(self, method: str, url: str, body: bytes, call: Call) -> None:
        """Remember what a request asks for, unless it is a stream: its body may be changed."""
        asked = call.api.asked
        if not asked or call.streamed:
            return
        around = _around(body, asked)
        if around is None:
            return
        if len(self._calls) >= KNOWN_MAX:
            self._calls.clear()
            self._asked.clear()
        self._asked[method, url] = asked
        self._calls[method, url, around] = call


def _around(body: bytes, asked: tuple[bytes, ...]) -> bytes | None:
    """Return what stands outside of lists and objects, if all that is asked for stands there."""
    bracket, brace = body.find(b"["), body.find(b"{", 1)
    begin = bracket if brace < 0 or 0 <= bracket < brace else brace
    end = max(body.rfind(b"]"), body.rfind(b"}", 0, -1)) + 1
    if begin < 0 or end <= begin or begin + len(body) - end > AROUND_BYTES_MAX:
        return None
    before, after = body[:begin], body[end:]
    if before.count(b'"') % 2 or after.count(b'"') % 2 or b"\\" in before or b"\\" in after:
        return None  # the bracket stands within a text
    if body.find(_ESCAPED, begin, end) >= 0:
        return None
    for name in asked:
        if body.find(name, begin, end) >= 0:
            return None
    return before + b"\0" + after
