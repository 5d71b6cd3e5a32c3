"""generateContent: tokens, streams, images, searches; the traps of Gemini's usage."""

from __future__ import annotations

import json
from typing import Any

import pytest

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
from tokenmeter.capture.reader import BodyReader
from tokenmeter.capture.sse import EventReader
from tokenmeter.providers.google import LIVE

IMAGE_MODEL = "/v1beta/models/gemini-3-pro-image:generateContent"


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


def test_the_images_of_all_chunks_count_and_those_of_thoughts_do_not() -> None:
    reading = chunks(
        answer(metadata(5, 1290), image(thought=True), image()),
        answer(metadata(5, 2580), HELLO, image("image/jpeg")),
        answer(metadata(5, 2580), image("audio/L16")),
    )
    assert (reading.usage.image_count, reading.usage.output_count) == (2, 2)
    assert reading.usage.output_tokens == 2580


def test_a_large_image_is_counted_though_its_data_was_cut_out() -> None:
    body = answer(metadata(4, 1290), image())
    body["candidates"][0]["content"]["parts"][0]["inlineData"]["data"] = "A" * 300_000
    assert content(body, IMAGE_MODEL).usage.image_count == 1
    assert chunks(body).usage.image_count == 1


@pytest.mark.parametrize(
    "part",
    [
        {"inlineData": {"mimeType": "image/png"}},
        {"inlineData": {"mimeType": 7, "data": ""}},
        {"inlineData": "junk"},
        {"inlineData": {"mimeType": "image/png", "data": None}},
    ],
)
def test_an_image_without_its_data_key_was_not_delivered(part: Json) -> None:
    assert content(answer(metadata(4, 1290), part), IMAGE_MODEL).usage.image_count == 0


def test_files_and_videos_are_delivered_too() -> None:
    stored = {"fileData": {"mimeType": "video/mp4", "fileUri": "gs://b/o"}}
    usage = content(answer(metadata(4, 9), stored)).usage
    assert (usage.video_count, usage.output_count) == (1, 1)


@pytest.mark.parametrize(
    ("path", "config", "event_name"),
    [
        (f"{FLASH}:generateContent", {}, "text_generated"),
        (IMAGE_MODEL, {}, "image_generated"),
        (IMAGE_MODEL, {"responseModalities": ["TEXT"]}, "text_generated"),
        (f"{FLASH}:generateContent", {"responseModalities": ["TEXT", "IMAGE"]}, "image_generated"),
        (f"{FLASH}:generateContent", {"responseModalities": "IMAGE"}, "text_generated"),
        (f"{FLASH}:generateContent", {"imageConfig": {"imageSize": "2K"}}, "image_generated"),
        (f"{FLASH}-preview-tts:generateContent", {}, "audio_generated"),
        ("/v1beta/models/gemini-omni-1.1-flash:generateContent", {}, "video_generated"),
    ],
)
def test_the_event_is_named_after_what_was_asked_for(
    path: str, config: Json, event_name: str
) -> None:
    assert call(path, generationConfig=config).api.event_name == event_name
    assert call(path, generation_config=config).api.event_name == event_name


def test_size_and_aspect_ratio_stand_in_the_request() -> None:
    config = {"imageConfig": {"imageSize": "4K", "aspectRatio": "16:9"}}
    asked = call(IMAGE_MODEL, generationConfig=config)
    assert asked.dimensions == {"size": "4K", "aspect_ratio": "16:9"}


def test_an_image_model_that_draws_nothing_delivers_0_images() -> None:
    refused = {"candidates": [{"finishReason": "IMAGE_SAFETY"}], "usageMetadata": metadata(12)}
    reading = content(refused, IMAGE_MODEL)
    assert (reading.usage.image_count, reading.usage.output_count) == (0, 0)
    assert reading.dimensions == {"finish_reason": "IMAGE_SAFETY"}


def test_a_blocked_prompt_keeps_its_tokens_and_says_why() -> None:
    blocked = {
        "promptFeedback": {"blockReason": "PROHIBITED_CONTENT"},
        "modelVersion": "gemini-2.5-flash-image",
        "usageMetadata": metadata(12, totalTokenCount=12),
    }
    reading = content(blocked, IMAGE_MODEL)
    assert (reading.usage.input_tokens, reading.usage.image_count) == (12, 0)
    assert reading.dimensions == {"block_reason": "PROHIBITED_CONTENT"}
    assert "output_tokens" not in reading.usage


