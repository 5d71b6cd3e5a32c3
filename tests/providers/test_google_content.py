"""generateContent: tokens, streams, images, searches; the traps of Gemini's usage."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.providers.google_wire import (
    FLASH,
    HELLO,
    VERTEX,
    Json,
    answer,
    call,
    chunks,
    content,
    image,
    metadata,
    read_body,
    read_stream,
)
from tokenmeter.providers.google_usage import read_usage
from tokenmeter.usage import Number


def split(modality: str, tokens: Any) -> Json:
    return {"modality": modality, "tokenCount": tokens}


def test_trap_03_gemini_thoughts_and_tool_use_lie_outside() -> None:
    counts = metadata(
        147, 108, toolUsePromptTokenCount=360, thoughtsTokenCount=168, totalTokenCount=783
    )
    reading = content(answer(counts, HELLO))
    assert dict(reading.usage) == {
        "input_tokens": 507,
        "uncached_input_tokens": 507,
        "tool_use_input_tokens": 360,
        "output_tokens": 276,
        "reasoning_tokens": 168,
        "total_tokens": 783,
        "output_count": 1,
    }
    assert reading.flags == frozenset()
    assert (reading.model, reading.response_id) == ("gemini-2.5-flash", "r1")


def test_trap_07_an_answer_seen_twice_has_one_id_and_the_same_usage() -> None:
    body = answer(metadata(3, 4), HELLO)
    first, second = content(body), content(body)
    assert (first.response_id, first.usage) == (second.response_id, second.usage)
    assert call(f"{FLASH}:generateContent").api.owns_ids


def test_trap_13_each_hop_of_a_function_call_is_an_answer_of_its_own() -> None:
    asked = answer(metadata(40, 9), {"functionCall": {"name": "f", "args": {"x": 1}}})
    final = answer(metadata(60, 20), HELLO, responseId="r2")
    hops = [content(body) for body in (asked, final)]
    assert [hop.response_id for hop in hops] == ["r1", "r2"]
    assert sum(hop.usage["input_tokens"] for hop in hops) == 100


@pytest.mark.parametrize(
    ("served", "tier"),
    [
        ({"serviceTier": "standard"}, "standard"),
        ({"trafficType": "ON_DEMAND_FLEX"}, "on_demand_flex"),
        ({}, "flex"),
    ],
)
def test_trap_14_the_served_tier_beats_the_requested(served: Json, tier: str) -> None:
    asked = call(f"{FLASH}:generateContent", serviceTier="flex")
    reading = read_body(asked, answer({**metadata(3, 4), **served}, HELLO))
    assert {**asked.dimensions, **reading.dimensions}["service_tier"] == tier


def test_trap_16_an_explicit_zero_is_not_missing() -> None:
    counts = metadata(3, 0, cachedContentTokenCount=0, thoughtsTokenCount=0)
    usage = content(answer(counts)).usage
    assert (usage.output_tokens, usage.cache_read_tokens, usage.reasoning_tokens) == (0, 0, 0)


def test_what_was_not_reported_is_absent() -> None:
    usage = content(answer(metadata(14, totalTokenCount=14))).usage
    assert usage.input_tokens == 14
    assert usage.output_tokens is None
    assert "cache_read_tokens" not in usage
    assert dict(content(answer(None, HELLO)).usage) == {}
    assert dict(content({}).usage) == {}


def test_cached_tokens_lie_in_the_input() -> None:
    counts = metadata(
        3284,
        84,
        cachedContentTokenCount=2917,
        promptTokensDetails=[split("TEXT", 70), split("VIDEO", 2893), split("AUDIO", 321)],
        cacheTokensDetails=[split("VIDEO", 2570), split("TEXT", 62), split("AUDIO", 285)],
    )
    usage = content(answer(counts, HELLO)).usage
    assert (usage.input_tokens, usage.uncached_input_tokens) == (3284, 367)
    assert (usage.input_video_tokens, usage.cache_read_video_tokens) == (2893, 2570)
    assert (usage.input_audio_tokens, usage.cache_read_audio_tokens) == (321, 285)
    assert (usage.input_text_tokens, usage.cache_read_text_tokens) == (70, 62)


def test_pages_of_a_document_are_no_images_though_their_cache_says_so() -> None:
    counts = metadata(
        1344,
        99,
        cachedContentTokenCount=1274,
        promptTokensDetails=[split("TEXT", 54), split("DOCUMENT", 1290)],
        cacheTokensDetails=[split("TEXT", 51), split("IMAGE", 1223)],
    )
    reading = content(answer(counts, HELLO))
    assert "input_image_tokens" not in reading.usage
    assert "cache_read_image_tokens" not in reading.usage
    assert reading.usage.cache_read_text_tokens == 51
    assert reading.flags == frozenset()


def test_text_that_tools_fetched_is_text_of_the_input() -> None:
    counts = metadata(
        15,
        37,
        toolUsePromptTokenCount=770,
        promptTokensDetails=[split("TEXT", 15)],
        toolUsePromptTokensDetails=[{"tokenCount": 700}, split("MODALITY_UNSPECIFIED", 70)],
    )
    assert content(answer(counts, HELLO)).usage.input_text_tokens == 785


@pytest.mark.parametrize("junk", [-1, 1.5, float("nan"), 10**30, True, "12", [], {}])
@pytest.mark.parametrize(
    ("field", "lost"),
    [
        ("promptTokenCount", {"input_tokens", "uncached_input_tokens"}),
        ("toolUsePromptTokenCount", {"input_tokens", "tool_use_input_tokens"}),
        ("cachedContentTokenCount", {"cache_read_tokens", "uncached_input_tokens"}),
        ("candidatesTokenCount", {"output_tokens"}),
        ("thoughtsTokenCount", {"output_tokens", "reasoning_tokens"}),
        ("totalTokenCount", {"total_tokens"}),
    ],
)
def test_a_count_that_is_none_takes_its_total_with_it(
    field: str, lost: set[str], junk: object
) -> None:
    counts = metadata(
        30,
        20,
        toolUsePromptTokenCount=10,
        cachedContentTokenCount=5,
        thoughtsTokenCount=7,
        totalTokenCount=67,
    )
    whole = content(answer(counts, HELLO)).usage
    reading = content(answer({**counts, field: junk}, HELLO))
    assert lost.isdisjoint(reading.usage)
    assert set(whole) - set(reading.usage) <= lost | {"uncached_input_tokens"}
    assert f"invalid:{field}" in reading.flags


@pytest.mark.parametrize("junk", [7, "much", [3], True])
def test_usage_that_is_no_object_is_flagged(junk: object) -> None:
    reading = content(answer(junk, HELLO))
    assert dict(reading.usage) == {}
    assert reading.flags == {"invalid:usage"}


@pytest.mark.parametrize(
    ("entry", "flag"),
    [
        ("junk", "invalid:promptTokensDetails"),
        ({"modality": 7, "tokenCount": 3}, "invalid:promptTokensDetails"),
        (split("IMAGE", -3), "invalid:promptTokensDetails"),
        (split("SMELL", 3), "unknown:smell"),
    ],
)
def test_a_split_that_cannot_be_read_is_left_out_and_flagged(entry: object, flag: str) -> None:
    counts = metadata(30, 20, promptTokensDetails=[split("IMAGE", 9), split("TEXT", 4), entry])
    reading = content(answer(counts, HELLO))
    assert reading.flags == {flag}
    assert reading.usage.input_text_tokens == 4
    assert ("input_image_tokens" in reading.usage) is not (entry == split("IMAGE", -3))
    assert (
        "invalid:promptTokensDetails"
        in content(answer(metadata(30, 20, promptTokensDetails="junk"), HELLO)).flags
    )


def test_entries_of_a_split_without_a_count_say_nothing() -> None:
    reading = content(answer(metadata(30, 20, promptTokensDetails=[{"modality": "AUDIO"}])))
    assert "input_audio_tokens" not in reading.usage
    assert reading.flags == frozenset()


def test_counts_that_contradict_each_other_are_suspect_and_unchanged() -> None:
    counts = metadata(
        30,
        20,
        cachedContentTokenCount=40,
        totalTokenCount=51,
        promptTokensDetails=[split("TEXT", 31)],
    )
    reading = content(answer(counts, HELLO))
    assert reading.flags == {
        "suspect:input_tokens",
        "suspect:cache_read_tokens",
        "suspect:total_tokens",
    }
    assert (reading.usage.cache_read_tokens, reading.usage.total_tokens) == (40, 51)
    assert "uncached_input_tokens" not in reading.usage


def test_a_usage_field_that_nobody_knows_is_flagged() -> None:
    reading = content(answer({**metadata(3, 4), "dreamTokenCount": 9, "naps": 0}, HELLO))
    assert reading.flags == {"unknown:dreamTokenCount"}


def test_the_last_chunk_of_a_stream_stands_as_a_whole() -> None:
    reading = chunks(
        answer(metadata(46, 51, thoughtsTokenCount=101, totalTokenCount=198), HELLO),
        answer(metadata(46, 22, totalTokenCount=68), HELLO),
    )
    assert (reading.usage.output_tokens, reading.usage.total_tokens) == (22, 68)
    assert "reasoning_tokens" not in reading.usage
    assert reading.usage.output_count == 1


def test_a_chunk_that_counts_nothing_leaves_the_last_report_alone() -> None:
    reading = chunks(
        answer(metadata(46, 51), HELLO),
        answer({"trafficType": "ON_DEMAND"}, HELLO),
        {"candidates": [{"finishReason": "STOP"}]},
    )
    assert (reading.usage.input_tokens, reading.usage.output_tokens) == (46, 51)
    assert reading.dimensions == {"service_tier": "on_demand"}


REPORTS = st.dictionaries(
    st.sampled_from(
        ["promptTokenCount", "candidatesTokenCount", "trafficType", "promptTokensDetails", "odd"]
    ),
    st.integers(0, 9)
    | st.sampled_from(["5", None, -1, True, [split("TEXT", 3)], [split("X", 1)]]),
)


@settings(deadline=None)
@given(st.lists(REPORTS | st.sampled_from([None, 5, []]), min_size=1, max_size=5))
def test_the_last_report_that_counts_anything_is_the_one_that_stands(reports: list[Any]) -> None:
    reading = chunks(*(answer(report, HELLO) for report in reports))
    counted = [read_usage(report).usage for report in reports]
    last: dict[str, Number] = next((usage.to_dict() for usage in reversed(counted) if usage), {})
    assert dict(reading.usage) == ({**last, "output_count": 1} if last else {})


def test_oddities_of_an_earlier_chunk_are_not_held_against_the_last() -> None:
    odd = metadata(46, 51, totalTokenCount=1)
    assert chunks(answer(odd, HELLO), answer(metadata(46, 52), HELLO)).flags == frozenset()


def test_a_stream_without_sse_is_an_array_of_the_same_chunks() -> None:
    asked = call(f"{FLASH}:streamGenerateContent")
    events = [answer(metadata(5, 1), HELLO), answer(metadata(5, 2), image())]
    whole = read_body(asked, events)
    assert whole.usage == chunks(*events).usage
    assert (whole.usage.output_tokens, whole.usage.image_count) == (2, 1)


def test_an_error_in_mid_stream_fails_and_keeps_what_was_reported() -> None:
    reading = chunks(
        answer(metadata(5, 7), HELLO), {"error": {"code": 503, "status": "UNAVAILABLE"}}
    )
    assert (reading.state, reading.error_type) == ("failed", "UNAVAILABLE")
    assert reading.usage.output_tokens == 7
    assert (
        read_body(
            call(f"{FLASH}:streamGenerateContent"), [{"error": {"status": "INVALID_ARGUMENT"}}]
        ).state
        == "failed"
    )


def test_the_creation_time_is_the_providers() -> None:
    body = answer(metadata(5, 7), HELLO, createTime="2026-03-21T18:11:55.919086Z")
    assert content(body).created == "2026-03-21T18:11:55.919086Z"


def test_a_stream_with_a_finish_reason_goes_on_until_its_end() -> None:
    """Gemini 1.5 ends every chunk with STOP: only the end of the stream is the end."""
    ended = answer(metadata(5, 7), HELLO)
    ended["candidates"][0]["finishReason"] = "STOP"
    assert chunks(ended).state is None
    assert content(ended).state == "success"


@pytest.mark.parametrize("host", [VERTEX, "gateway.local"])
def test_a_stream_reads_the_same_under_every_host(host: str) -> None:
    asked = call(f"{FLASH}:streamGenerateContent", host)
    assert read_stream(asked, answer(metadata(5, 7), HELLO)).usage.output_tokens == 7
