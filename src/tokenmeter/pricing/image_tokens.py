"""
Tables: the output tokens of one image, by model, quality and size.

GPT Image 1, mini, 1.5: developers.openai.com, image generation guide. 2 and 2.5: derived from
published prices per image at 30 USD for a million tokens. They do not grow with the area, so a
size that is in no table has the range of its quality. Gemini: ai.google.dev, pricing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

PARTIAL_TOKENS = 100  # for each partial image of a stream
# What a model may think or write beside one image: an assumption. Some do, at their text rate.
BESIDE_TOKENS = 1_000
_TALKS = ("gpt-image-1.5", "chatgpt-image", "gemini-3", "gemini-nano")
# A picture that is to be edited: 65, and 129 for each tile of 512 that it has when its short
# side is 512; with high fidelity 4,160 more, or 6,240 where it is no square (image guide).
_GIVEN = (65 + 129, 65 + 2 * 129, 65 + 3 * 129)
_GIVEN_HIGH = (4_160 + _GIVEN[0], 4_160 + _GIVEN[1], 6_240 + _GIVEN[2])


class Drawn(NamedTuple):
    """Output tokens of one image, from the least to the most, and what they rest on."""

    low: int
    expected: int
    high: int
    basis: str


Table = Mapping[str, Mapping[str, int]]  # quality -> size -> tokens
_FIRST = ("1024x1024", "1024x1536", "1536x1024")
_GPT_1: Table = {
    "low": dict(zip(_FIRST, (272, 408, 400), strict=True)),
    "medium": dict(zip(_FIRST, (1056, 1584, 1568), strict=True)),
    "high": dict(zip(_FIRST, (4160, 6240, 6208), strict=True)),
}
_LATER = ("1024x768", "1024x1024", "1024x1536", "1920x1080", "2560x1440", "3840x2160")
_GPT_25: Table = {
    "low": dict(zip(_LATER, (134, 196, 158, 147, 205, 371), strict=True)),
    "medium": dict(zip(_LATER, (301, 439, 343, 343, 478, 865), strict=True)),
    "high": dict(zip(_LATER, (1204, 1756, 1372, 1320, 1843, 3336), strict=True)),
    "xhigh": dict(zip(_LATER, (2140, 3122, 2459, 2347, 3276, 5930), strict=True)),
    "max": dict(zip(_LATER, (4815, 7024, 5488, 5280, 7370, 13342), strict=True)),
}
_GPT_2: Table = {  # one size is known
    "low": {"1024x1024": 198},
    "medium": {"1024x1024": 1767},
    "high": {"1024x1024": 7033},
}
# The first beginning of a model's name that fits.
_GPT: Mapping[str, tuple[Table, str]] = {
    "gpt-image-2.": (_GPT_25, "derived token table"),
    "gpt-image-2": (_GPT_2, "derived token table"),
    "gpt-image": (_GPT_1, "token table"),
    "chatgpt-image": (_GPT_1, "token table"),
}
_SIZE_DEFAULT = "1k"
_GEMINI: Mapping[str, Mapping[str, int]] = {
    "gemini-2.5-flash-image": {_SIZE_DEFAULT: 1290},
    "gemini-3-pro-image": {_SIZE_DEFAULT: 1120, "2k": 1120, "4k": 2000},
    "gemini-3.1-flash-image": {
        "0.5k": 747,
        "512": 747,
        _SIZE_DEFAULT: 1120,
        "2k": 1680,
        "4k": 2520,
    },
    "gemini-3.1-flash-lite-image": {_SIZE_DEFAULT: 1120},
    "gemini-nano-banana-2.1": {_SIZE_DEFAULT: 1120},
}


def drawn_tokens(model: str, size: str | None, quality: str | None) -> Drawn | None:
    """Return the tokens of one image; None for a model that no table knows."""
    name = model.lower()
    for beginning, (table, basis) in _GPT.items():
        if name.startswith(beginning):
            return _from_table(table, basis, (size or "").lower(), (quality or "").lower())
    known = next((t for begin, t in _GEMINI.items() if name.startswith(begin)), None)
    if known is None:
        return None
    tokens = known.get((size or _SIZE_DEFAULT).lower())
    if tokens is None:
        return _range(list(known.values()), known[_SIZE_DEFAULT], f"token table, size={size}")
    return Drawn(tokens, tokens, tokens, "token table")


def beside_tokens(model: str) -> int:
    """Return the most that is to be expected beside one image."""
    return BESIDE_TOKENS if model.lower().startswith(_TALKS) else 0


def given_tokens(model: str, fidelity: object) -> tuple[int, int, int] | None:
    """Return what one picture of an edit is read as; None for a model without such tokens."""
    name = model.lower()
    if not name.startswith(tuple(_GPT)):
        return None
    return _GIVEN_HIGH if fidelity == "high" or name.startswith("gpt-image-2") else _GIVEN


def _from_table(table: Table, basis: str, size: str, quality: str) -> Drawn:
    rows = [table[quality]] if quality in table else list(table.values())
    sized = [row[size] for row in rows if size in row]
    if len(sized) == 1:
        return Drawn(sized[0], sized[0], sized[0], basis)
    usual = table.get(quality, table["medium"])
    values = sized or [tokens for row in rows for tokens in row.values()]
    unsaid = [name for name, said in (("size", size), ("quality", quality)) if _open(said)]
    why = f"{' and '.join(unsaid)} left to the model" if unsaid else f"size={size} is in no table"
    return _range(values, usual.get(size, usual["1024x1024"]), f"{basis}, {why}")


def _open(said: str) -> bool:
    return said in {"", "auto"}


def _range(values: list[int], expected: int, basis: str) -> Drawn:
    return Drawn(min(values), expected, max(values), basis)
