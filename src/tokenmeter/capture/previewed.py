"""
What previewed calls were counted as, until they are made.

The event of such a call carries the count beside what the provider reports: from the two the
next previews learn how far off a local estimate is. Hashes of requests are kept, no prompts.
"""

from __future__ import annotations

import json
from dataclasses import replace

from tokenmeter.event import PREVIEWED
from tokenmeter.providers.base import Call, Json

PREVIEWED_MAX = 1_024  # calls that were previewed and not made; the oldest are forgotten


class Previewed:
    """Local counts by request; each is used once. `tokens` is empty while there is none."""

    __slots__ = ("tokens",)

    def __init__(self) -> None:
        self.tokens: dict[int, int] = {}

    def remember(self, body: Json, tokens: int) -> None:
        """Keep what a request's prompt was counted as."""
        self.tokens[_key(body)] = tokens
        while len(self.tokens) > PREVIEWED_MAX:
            self.tokens.pop(next(iter(self.tokens)), None)

    def noted(self, call: Call, body: Json) -> Call:
        """Return the call with its count, if this request was previewed."""
        tokens = self.tokens.pop(_key(body), None)
        if tokens is None:
            return call
        return replace(call, dimensions={**call.dimensions, PREVIEWED: str(tokens)})


def _key(body: Json) -> int:
    return hash(json.dumps(body, sort_keys=True, default=str))
