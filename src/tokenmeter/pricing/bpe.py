"""
OpenAI's byte pair encodings, counted locally: the extra `preview` ships their vocabulary.

It is imported when the first prompt is counted (about a second, 70 MB), never downloaded.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache

BYTES_PER_TOKEN = 4  # English text; OpenAI's own rule of thumb (help.openai.com, 2026)
NEW, OLD = "o200k_base", "cl100k_base"
_OLD_MODELS = ("gpt-4-", "gpt-3.5", "gpt-35", "text-embedding", "text-ada", "babbage", "davinci")

REMEMBERED_CHARS_MIN = 200  # shorter texts are counted again
REMEMBERED_MAX = 4_096  # texts

Counter = Callable[[str], int]


def encoding_of(model: str) -> str:
    """Return the encoding of an OpenAI model; a name that nobody knows yet has the newest."""
    name = model.removeprefix("ft:")
    return OLD if name == "gpt-4" or name.startswith(_OLD_MODELS) else NEW


@cache
def counter(encoding: str) -> Counter | None:
    """Return what counts the tokens of a text exactly; None if the extra is not installed."""
    try:
        with warnings.catch_warnings():  # the package reads its data in a deprecated way
            warnings.simplefilter("ignore", DeprecationWarning)
            # Its own front keeps every token as a Python object (75 MB more); this does not.
            from bpe_openai._bindings import tokenizer_for_encoding
    except ImportError:
        return None
    return Remembered(tokenizer_for_encoding(encoding).count)


class Remembered:
    """Counts a text once: system prompts come again and again. Keeps hashes, no texts."""

    __slots__ = ("_count", "_known")

    def __init__(self, count: Counter) -> None:
        self._count = count
        self._known: dict[tuple[int, int], int] = {}

    def __call__(self, text: str) -> int:
        """Return the tokens of a text."""
        if len(text) < REMEMBERED_CHARS_MIN:
            return self._counted(text)
        key = hash(text), len(text)
        tokens = self._known.get(key)
        if tokens is None:
            tokens = self._counted(text)
            if len(self._known) >= REMEMBERED_MAX:
                self._known.clear()
            self._known[key] = tokens
        return tokens

    def _counted(self, text: str) -> int:
        try:
            return self._count(text)
        except UnicodeEncodeError:  # half of a character, which JSON can carry
            return self._count(text.encode(errors="replace").decode())


def by_size(text: str) -> int:
    """Estimate without a vocabulary, by the bytes of a text."""
    return -(-len(text.encode(errors="replace")) // BYTES_PER_TOKEN)
