"""Numbers, sizes and flags of the media makers, in our words."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenmeter.providers.base import NO_READING, Api, Call, Reading, settled_as_read
from tokenmeter.providers.media import (
    amount,
    asked_of,
    body_of,
    error_code,
    frame,
    links,
    must_have,
    resolution,
    said,
    seconds,
    settle_job,
    size,
    truth,
    whole,
)
from tokenmeter.usage import Usage

API = Api("videos", "video_generated", lambda _: NO_READING, settled_as_read)


@pytest.mark.parametrize(
    ("written", "length"),
    [
        (5, 5),
        ("8", 8),
        ("5s", 5),
        (" 5.5s ", Decimal("5.5")),
        (5.041, Decimal("5.041")),
        (5.0, 5),
        (3600, 3600),
    ],
)
def test_trap_01_lengths_that_come_as_text_are_read_exactly(written: Any, length: Any) -> None:
    assert seconds(written) == length
    assert type(seconds(written)) is type(length)


@pytest.mark.parametrize(
    "junk", [-1, 0, "0", "-5", float("nan"), "nan", True, None, [], "5 s s", 3601, 1e300, "5m"]
)
def test_trap_01_what_no_length_can_be_is_left_out(junk: Any) -> None:
    assert seconds(junk) is None


@pytest.mark.parametrize(
    ("written", "ours"),
    [
        ("720P", "720p"),
        ("720p", "720p"),
        (1080, "1080p"),
        (1080.0, "1080p"),
        (float("nan"), None),
        ("1080", "1080p"),
        ("4K", "4k"),
        ("2160p", "4k"),
        ("3840x2160", "4k"),
        ("1920*1080", "1080p"),
        ("1440*1440", "1080p"),
        ("1632*1248", "1080p"),
        ("1280:720", "720p"),
        ("960*960", "720p"),
        ("832*480", "480p"),
        ("624*624", "480p"),
        ("768P", "768p"),
        ("16:9", None),
        (True, None),
        (None, None),
        ("", None),
        ({}, None),
    ],
)
def test_trap_11_a_resolution_has_one_spelling(written: Any, ours: str | None) -> None:
    found = resolution(written)
    assert found == ours or (ours is None and found == "16:9")


def test_sizes_are_written_with_an_x() -> None:
    assert size("1280*720") == "1280x720"
    assert frame(" 1024 X 768 ") == (1024, 768)
    assert size("auto") is size(7) is None


def test_counts_and_amounts_may_be_text() -> None:
    assert (whole("3"), whole(4.0), whole(2.5), whole(-1), whole(10**13)) == (
        3,
        4,
        None,
        None,
        None,
    )
    assert (amount(4.0), amount("0.790"), amount(1600), amount(100)) == (
        "4",
        "0.79",
        "1600",
        "100",
    )
    assert amount("all") is None


def test_flags_lists_and_empty_values() -> None:
    assert (truth(True), truth(False), truth("true")) == ("true", "false", None)
    assert said(a="x", b=None, c="") == {"a": "x"}
    assert (links(["u", "", None, 7]), links("u")) == (1, 0)
    assert body_of({"data": {"a": 1}}, "data") == {"a": 1}
    assert body_of({"a": 1}, "data") == {"a": 1}


def test_an_error_is_a_word_or_a_number_and_never_a_text() -> None:
    assert (error_code("DataInspectionFailed"), error_code(400)) == ("DataInspectionFailed", "400")
    assert error_code("your prompt says") is error_code(True) is error_code(None) is None


@given(st.integers(0, 100), st.integers(0, 100))
def test_what_was_asked_for_one_is_asked_for_each(length: int, outputs: int) -> None:
    assert asked_of(Usage(video_seconds=length), outputs) == {"video_seconds": length * outputs}


def settled(reading: Reading, **call: Any) -> Reading:
    return settle_job(reading, Call("p", API, usage=Usage(video_seconds=8), **call))


def test_a_job_that_goes_on_keeps_what_was_asked() -> None:
    reading = settled(Reading(state="pending", response_id="j"))
    assert (reading.state, dict(reading.usage)) == ("pending", {"video_seconds": 8})


def test_a_job_without_an_id_cannot_be_followed() -> None:
    reading = settled(Reading(state="pending"))
    assert (reading.state, reading.error_type) == ("failed", "no_job_id")


def test_an_answer_that_says_nothing_is_no_end_of_a_job() -> None:
    assert settled(NO_READING, repeated=True, job_id="j").state == "pending"
    assert settled(NO_READING).state is None


def test_a_failed_job_has_used_nothing() -> None:
    reading = settled(Reading(state="failed", usage=Usage(output_count=1)), job_id="j")
    assert (dict(reading.usage), reading.response_id) == ({}, "j")


def test_what_came_at_once_is_multiplied_and_what_it_reports_stands() -> None:
    done = Reading(state="success", usage=Usage(output_count=2))
    assert settled(done).usage == {"output_count": 2, "video_seconds": 16}
    told = Reading(state="success", usage=Usage(video_seconds=5))
    assert settled(told).usage == {"video_seconds": 5}


def test_a_metric_that_is_missing_from_a_success_is_flagged() -> None:
    assert must_have(Reading(state="success"), "video_seconds").flags == {"missing:video_seconds"}
    assert must_have(Reading(state="failed"), "video_seconds").flags == frozenset()
