"""Converse: totals by model family, lifetimes of cache writes, frames, failures."""

from __future__ import annotations

from typing import Any

import pytest

from tests.providers.bedrock_wire import Json, call, frame, settled
from tokenmeter.providers.bedrock_converse import delivered_text
from tokenmeter.usage import Usage

CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
GPT = "us.openai.gpt-5.6-sol"
NOVA = "us.amazon.nova-2-lite-v1:0"


def usage(sent: int, output: int, read: int = 0, write: int = 0, **more: Any) -> Json:
    """As AWS writes it: the total adds the cached tokens, whatever the family."""
    return {
        "inputTokens": sent,
        "outputTokens": output,
        "totalTokens": sent + read + write + output,
        "cacheReadInputTokens": read,
        "cacheWriteInputTokens": write,
        "cacheReadInputTokenCount": read,
        "cacheWriteInputTokenCount": write,
        "serverToolUsage": {},
        **more,
    }


def body(counted: Any, **more: Any) -> Json:
    message = {"role": "assistant", "content": [{"text": "Hi"}]}
    return {
        "output": {"message": message},
        "stopReason": "end_turn",
        "metrics": {"latencyMs": 1},
        "usage": counted,
        **more,
    }


@pytest.mark.parametrize(
    ("model", "counted", "wanted"),
    [
        (CLAUDE, usage(3, 61, 2_074, 297), 2_374),
        (NOVA, usage(10, 5, 1_000, 0), 1_010),
        (GPT, usage(8_369, 5, 0, 8_367), 8_369),
        (GPT, usage(12_401, 5, 8_367, 4_032), 12_401),
        ("arn:aws:bedrock:us-east-1::foundation-model/openai.gpt-5.6", usage(9, 5, 4, 3), 9),
        ("openai.gpt-oss-120b-1:0", usage(9, 5, 4, 3), 9),
    ],
)
def test_trap_05_bedrock_input_holds_cached_tokens_or_not_by_family(
    model: str, counted: Json, wanted: int
) -> None:
    found = settled(call(model), body(counted))
    cached = counted["cacheReadInputTokens"] + counted["cacheWriteInputTokens"]
    assert found.usage.input_tokens == wanted
    assert found.usage.uncached_input_tokens == wanted - cached
    assert found.usage.total_tokens == wanted + counted["outputTokens"]
    assert not found.flags


def test_trap_05_an_input_smaller_than_what_was_cached_cannot_hold_it() -> None:
    found = settled(call(GPT), body(usage(2, 5, 0, 4_993)))
    assert (found.usage.input_tokens, found.usage.uncached_input_tokens) == (4_995, 2)


def test_cached_tokens_of_a_model_that_is_not_known_are_flagged() -> None:
    profile = call("arn:aws:bedrock:us-east-1:1:application-inference-profile/abc")
    found = settled(profile, body(usage(3, 61, 2_074, 297)))
    assert (found.usage.input_tokens, set(found.flags)) == (2_374, {"family_unknown"})
    assert not settled(profile, body(usage(3, 61))).flags


def test_cache_writes_are_split_by_lifetime_where_the_split_adds_up() -> None:
    details = [{"ttl": "5m", "inputTokens": 200}, {"ttl": "1h", "inputTokens": 97}]
    found = settled(call(CLAUDE), body(usage(3, 1, 0, 297, cacheDetails=details)))
    assert (found.usage.cache_write_5m_tokens, found.usage.cache_write_1h_tokens) == (200, 97)
    assert not found.flags


@pytest.mark.parametrize(
    "details",
    [
        [{"ttl": "5m", "inputTokens": 200}],
        [{"ttl": "2h", "inputTokens": 297}],
        [{"ttl": "5m", "inputTokens": -297}],
        [{"ttl": ["5m"], "inputTokens": 297}, 7],
        "5m",
    ],
)
def test_a_split_of_cache_writes_that_does_not_add_up_is_not_trusted(details: Any) -> None:
    found = settled(call(CLAUDE), body(usage(3, 1, 0, 297, cacheDetails=details)))
    assert (found.usage.cache_write_tokens, found.usage.cache_write_5m_tokens) == (297, None)
    assert set(found.flags) == {"suspect:cacheDetails"}


def test_an_empty_split_says_nothing() -> None:
    assert not settled(call(CLAUDE), body(usage(3, 1, cacheDetails=[]))).flags


