"""Chat, legacy completions, embeddings: usage, totals, errors, and the traps of usage.md §5.3."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.providers.exchanges import Wire
from tests.providers.openai_wire import (
    CHAT,
    Json,
    body_of,
    call,
    chat,
    chunk,
    stream_of,
    tokens,
)
from tokenmeter import TokenMeter
from tokenmeter.providers.openai_chat import chat_text


def usage_of(usage: Any, **fields: Any) -> dict[str, Any]:
    return dict(body_of(call(CHAT), chat(usage, **fields)).usage)


def test_trap_02_cached_tokens_lie_within_the_input() -> None:
    usage = usage_of(tokens(100, 7, prompt_tokens_details={"cached_tokens": 80}))
    assert usage["input_tokens"] == 100
    assert usage["cache_read_tokens"] == 80
    assert usage["uncached_input_tokens"] == 20


def test_written_cache_lies_within_the_input_too() -> None:
    details = {
        "cached_tokens": 50,
        "cache_write_tokens": 30,
        "cache_write_tokens_details": {"ttl_30m_tokens": 10, "ttl_12h_tokens": 20},
    }
    usage = usage_of(tokens(100, 7, prompt_tokens_details=details))
    assert usage["uncached_input_tokens"] == 20
    assert (usage["cache_write_30m_tokens"], usage["cache_write_12h_tokens"]) == (10, 20)


def test_trap_14_the_served_tier_is_reported_beside_the_requested() -> None:
    asked = call(CHAT, {"service_tier": "priority"})
    reading = body_of(asked, chat(tokens(1, 1), service_tier="default"))
    assert asked.dimensions["service_tier"] == "priority"
    assert reading.dimensions["service_tier"] == "default"


def test_trap_15_null_usage_and_azures_first_chunk_report_nothing() -> None:
    first = {"choices": [], "prompt_filter_results": [], "model": "", "id": "", "created": 0}
    reading = stream_of(call(CHAT), first, chunk("Hi", usage=None))
    assert dict(reading.usage) == {}
    assert reading.state is None
    assert reading.response_id == "chatcmpl-1"


def test_a_stream_ends_well_with_its_usage_or_with_done() -> None:
    asked = call(CHAT, {"stream": True})
    last = chunk(choices=[], usage=tokens(9, 3))
    assert stream_of(asked, chunk("Hi"), last).state == "success"
    assert stream_of(asked, chunk("Hi"), done=True).state == "success"
    assert stream_of(asked, chunk("Hi")).state is None


def test_usage_in_every_chunk_is_overwritten_and_does_not_end_the_stream() -> None:
    asked = call(CHAT, {"stream": True})
    reading = stream_of(asked, chunk("a", usage=tokens(9, 1)), chunk("b", usage=tokens(9, 2)))
    assert reading.usage.output_tokens == 2
    assert reading.state is None


def test_trap_16_an_explicit_zero_is_not_missing() -> None:
    usage = usage_of(tokens(5, 0, completion_tokens_details={"reasoning_tokens": 0}))
    assert usage["output_tokens"] == 0
    assert usage["reasoning_tokens"] == 0
    assert "cache_read_tokens" not in usage


def test_trap_17_prediction_tokens_are_part_of_the_output() -> None:
    details = {"accepted_prediction_tokens": 6, "rejected_prediction_tokens": 3}
    usage = usage_of(tokens(5, 20, completion_tokens_details=details))
    assert usage["output_tokens"] == 20
    assert usage["accepted_prediction_tokens"] == 6
    assert usage["rejected_prediction_tokens"] == 3


def test_trap_04_reasoning_outside_of_the_completion_is_added() -> None:
    outside = tokens(10, 4, completion_tokens_details={"reasoning_tokens": 30}, total_tokens=44)
    assert usage_of(outside)["output_tokens"] == 34
    inside = tokens(10, 40, completion_tokens_details={"reasoning_tokens": 30})
    assert usage_of(inside)["output_tokens"] == 40


def test_the_total_is_filled_in_where_the_provider_leaves_it_out() -> None:
    assert usage_of({"prompt_tokens": 4, "completion_tokens": 3})["total_tokens"] == 7
    assert "total_tokens" not in usage_of({"prompt_tokens": 4})


@pytest.mark.parametrize(
    ("usage", "flag"),
    [
        (tokens(5, 2, total_tokens=9), "suspect:total_tokens"),
        (tokens(5, 2, prompt_tokens_details={"cached_tokens": 6}), "suspect:input_tokens"),
        (
            tokens(5, 2, completion_tokens_details={"reasoning_tokens": 3}),
            "suspect:output_tokens",
        ),
    ],
)
def test_counts_that_contradict_each_other_are_kept_and_flagged(
    usage: dict[str, Any], flag: str
) -> None:
    reading = body_of(call(CHAT), chat(usage))
    assert flag in reading.flags
    assert reading.usage.input_tokens == 5
    assert reading.usage.output_tokens == 2


@pytest.mark.parametrize("junk", [-1, 1.5, "7", True, [], {}, 10**13, float("nan")])
def test_what_is_no_count_is_left_out_and_flagged(junk: Any) -> None:
    reading = body_of(call(CHAT), chat({"prompt_tokens": junk, "completion_tokens": 2}))
    assert "input_tokens" not in reading.usage
    assert "invalid:prompt_tokens" in reading.flags
    assert reading.usage.output_tokens == 2


@pytest.mark.parametrize("junk", [7, "x", [1], True])
def test_usage_that_is_no_object_is_flagged(junk: Any) -> None:
    reading = body_of(call(CHAT), chat(junk))
    assert dict(reading.usage) == {}
    assert "invalid:usage" in reading.flags
    details = body_of(call(CHAT), chat(tokens(1, 1, prompt_tokens_details=junk)))
    assert "invalid:prompt_tokens_details" in details.flags


def test_a_usage_field_that_nobody_knows_is_flagged_unless_it_is_empty() -> None:
    reading = body_of(call(CHAT), chat(tokens(1, 1, hyper_tokens=3, other=0, third=None)))
    assert reading.flags == {"unknown:hyper_tokens"}


def test_times_beside_the_tokens_are_no_usage_that_nobody_knows() -> None:
    times = {"engine_ttft_ms": 136, "service_ttlt_ms": 1521}
    reading = body_of(call(CHAT), chat(tokens(1, 1, latency_checkpoint=times)))
    assert reading.flags == frozenset()


def test_a_whole_float_is_a_count() -> None:
    assert usage_of({"prompt_tokens": 4.0, "completion_tokens": 1})["input_tokens"] == 4


def test_modalities_are_kept_apart() -> None:
    usage = usage_of(
        tokens(
            100,
            50,
            prompt_tokens_details={"audio_tokens": 40, "image_tokens": 10, "text_tokens": 50},
            completion_tokens_details={"audio_tokens": 30, "text_tokens": 20},
        )
    )
    assert (usage["input_audio_tokens"], usage["input_image_tokens"]) == (40, 10)
    assert (usage["output_audio_tokens"], usage["output_text_tokens"]) == (30, 20)
    assert usage["input_text_tokens"] == 50


def test_candidates_of_a_whole_answer_are_counted() -> None:
    choice = {"message": {"content": "a"}, "finish_reason": "stop"}
    assert usage_of(tokens(1, 2), choices=[choice, choice])["output_count"] == 2
    assert "output_count" not in usage_of(None, choices=[choice])


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (
            {"code": "rate_limit_exceeded", "type": "requests", "message": "m"},
            "rate_limit_exceeded",
        ),
        ({"code": None, "type": "server_error", "message": "secret words"}, "server_error"),
        ({"code": 502, "message": "secret words"}, "502"),
        ({"code": 502, "type": "upstream", "message": "m"}, "upstream"),
        ({"code": "a sentence of the prompt", "message": "m"}, "error"),
        ({"code": True, "type": ["x"]}, "error"),
        ("secret words", "error"),
    ],
)
def test_an_error_inside_http_200_is_a_failure_with_a_short_code(error: Any, code: str) -> None:
    for reading in (
        body_of(call(CHAT), {"error": error}),
        stream_of(call(CHAT, {"stream": True}), chunk("Hi"), {"error": error}, done=True),
    ):
        assert (reading.state, reading.error_type) == ("failed", code)


def test_an_error_word_beside_the_error_is_taken() -> None:
    reading = body_of(call(CHAT), {"code": "invalid-argument", "error": "Incorrect API key sk-1"})
    assert reading.error_type == "invalid-argument"


def test_an_error_in_a_choice_is_a_failure_that_keeps_its_usage() -> None:
    choice = {"delta": {}, "finish_reason": "error", "error": {"code": 502, "message": "m"}}
    reading = stream_of(call(CHAT), chunk(choices=[choice], usage=tokens(5, 1)))
    assert (reading.state, reading.error_type) == ("failed", "502")
    assert reading.usage.input_tokens == 5


def test_legacy_completions_tell_their_whole_answer_from_a_chunk() -> None:
    asked = call("/v1/completions", {"model": "m"})
    choice = {"text": "Hi", "index": 0, "finish_reason": "stop"}
    whole = {"object": "text_completion", "choices": [choice], "usage": tokens(3, 1)}
    assert body_of(asked, whole).state == "success"
    assert body_of(asked, whole).usage.output_count == 1
    part = {"object": "text_completion", "choices": [{**choice, "finish_reason": None}]}
    assert stream_of(asked, part).state is None
    last_text = {"object": "text_completion", "choices": [choice], "usage": None}
    assert stream_of(asked, last_text).state is None


def test_an_answer_with_a_message_is_whole_whatever_it_calls_itself() -> None:
    reading = body_of(call(CHAT), chat(tokens(2, 1), object="conversation"))
    assert reading.state == "success"


@pytest.mark.parametrize("choices", [None, 7, "x", [3], [None], {}])
def test_choices_that_are_none_do_no_harm(choices: Any) -> None:
    reading = body_of(call(CHAT), {"choices": choices, "usage": tokens(2, 1)})
    assert reading.usage.input_tokens == 2


def test_embeddings_have_input_only() -> None:
    asked = call("/v1/embeddings", {"model": "text-embedding-3-small"})
    usage = {"prompt_tokens": 8, "total_tokens": 8}
    reading = body_of(asked, {"object": "list", "data": [], "model": "m", "usage": usage})
    assert reading.usage.input_tokens == 8
    assert "output_tokens" not in reading.usage
    assert (reading.state, reading.flags) == ("success", frozenset())


@pytest.mark.parametrize(
    ("created", "kept"),
    [
        (1_790_000_000, 1_790_000_000),
        (1.79e9, 1.79e9),
        ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z"),
        (0, None),
        (True, None),
        (-5, None),
        (10**14, None),
        ([], None),
        ("", None),
    ],
)
def test_the_providers_time_is_kept_if_it_can_be_one(created: Any, kept: Any) -> None:
    assert body_of(call(CHAT), chat(tokens(1, 1), created=created)).created == kept


@pytest.mark.parametrize(
    ("delta", "text"),
    [
        ({"content": "a"}, "a"),
        ({"reasoning_content": "b"}, "b"),
        ({"reasoning": "b"}, "b"),
        ({"refusal": "c"}, "c"),
        ({"audio": {"transcript": "d"}}, "d"),
        ({"tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}, "f{}"),
        ({"function_call": {"name": "f", "arguments": "{}"}}, "f{}"),
        ({"content": [{"text": "e"}, {"thinking": [{"text": "f"}]}, 3]}, "ef"),
        ({"content": 7, "tool_calls": 3, "audio": []}, ""),
    ],
)
def test_all_that_a_chunk_delivers_is_text(delta: Any, text: str) -> None:
    assert chat_text({"choices": [{"delta": delta}]}) == text


def test_the_text_of_a_legacy_chunk_is_text() -> None:
    assert chat_text({"choices": [{"text": "a"}, {"text": "b"}, "junk"]}) == "ab"
    assert chat_text({"choices": None}) == ""


counts = st.integers(0, 10**6)


@given(prompt=counts, cached=counts, completion=counts, reasoning=counts)
def test_the_disjoint_parts_add_up_to_their_totals(
    prompt: int, cached: int, completion: int, reasoning: int
) -> None:
    usage = usage_of(
        tokens(
            prompt + cached,
            completion + reasoning,
            prompt_tokens_details={"cached_tokens": cached},
            completion_tokens_details={"reasoning_tokens": reasoning},
        )
    )
    assert usage["uncached_input_tokens"] + usage["cache_read_tokens"] == usage["input_tokens"]
    assert usage["output_tokens"] == completion + reasoning
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]


PICTURE: Json = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
ROUTED = "/api/v1/chat/completions"


def drawn(*pictures: Any, kind: str = "message", index: int = 0) -> dict[str, Any]:
    return {"index": index, kind: {"content": "Here", "images": list(pictures)}}


def test_images_that_a_chat_holds_are_counted() -> None:
    asked = call(ROUTED, {"model": "m"}, host="openrouter.ai")
    choices = [drawn(PICTURE, PICTURE), drawn(PICTURE, index=1)]
    usage = body_of(asked, chat(tokens(9, 3), choices=choices)).usage
    assert (usage["image_count"], usage["output_tokens"]) == (3, 3)


@pytest.mark.parametrize("nothing", [[], "junk", None, {}])
def test_a_chat_without_images_has_none(nothing: Any) -> None:
    asked = call(ROUTED, {"model": "m"}, host="openrouter.ai")
    without = [{"message": {"images": nothing}}]
    assert "image_count" not in body_of(asked, chat(tokens(9, 3), choices=without)).usage


def test_images_that_a_stream_of_a_chat_holds_are_counted_once() -> None:
    asked = call(ROUTED, {"model": "m", "stream": True}, host="openrouter.ai")
    first, second = ({**PICTURE, "index": place} for place in range(2))
    pieces = [chunk(choices=[drawn(image, kind="delta")]) for image in (first, second, second)]
    quiet = [chunk("Hi")] * 4  # beyond the events that are read in search of an id
    last = chunk(choices=[], usage=tokens(9, 3))
    reading = stream_of(asked, *quiet, *pieces, *quiet, last)
    assert (reading.usage["image_count"], reading.state) == (2, "success")


def test_an_image_in_a_chat_of_a_host_that_nobody_knows_is_counted_too() -> None:
    wire = Wire(meter := TokenMeter("memory:"))
    meter.instrument()
    try:
        url = "https://draws.test/v1/chat/completions"
        answer = chat(tokens(9, 3), choices=[drawn(PICTURE)], object="chat.completion", created=1)
        assert wire(url, answer)["image_count"] == 1
    finally:
        meter.shutdown()


@pytest.mark.parametrize(
    ("usage", "tier"),
    [
        ({"extra_properties": {"google": {"traffic_type": "ON_DEMAND"}}}, "on_demand"),
        ({"extra_properties": {"google": {}}}, None),
        ({"extra_properties": 7}, None),
        ({"service_tier": "flex"}, "flex"),
    ],
)
def test_a_tier_that_the_usage_states_is_kept(usage: Json, tier: str | None) -> None:
    asked = call(CHAT, {"model": "m"})
    reading = body_of(asked, chat(tokens(9, 3, **usage)))
    assert reading.dimensions.get("service_tier") == tier
    assert not reading.flags


def test_usage_that_stands_in_the_last_choice_of_a_stream_is_read() -> None:
    asked = call(CHAT, {"model": "kimi-k2", "stream": True}, host="api.moonshot.ai")
    ended = {"index": 0, "delta": {}, "finish_reason": "stop", "usage": tokens(9, 3)}
    reading = stream_of(asked, *[chunk("Hi")] * 4, chunk(choices=[ended]))
    assert (reading.usage["input_tokens"], reading.state) == (9, "success")