def test_each_different_search_is_counted_once_however_often_it_is_named() -> None:
    def grounded(*queries: object) -> Json:
        body = answer(metadata(5, 7), HELLO)
        body["candidates"][0]["groundingMetadata"] = {"webSearchQueries": list(queries)}
        return body

    reading = chunks(grounded("ruby", ""), grounded("ruby", "rust", None), grounded())
    assert reading.usage.web_search_count == 2
    assert "web_search_count" not in content(answer(metadata(5, 7), HELLO)).usage
    body = grounded("fox")
    body["candidates"][0]["groundingMetadata"]["imageSearchQueries"] = ["fox"]
    assert content(body).usage.web_search_count == 2
    body["candidates"][0]["groundingMetadata"] = {"webSearchQueries": "junk"}
    assert "web_search_count" not in content(body).usage


def test_no_query_leaves_the_adapter() -> None:
    body = answer(metadata(5, 7), HELLO)
    body["candidates"][0]["groundingMetadata"] = {"webSearchQueries": ["my secret"]}
    asked = call(f"{FLASH}:generateContent")
    assert "secret" not in repr(asked.api.read(body))
    assert "Hello" not in repr(asked.api.read(body))


def test_candidates_are_counted_over_the_whole_stream() -> None:
    def second(**more: Any) -> Json:
        candidate = {"content": {"parts": [HELLO]}, "index": 1, **more}
        return {"candidates": [candidate], "usageMetadata": metadata(5, 9)}

    reading = chunks(answer(metadata(5, 7), HELLO), second(), second(index="junk"))
    assert reading.usage.output_count == 2


def test_the_creation_time_is_the_providers() -> None:
    body = answer(metadata(5, 7), HELLO, createTime="2026-03-21T18:11:55.919086Z")
    assert content(body).created == "2026-03-21T18:11:55.919086Z"


def test_text_thoughts_and_arguments_are_what_a_chunk_delivers() -> None:
    asked = call(f"{FLASH}:streamGenerateContent")
    assert asked.api.text is not None
    event = answer(
        None, {"text": "Hmm", "thought": True}, HELLO, {"functionCall": {"args": {"x": 1}}}
    )
    assert asked.api.text(event) == 'HmmHello{"x": 1}'
    assert asked.api.text({"candidates": "junk"}) == ""


def test_the_text_of_an_aborted_stream_can_be_estimated() -> None:
    asked = call(f"{FLASH}:streamGenerateContent")
    reader = EventReader(asked.api)
    for _ in range(50):
        event = json.dumps(answer(metadata(5), {"text": "x" * 40}))
        reader.feed(f"data: {event}\n\n".encode())
    assert reader.text_bytes() == pytest.approx(2000, rel=0.1)
    assert "output_tokens" not in asked.api.settle(reader.reading, asked).usage


def test_a_stream_with_a_finish_reason_goes_on_until_its_end() -> None:
    """Gemini 1.5 ends every chunk with STOP: only the end of the stream is the end."""
    ended = answer(metadata(5, 7), HELLO)
    ended["candidates"][0]["finishReason"] = "STOP"
    assert chunks(ended).state is None
    assert content(ended).state == "success"


def test_a_live_turn_reports_its_output_as_response_tokens() -> None:
    turn = {
        "serverContent": {"turnComplete": True},
        "usageMetadata": {
            "promptTokenCount": 20,
            "responseTokenCount": 30,
            "thoughtsTokenCount": 5,
            "totalTokenCount": 55,
            "responseTokensDetails": [split("AUDIO", 30)],
            "serviceTier": "standard",
        },
    }
    reader = BodyReader(LIVE, "application/json")
    reader.feed(json.dumps(turn).encode())
    reader.end()
    reading = LIVE.settle(reader.reading, call(f"{FLASH}:streamGenerateContent"))
    assert (reading.usage.output_tokens, reading.usage.output_audio_tokens) == (35, 30)
    assert reading.dimensions == {"service_tier": "standard"}
    assert (reading.flags, LIVE.operation) == (frozenset(), "live")


@pytest.mark.parametrize("host", [VERTEX, "gateway.local"])
def test_a_stream_reads_the_same_under_every_host(host: str) -> None:
    asked = call(f"{FLASH}:streamGenerateContent", host)
    assert read_stream(asked, answer(metadata(5, 7), HELLO)).usage.output_tokens == 7
