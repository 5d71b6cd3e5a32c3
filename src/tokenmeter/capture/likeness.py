"""
What the events of a text stream have in common: all but the text within one or two strings.

    data: {"id":"c-1","choices":[{"delta":{"content":"   "}}],"usage":null,"obfuscation":"   "}

Once a chunk was searched and found to hold nothing for us, the next one holds nothing either if
it is the same but for the inside of strings that are text: no name of a field can be there, and
no kind of an event. To see that takes a few comparisons of memory.
"""

from __future__ import annotations

import re
from typing import NamedTuple

# Where a text begins: the fields whose values say nothing of the usage, or of the event's kind.
_TEXT = re.compile(
    rb'"(?:content|text|delta|refusal|reasoning|reasoning_content|thinking|signature|arguments'
    rb'|partial_json|transcript|obfuscation)": ?"'
)
_CLOSES = b'"'


class Likeness(NamedTuple):
    """The parts that stay, with their lengths; no `middle` where there is one string only."""

    before: bytes  # ends where the first string begins
    before_len: int
    middle: bytes  # from the end of the first string to where the second begins
    middle_len: int
    after: bytes  # from the end of the last string
    after_len: int
    events: int  # in such a chunk

    def is_like(self, data: bytes) -> bool:
        """Say whether `data` is these parts, and text without a quote between them."""
        before, start, middle, length, after, rest, _ = self
        if not data.startswith(before):
            return False
        at = data.find(b'"', start)
        if middle and data.startswith(middle, at):
            at = data.find(b'"', at + length)
        return at == len(data) - rest and data.endswith(after)


UNLIKE = Likeness(b"\0", 1, b"", 0, b"\0", 1, 0)


def likeness(one: bytes, other: bytes) -> Likeness | None:
    """Return what two chunks of whole events have in common; None if they differ elsewhere."""
    ends = (found.end() for found in _TEXT.finditer(one))
    begins = [end for end in ends if other.startswith(one[:end])]
    if not begins:
        return None
    start = begins[-1]
    close = one.find(_CLOSES, start)
    last = [start, *(found.end() for found in _TEXT.finditer(one, close))][-1]
    after = one[one.find(_CLOSES, last) :]
    found = _parts(one[:start], one[close:last], after)
    return found if found.is_like(one) and found.is_like(other) else None


def _parts(before: bytes, middle: bytes, after: bytes) -> Likeness:
    events = sum(part.count(b"data:") for part in (before, middle, after))
    return Likeness(before, len(before), middle, len(middle), after, len(after), events)
