"""
Seedance's frames: what a clip measures, and the tokens that it should cost by the formula.

Tokens are ``width * height * frames / 1024`` with 24 frames a second and one more: 5 seconds
of 1280x720 are 121 frames, 108,900 tokens. What the provider reports is what it bills; the
formula serves previews, tasks without usage, and a doubt.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from tokenmeter.usage import Number

FPS = 24
PIXELS_PER_TOKEN = 1024
DRAFT_FACTOR = Decimal("0.6")  # of a draft with sound; that of a silent one is not published
INPUT_SECONDS_MAX = 15  # of reference videos, all together
TOLERANCE = Decimal("0.05")  # a published table may count 24 frames a second, or 24 and one

RATIOS = ("16:9", "4:3", "1:1", "3:4", "9:16", "21:9")
# Model generation -> resolution -> frame per ratio (docs.byteplus.com/en/docs/ModelArk/1544106).
_FRAMES = {
    "1-0": {
        "480p": "864x480 736x544 640x640 544x736 480x864 960x416",
        "720p": "1248x704 1120x832 960x960 832x1120 704x1248 1504x640",
        "1080p": "1920x1088 1664x1248 1440x1440 1248x1664 1088x1920 2176x928",
    },
    "": {
        "480p": "864x496 752x560 640x640 560x752 496x864 992x432",
        "720p": "1280x720 1112x834 960x960 834x1112 720x1280 1470x630",
        "1080p": "1920x1080 1664x1248 1440x1440 1248x1664 1080x1920 2206x946",
        "4k": "3840x2160 3326x2494 2880x2880 2494x3326 2160x3840 4398x1886",
    },
}


def _parsed(row: str) -> dict[str, tuple[int, int]]:
    pairs = (size.split("x") for size in row.split())
    return {ratio: (int(w), int(h)) for ratio, (w, h) in zip(RATIOS, pairs, strict=True)}


_SIZES = {
    (generation, resolution): _parsed(row)
    for generation, rows in _FRAMES.items()
    for resolution, row in rows.items()
}
_EXCEPTIONS = {("2-5", "480p", "16:9"): (854, 480)}


@dataclass(frozen=True, slots=True)
class Clip:
    """One video of Seedance, as far as its tokens depend on it."""

    model: str
    resolution: str  # "720p"
    ratio: str  # "16:9"; "adaptive" has no known frame
    seconds: Number
    draft: bool = False
    audio: bool = True
    input_seconds: Number = 0  # of the videos it starts from


def frame_size(model: str, resolution: str, ratio: str) -> tuple[int, int] | None:
    """Return width and height in pixels; None where they are not published."""
    for (generation, *rest), size in _EXCEPTIONS.items():
        if generation in model and rest == [resolution, ratio]:
            return size
    return _SIZES.get((_generation(model), resolution), {}).get(ratio)


def _generation(model: str) -> str:
    return "1-0" if "seedance-1-0" in model else ""


def estimated_tokens(clip: Clip) -> int | None:
    """
    Return the tokens that a clip should cost, rounded half up; None if that cannot be known.

    A clip that starts from videos may cost more: there is a minimum, which is not published.
    """
    size = frame_size(clip.model, clip.resolution, clip.ratio)
    if size is None or (clip.draft and not clip.audio):
        return None
    frames = _frames(Decimal(clip.seconds + clip.input_seconds))
    tokens = size[0] * size[1] * frames / PIXELS_PER_TOKEN
    tokens *= DRAFT_FACTOR if clip.draft else 1
    return int(tokens.quantize(Decimal(1), ROUND_HALF_UP))


def _frames(length: Decimal) -> Decimal:
    """Return the frames of so many seconds: 121 of 5; 57 of 2.375, which were asked for so."""
    frames = (FPS * length).quantize(Decimal(1), ROUND_HALF_UP)
    return frames + 1 if length == length.to_integral_value() else frames


def is_plausible(tokens: Number, clip: Clip) -> bool:
    """Say whether a count can be right; True where nothing is known. Never a reason to refuse."""
    low = estimated_tokens(clip)
    if low is None:
        return True
    high: Number = low
    if "seedance-1-" not in clip.model:  # later models take videos, whose length we do not see
        high = high * (clip.seconds + INPUT_SECONDS_MAX) // max(clip.seconds, 1)
    return low * (1 - TOLERANCE) <= tokens <= high * (1 + TOLERANCE)
