"""What a picture in a prompt costs in tokens: each family's rule of tiles, by its real size."""

from __future__ import annotations

import base64
import binascii
import re
import struct
from collections.abc import Callable, Mapping
from typing import NamedTuple

from tokenmeter.providers.base import Json, mapping

HEAD_CHARS = 64 * 1024  # of base64 that is looked at for a size; JPEG keeps it behind its notes
_DATA = re.compile(r"data:image/[\w.+-]+;base64,")
_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # of JPEG's frame headers

Size = tuple[int, int]


class Tokens(NamedTuple):
    """From the least to the most; equal where the size is known."""

    low: int
    expected: int
    high: int


def size_of(image: Json) -> Size | None:
    """Return width and height of a picture that the request carries; None for a link."""
    text = _base64(image)
    if text is None:
        return None
    head = text[: HEAD_CHARS - HEAD_CHARS % 4]
    try:
        found = _measured(base64.b64decode(head[: len(head) - len(head) % 4]))
    except (binascii.Error, ValueError, struct.error, IndexError):
        return None
    return found if found and all(found) else None


def _base64(image: Json) -> str | None:
    blob = mapping(image.get("inlineData") or image.get("inline_data"))
    source = mapping(image.get("source"))
    link = image.get("image_url")
    text = (
        blob.get("data")
        or source.get("data")
        or (mapping(link).get("url") if isinstance(link, dict) else link)
    )
    if not isinstance(text, str):
        return None
    start = _DATA.match(text)
    if start is not None:
        return text[start.end() :]
    return text if blob or source else None


def _measured(head: bytes) -> Size | None:
    if head[:8] == b"\x89PNG\r\n\x1a\n":
        return struct.unpack(">II", head[16:24])
    if head[:3] == b"GIF":
        return struct.unpack("<HH", head[6:10])
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return _webp(head)
    return _jpeg(head) if head[:2] == b"\xff\xd8" else None


def _webp(head: bytes) -> Size | None:
    kind = head[12:16]
    if kind == b"VP8 ":
        width, height = struct.unpack("<HH", head[26:30])
        return width & 0x3FFF, height & 0x3FFF
    if kind == b"VP8L":
        bits = int.from_bytes(head[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8X":
        width, height = (int.from_bytes(head[at : at + 3], "little") + 1 for at in (24, 27))
        return width, height
    return None


def _jpeg(head: bytes) -> Size | None:
    place = 2
    while place + 9 < len(head) and head[place] == 0xFF:
        if head[place + 1] in _MARKERS:
            height, width = struct.unpack(">HH", head[place + 5 : place + 9])
            return width, height
        place += 2 + int.from_bytes(head[place + 2 : place + 4], "big")
    return None


def _tiled(base: int, tile: int) -> Callable[[Size], int]:
    """OpenAI: within 2048, the short side at most 768, then tiles of 512."""

    def count(size: Size) -> int:
        width, height = _within(size, 2048)
        scale = min(1.0, 768 / min(width, height))
        across, down = (-(-round(side * scale) // 512) for side in (width, height))
        return base + tile * across * down

    return count


def _patched(factor: float) -> Callable[[Size], int]:
    """OpenAI's later small models: patches of 32, at most 1,536, times the model's factor."""

    def count(size: Size) -> int:
        patches = -(-size[0] // 32) * -(-size[1] // 32)
        return round(min(patches, 1536) * factor)

    return count


def _claude(size: Size) -> int:
    """Anthropic: at most 1,568 long, then width x height / 750."""
    width, height = _within(size, 1568)
    return max(1, min(round(width * height / 750), 1_600))


def _gemini(size: Size) -> int:
    """Google: 258 up to 384 pixels, else 258 a tile of two thirds of the short side, and one."""
    if max(size) <= 384:
        return 258
    tile = min(max(min(size) // 1.5, 256), 768)
    tiles = int(-(-size[0] // tile) * -(-size[1] // tile))
    return 258 * (tiles + 1 if tiles > 1 else 1)  # the whole picture is one more (corpus)


def _gemini_3(_size: Size) -> int:
    """Google: one number at the default media resolution, whatever the size."""
    return 1_120


def _within(size: Size, most: int) -> Size:
    scale = min(1.0, most / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


class Rule(NamedTuple):
    """How one family counts pictures, and what one costs whose size is not known."""

    tokens: Callable[[Size], int]
    unknown: Tokens
    low_detail: int | None = None


# The first beginning of a model's name that fits.
RULES: Mapping[str, Rule] = {
    "gpt-4o-mini": Rule(_tiled(2833, 5667), Tokens(8_500, 25_501, 36_835), 2833),
    "gpt-4.1-mini": Rule(_patched(1.62), Tokens(52, 1_659, 2_488)),
    "gpt-4.1-nano": Rule(_patched(2.46), Tokens(79, 2_519, 3_779)),
    "gpt-5-mini": Rule(_patched(1.62), Tokens(52, 1_659, 2_488)),
    "gpt-5-nano": Rule(_patched(2.46), Tokens(79, 2_519, 3_779)),
    "o4-mini": Rule(_patched(1.72), Tokens(56, 1_761, 2_642)),
    "gpt-5": Rule(_tiled(70, 140), Tokens(210, 630, 910), 70),
    "o1": Rule(_tiled(75, 150), Tokens(225, 675, 975), 75),
    "o3": Rule(_tiled(75, 150), Tokens(225, 675, 975), 75),
    "gpt": Rule(_tiled(85, 170), Tokens(255, 765, 1_105), 85),
    "claude": Rule(_claude, Tokens(50, 1_334, 1_600)),
    "gemini-3": Rule(_gemini_3, Tokens(280, 1_120, 1_120)),
    "gemini": Rule(_gemini, Tokens(258, 258, 1_548)),
}
OTHER = Rule(_claude, Tokens(85, 765, 1_600))


def picture_tokens(model: str, image: Json) -> Tokens:
    """Return what a picture adds to the prompt of a model."""
    rule = next((rule for name, rule in RULES.items() if model.startswith(name)), OTHER)
    link = image.get("image_url")
    detail = link.get("detail") if isinstance(link, dict) else image.get("detail")
    if detail == "low" and rule.low_detail is not None:
        return Tokens(rule.low_detail, rule.low_detail, rule.low_detail)
    size = size_of(image)
    if size is None:
        return rule.unknown
    tokens = rule.tokens(size)
    return Tokens(tokens, tokens, tokens)
