"""Keep a JSON body small while it passes: long strings and number lists are cut out of it."""

from __future__ import annotations

import re

KEEP_BYTES = 64 * 1024  # a body up to this size is kept as it is
# What is left after cutting; beyond it the body is given up. A chat of 1,000 tokens with
# `top_logprobs=20` has 1 MiB of short strings before its usage.
SKELETON_BYTES_MAX = 16 * 1024 * 1024
VALUE_BYTES_MAX = 256  # a longer string or number list is cut

# Every string in order, so that a match never starts at a closing quote; the last one may be
# open. Possessive quantifiers: never try a second way.
_VALUES = re.compile(
    rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?P<end>"|\\?\Z)'
    rb"|\[[-+0-9.eE,\s]{%d,}+(?P<close>\]|\Z)" % VALUE_BYTES_MAX,
    re.DOTALL,
)
_TEXT_END = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)


class Squeezed:
    """
    A JSON text of any size in bounded memory.

    Up to `KEEP_BYTES` nothing is changed. Beyond, strings and lists of numbers longer than
    `VALUE_BYTES_MAX` become ``""`` and ``[]``: an image of 10 MB leaves its key behind, so the
    images can still be counted and the usage after them read.
    """

    __slots__ = ("_escaped", "_inside", "_next_cut", "kept", "overflowed")

    def __init__(self) -> None:
        self.kept = bytearray()
        self.overflowed = False
        self._inside = b""  # b'"' or b"]" while a cut value goes on
        self._escaped = b""  # a backslash that ended the last chunk of a cut string
        self._next_cut = KEEP_BYTES

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the body."""
        if self._inside:
            data = self._after_cut(data)
        if self.overflowed or not data:
            return
        self.kept += data
        if len(self.kept) > self._next_cut:
            self._cut()

    def _after_cut(self, data: bytes) -> bytes:
        """Drop what still belongs to the value being cut; return the rest."""
        if self._inside == b'"' and (self._escaped or b"\\" in data):
            return self._after_escaped(self._escaped + data)
        end = data.find(self._inside)
        if end < 0:
            return b""
        self._inside = b""
        return data[end:]

    def _after_escaped(self, data: bytes) -> bytes:
        """Find the closing quote among escapes; an odd backslash at the end is carried over."""
        found = _TEXT_END.match(data)
        if found is None:
            self._escaped = _odd_backslash(data)
            return b""
        self._inside = self._escaped = b""
        return data[found.end() - 1 :]

    def _cut(self) -> None:
        source, last = bytes(self.kept), 0
        kept = bytearray()
        for value in _VALUES.finditer(source):
            if value.end() - value.start() <= VALUE_BYTES_MAX:
                continue
            kept += source[last : value.start() + 1]
            last = value.end() - 1
            if not (value["close"] or value["end"] == b'"'):
                last = len(source)
                self._inside = b'"' if value["close"] is None else b"]"
                self._escaped = _odd_backslash(source)
        self.kept = kept + source[last:]
        if len(self.kept) > SKELETON_BYTES_MAX:
            self.overflowed = True
            self.kept.clear()
        self._next_cut = max(KEEP_BYTES, 2 * len(self.kept))


def _odd_backslash(data: bytes) -> bytes:
    return b"\\" if (len(data) - len(data.rstrip(b"\\"))) % 2 else b""