@pytest.mark.parametrize("wrapped", [False, True], ids=["bare", "as_the_sdk_gives_it"])
def test_a_stream_is_complete_with_its_metadata(wrapped: bool) -> None:
    def event(kind: str, **payload: Any) -> Json:
        return {kind: payload} if wrapped else frame(kind, **payload)

    begin = [
        event("messageStart", role="assistant"),
        event("contentBlockDelta", delta={"text": "Hi"}, contentBlockIndex=0),
        event("messageStop", stopReason="end_turn"),
    ]
    asked = call(CLAUDE, "converse-stream")
    assert settled(asked, *begin).state is None
    end = event("metadata", usage=usage(3, 61, 2_074, 297), metrics={"latencyMs": 1})
    found = settled(asked, *begin, end)
    assert (found.state, found.usage.input_tokens, found.usage.output_count) == (
        "success",
        2_374,
        1,
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"/usage/output_tokens_details": {"thinking_tokens": 40}},
        {"usage": {"output_tokens_details": {"reasoning_tokens": 40}}},
    ],
)
def test_reasoning_is_read_where_the_request_asked_for_it(fields: Json) -> None:
    found = settled(call(CLAUDE), body(usage(3, 61), additionalModelResponseFields=fields))
    assert (found.usage.output_tokens, found.usage.reasoning_tokens) == (61, 40)
    stop = frame("messageStop", additionalModelResponseFields=fields)
    end = frame("metadata", usage=usage(3, 61))
    streamed = settled(call(CLAUDE, "converse-stream"), stop, end)
    assert streamed.usage.reasoning_tokens == 40


def test_the_model_that_a_router_chose_is_the_one_that_answered() -> None:
    served = "arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-3-haiku-20240307-v1:0"
    trace = {"promptRouter": {"invokedModelId": served}}
    router = call("arn:aws:bedrock:us-east-1:1:default-prompt-router/anthropic.claude:1")
    found = settled(router, body(usage(3, 1, 5, 0), trace=trace))
    assert (found.model, found.usage.input_tokens) == ("anthropic.claude-3-haiku-20240307-v1:0", 8)


def test_the_tier_that_served_is_a_dimension() -> None:
    served = {"serviceTier": {"type": "default"}, "performanceConfig": {"latency": "optimized"}}
    found = settled(call(CLAUDE, serviceTier={"type": "flex"}), body(usage(3, 1), **served))
    assert found.dimensions == {"service_tier": "default", "latency": "optimized"}


def test_an_exception_within_a_stream_is_a_failure() -> None:
    thrown = {"__exception": "throttlingException", "message": "Too many tokens."}
    found = settled(call(CLAUDE, "converse-stream"), frame("messageStart", role="a"), thrown)
    assert (found.state, found.error_type, found.usage) == (
        "failed",
        "throttlingException",
        Usage(),
    )


def test_an_error_is_named_by_its_header_and_never_by_its_message() -> None:
    header = {"x-amzn-errortype": "ValidationException:http://internal.amazon.com/coral/"}
    message = {"message": "The provided model identifier is invalid."}
    found = settled(call(CLAUDE), message, headers=header)
    assert (found.state, found.error_type) == ("failed", "ValidationException")
    assert settled(call(CLAUDE), message).error_type is None
    typed = {"message": "x", "__type": "com.amazon.coral#ThrottlingException"}
    assert settled(call(CLAUDE), typed).error_type == "ThrottlingException"


def test_an_explicit_zero_is_a_count() -> None:
    found = settled(call(CLAUDE), body(usage(0, 0)))
    assert (found.usage.input_tokens, found.usage.output_tokens) == (0, 0)


@pytest.mark.parametrize("counted", [None, [], "7", {}])
def test_nothing_is_invented_where_nothing_was_reported(counted: Any) -> None:
    found = settled(call(CLAUDE), body(counted))
    assert (found.usage, found.state) == (Usage(), "success")
    assert set(found.flags) == (set() if counted in (None, {}) else {"invalid:usage"})


def test_a_total_with_a_part_that_is_no_number_is_left_out() -> None:
    broken = body({"inputTokens": 3, "outputTokens": 1, "cacheReadInputTokens": "many"})
    found = settled(call(CLAUDE), broken)
    assert (found.usage.input_tokens, found.usage.output_tokens) == (None, 1)
    assert set(found.flags) == {"invalid:cacheReadInputTokens"}


def test_what_is_not_known_is_flagged() -> None:
    strange = {"imageTokens": 3, "serverToolUsage": {"webSearches": 2}}
    found = settled(call(CLAUDE), body({**usage(3, 1), **strange}))
    assert set(found.flags) == {"unknown:imageTokens", "unknown:webSearches"}
    odd = settled(call(CLAUDE), body({"inputTokens": 3, "outputTokens": 1, "totalTokens": 9}))
    assert set(odd.flags) == {"suspect:total_tokens"}


def test_input_alone_has_no_total() -> None:
    found = settled(call(CLAUDE), body({"inputTokens": 3}))
    assert (found.usage.input_tokens, found.usage.total_tokens) == (3, None)


@pytest.mark.parametrize(
    ("delta", "wanted"),
    [
        ({"text": "Hi"}, "Hi"),
        ({"toolUse": {"input": '{"a":'}}, '{"a":'),
        ({"reasoningContent": {"text": "hm"}}, "hm"),
        ({"reasoningContent": {"signature": "x"}}, ""),
        ({"text": 7}, ""),
    ],
)
def test_the_text_of_a_frame_is_what_the_model_wrote(delta: Json, wanted: str) -> None:
    assert delivered_text(frame("contentBlockDelta", delta=delta)) == wanted
    assert delivered_text({"contentBlockDelta": {"delta": delta}}) == wanted
