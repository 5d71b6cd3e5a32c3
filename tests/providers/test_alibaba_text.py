"""DashScope's own form of texts, speech, embeddings and reranks."""

from __future__ import annotations

from typing import Any

import pytest

from tests.providers.openai_wire import Json, body_of, stream_of
from tokenmeter.providers import Call, Request
from tokenmeter.providers.alibaba import describe

SERVICES = "/api/v1/services"
TEXT = "aigc/text-generation/generation"
SIGHT = "aigc/multimodal-generation/generation"


def asked(service: str, model: str = "qwen-plus", **headers: str) -> Call:
    host = "dashscope-intl.aliyuncs.com"
    body: Json = {"model": model, "input": {}}
    found = describe(Request("POST", host, f"{SERVICES}/{service}", "", headers, body))
    assert found is not None
    return found


def answer(usage: Any, **output: Any) -> Json:
    return {"output": {"text": "Hi", **output}, "usage": usage, "request_id": "r-1"}


def test_a_text_reports_its_tokens() -> None:
    call = asked(TEXT)
    details = {"cached_tokens": 4}
    usage = {"input_tokens": 9, "output_tokens": 3, "prompt_tokens_details": details}
    reading = body_of(call, answer(usage))
    assert (call.provider, call.dimensions["region"]) == ("alibaba", "ap-southeast-1")
    assert (call.api.event_name, reading.state, reading.response_id) == (
        "text_generated",
        "success",
        "r-1",
    )
    assert (reading.usage["input_tokens"], reading.usage["uncached_input_tokens"]) == (9, 5)
    assert reading.usage["total_tokens"] == 12


@pytest.mark.parametrize("in_choices", [False, True])
def test_the_last_event_of_a_stream_stands(in_choices: bool) -> None:
    def event(made: int, reason: str) -> Json:
        end: Json = {"finish_reason": reason}
        output = {"choices": [end]} if in_choices else end
        return answer({"input_tokens": 9, "output_tokens": made}, **output)

    call = asked(TEXT, **{"x-dashscope-sse": "enable"})
    going = [event(made, "null") for made in range(1, 5)]
    reading = stream_of(call, *going, event(5, "stop"))
    assert (call.streamed, reading.state) == (True, "success")
    assert (reading.usage["input_tokens"], reading.usage["output_tokens"]) == (9, 5)
    assert stream_of(call, *going).state is None  # cut
    failed = stream_of(call, going[0], {"code": "Throttling", "message": "x"})
    assert (failed.state, failed.error_type) == ("failed", "Throttling")


def test_what_a_model_sees_stands_beside_its_input() -> None:
    usage = {"input_tokens": 1_200, "output_tokens": 30, "image_tokens": 1_100}
    reading = body_of(asked(SIGHT, "qwen-vl-max"), answer(usage))
    assert (reading.usage["input_tokens"], reading.usage["input_image_tokens"]) == (1_200, 1_100)
    assert not reading.flags


def test_speech_is_counted_in_characters() -> None:
    call = asked(SIGHT, "qwen3-tts-flash")
    reading = body_of(call, answer({"characters": 195}))
    assert (call.api.event_name, dict(reading.usage)) == ("audio_generated", {"characters": 195})


@pytest.mark.parametrize(
    ("service", "event_name"),
    [
        ("embeddings/text-embedding/text-embedding", "embedding_created"),
        ("rerank/text-rerank/text-rerank", "api_calls"),
    ],
)
def test_the_total_of_what_puts_nothing_out_is_its_input(service: str, event_name: str) -> None:
    call = asked(service)
    reading = body_of(call, answer({"total_tokens": 26}))
    assert (call.api.event_name, reading.usage["input_tokens"]) == (event_name, 26)


@pytest.mark.parametrize("junk", [None, [], "x", {"input_tokens": -1}, {"output_tokens": "3"}])
def test_usage_that_is_none_counts_nothing(junk: Any) -> None:
    reading = body_of(asked(TEXT), answer(junk))
    assert (reading.state, dict(reading.usage)) == ("success", {})
    assert body_of(asked(TEXT), {"request_id": "r"}).state is None
