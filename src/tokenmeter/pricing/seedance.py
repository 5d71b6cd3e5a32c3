"""Seedance's tokens before the video is made: the formula for the real frame, or its range."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product

from tokenmeter.pricing.history import Spread
from tokenmeter.providers.byteplus_frames import (
    DRAFT_FACTOR,
    INPUT_SECONDS_MAX,
    RATIOS,
    Clip,
    estimated_tokens,
)
from tokenmeter.usage import Number

# Lengths that a model may choose by itself (docs.byteplus.com/en/docs/ModelArk/1520757): the
# first part of its name that fits.
_LENGTHS: Mapping[str, tuple[int, int]] = {
    "seedance-1-0": (2, 12),
    "seedance-1-5": (4, 12),
    "seedance": (4, 15),
}
_EXPECTED = (5, "16:9")  # the documented defaults


def clip_tokens(
    model: str, said: Mapping[str, str], length: Number | None
) -> tuple[Spread, str] | None:
    """Return the tokens of one video, and what they rest on; None if no frame is published."""
    ratio = said.get("aspect_ratio", "adaptive")
    ratios = RATIOS if ratio in {"adaptive", "keep_ratio"} else (ratio,)
    lengths = _lengths(model) if length is None else (length,)
    tokens = [
        count
        for one_ratio, one_length in product(ratios, lengths)
        if (count := _tokens(model, said, one_ratio, one_length)) is not None
    ]
    usual_ratio = _EXPECTED[1] if len(ratios) > 1 else ratio
    expected = _tokens(model, said, usual_ratio, _EXPECTED[0] if length is None else length)
    if not tokens or expected is None:
        return None
    low, high = min(tokens), max(tokens)
    basis, open_facts = "Seedance formula", _open(ratios, length, said)
    if said.get("input_has_video") == "true":
        most = lengths[-1]
        high = int(high * (most + INPUT_SECONDS_MAX) // max(most, 1))
    if _is_silent_draft(said):
        low = int(low * DRAFT_FACTOR)  # what a draft with sound is reduced to
    return Spread(low, expected, high), ", ".join((basis, *open_facts))


def _tokens(model: str, said: Mapping[str, str], ratio: str, length: Number) -> int | None:
    draft = said.get("draft") == "true"
    clip = Clip(
        model=model,
        resolution=said.get("resolution", "720p"),
        ratio=ratio,
        seconds=length,
        draft=draft and not _is_silent_draft(said),
    )
    return estimated_tokens(clip)


def _is_silent_draft(said: Mapping[str, str]) -> bool:
    return said.get("draft") == "true" and said.get("generate_audio") != "true"


def _lengths(model: str) -> tuple[int, int]:
    return next((span for name, span in _LENGTHS.items() if name in model), (2, 15))


def _open(ratios: tuple[str, ...], length: Number | None, said: Mapping[str, str]) -> list[str]:
    facts: list[str] = []
    if length is None:
        facts.append("length left to the model")
    if len(ratios) > 1:
        facts.append("ratio adaptive")
    if said.get("input_has_video") == "true":
        facts.append("length of the input video not known")
    if _is_silent_draft(said):
        facts.append("factor of a silent draft not published")
    return facts
