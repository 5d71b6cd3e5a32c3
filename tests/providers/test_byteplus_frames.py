"""Seedance's formula: frames, tokens, what is plausible."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenmeter.providers.byteplus_frames import (
    INPUT_SECONDS_MAX,
    Clip,
    estimated_tokens,
    frame_size,
    is_plausible,
)

PRO = Clip("seedance-1-5-pro-251215", "720p", "16:9", 5)


@pytest.mark.parametrize(
    ("clip", "tokens"),
    [
        (PRO, 108_900),  # observed in many live tasks
        (replace(PRO, model="seedance-1-0-pro-250528", resolution="1080p"), 246_840),  # official
        (replace(PRO, resolution="1080p"), 245_025),
        (replace(PRO, resolution="480p"), 50_639),  # 50,638.5: half up
        (replace(PRO, resolution="480p", draft=True), 30_383),
        (replace(PRO, model="dreamina-seedance-2-5-260628", resolution="480p"), 48_438),
        (replace(PRO, resolution="4k"), 980_100),
        (replace(PRO, input_seconds=5), 216_900),
        (replace(PRO, seconds=Decimal("2.375")), 51_300),  # 57 frames were asked for
        (replace(PRO, ratio="adaptive"), None),
        (replace(PRO, resolution="8k"), None),
        (replace(PRO, draft=True, audio=False), None),
    ],
)
def test_tokens_are_frames_times_pixels(clip: Clip, tokens: int | None) -> None:
    assert estimated_tokens(clip) == tokens


def test_frames_differ_between_generations() -> None:
    assert frame_size("doubao-seedance-1-0-pro-250528", "480p", "16:9") == (864, 480)
    assert frame_size("seedance-1-5-pro-251215", "480p", "16:9") == (864, 496)
    assert frame_size("dreamina-seedance-2-5-260628", "480p", "16:9") == (854, 480)
    assert frame_size("dreamina-seedance-2-5-260628", "480p", "1:1") == (640, 640)
    assert frame_size("seedance-1-0-pro-250528", "4k", "16:9") is None


@given(st.integers(1, 15), st.integers(0, INPUT_SECONDS_MAX))
def test_every_clip_of_the_formula_is_plausible(length: int, given_s: int) -> None:
    clip = Clip("dreamina-seedance-2-0-260128", "1080p", "9:16", length, input_seconds=given_s)
    tokens = estimated_tokens(clip)
    assert tokens is not None
    assert is_plausible(tokens, replace(clip, input_seconds=0))
    assert not is_plausible(tokens * 20, replace(clip, input_seconds=0))


def test_nothing_is_doubted_where_nothing_is_known() -> None:
    assert is_plausible(1, replace(PRO, ratio="adaptive"))
