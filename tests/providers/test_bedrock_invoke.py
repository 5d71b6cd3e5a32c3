"""InvokeModel: the body and the stream of each family, and AWS's own count beside them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.providers.bedrock_wire import Json, call, chunk, metrics, settled
from tokenmeter.providers.bedrock_models import event_name, has_family, is_claude
from tokenmeter.usage import Usage

CLAUDE = "anthropic.claude-sonnet-4-20250514-v1:0"
TITAN = "amazon.titan-text-express-v1"
HEADERS = {
    "x-amzn-bedrock-input-token-count": "12",
    "x-amzn-bedrock-output-token-count": "34",
}
OPENAI_USAGE = {
    "prompt_tokens": 12,
    "completion_tokens": 34,
    "total_tokens": 46,
    "prompt_tokens_details": {"cached_tokens": 10},
    "completion_tokens_details": {"reasoning_tokens": 8},
}


def message(**usage: Any) -> Json:
    return {
        "id": "msg_bdrk_1",
        "type": "message",
        "model": "claude-sonnet-4-20250514",
        "content": [{"type": "text", "text": "Hi"}],
        "usage": usage,
    }


BODIES: dict[str, Json] = {
    "meta.llama3-8b-instruct-v1:0": {
        "generation": "Hi",
        "prompt_token_count": 12,
        "generation_token_count": 34,
    },
    TITAN: {"inputTextTokenCount": 12, "results": [{"tokenCount": 34, "outputText": "Hi"}]},
    "amazon.nova-micro-v1:0": {
        "output": {},
        "usage": {"inputTokens": 12, "outputTokens": 34, "totalTokens": 46},
    },
    "mistral.pixtral-large-2502-v1:0": {"choices": [{}], "usage": OPENAI_USAGE},
    "openai.gpt-oss-20b-1:0": {"choices": [{}], "usage": OPENAI_USAGE},
    CLAUDE: message(input_tokens=2, cache_read_input_tokens=10, output_tokens=34),
}
BARE: dict[str, Json] = {
    "mistral.mistral-7b-instruct-v0:2": {"outputs": [{"text": "Hi", "stop_reason": "stop"}]},
    "cohere.command-text-v14": {"generations": [{"text": "Hi"}], "id": "g"},
    "cohere.command-r-v1:0": {"text": "Hi", "generation_id": "g", "finish_reason": "COMPLETE"},
    "deepseek.r1-v1:0": {"choices": [{"text": "Hi", "stop_reason": "stop"}]},
    "anthropic.claude-v2": {"type": "completion", "completion": "Hi", "stop_reason": "stop"},
    "ai21.j2-mid-v1": {"id": 7, "completions": [{"data": {"text": "Hi"}}]},
}


@pytest.mark.parametrize("model", BODIES)
def test_a_familys_own_body_is_read(model: str) -> None:
    found = settled(call(model, "invoke"), BODIES[model])
    assert (found.usage.input_tokens, found.usage.output_tokens) == (12, 34)
    assert (found.usage.total_tokens, found.usage.output_count) == (46, 1)
    assert (found.state, set(found.flags)) == ("success", set())


@pytest.mark.parametrize("model", BARE)
def test_a_body_without_usage_has_it_in_the_headers(model: str) -> None:
    found = settled(call(model, "invoke"), BARE[model], headers=HEADERS)
    assert (found.usage.input_tokens, found.usage.output_tokens) == (12, 34)
    assert (found.state, found.usage.output_count) == ("success", 1)
    assert not settled(call(model, "invoke"), BARE[model]).usage


def test_trap_05_openais_form_counts_cached_tokens_within_whatever_the_family() -> None:
    for model in ("mistral.pixtral-large-2502-v1:0", "custom-model-deployment/abc"):
        found = settled(call(model, "invoke"), {"usage": OPENAI_USAGE}, headers=HEADERS)
        assert found.usage.uncached_input_tokens == 2
        assert (found.usage.cache_read_tokens, found.usage.reasoning_tokens) == (10, 8)
        assert not found.flags


def test_trap_05_claudes_headers_count_cached_tokens_apart() -> None:
    headers = {**HEADERS, "x-amzn-bedrock-cache-read-input-token-count": "100"}
    body = {"type": "completion", "completion": "Hi"}
    found = settled(call(CLAUDE, "invoke"), body, headers=headers)
    assert (found.usage.input_tokens, found.usage.uncached_input_tokens) == (112, 12)


def test_headers_that_are_no_numbers_are_not_read() -> None:
    headers = {"x-amzn-bedrock-input-token-count": "-3"}
    headers["x-amzn-bedrock-output-token-count"] = "9" * 30
    assert settled(call(TITAN, "invoke"), {}, headers=headers).usage == Usage()


def test_the_tier_in_the_headers_is_the_one_that_served() -> None:
    headers = {"x-amzn-bedrock-service-tier": "flex"}
    found = settled(call(TITAN, "invoke"), BODIES[TITAN], headers=headers)
    assert found.dimensions == {"service_tier": "flex"}


STREAMS: dict[str, list[Json]] = {
    "meta.llama3-8b-instruct-v1:0": [
        chunk(generation="H", prompt_token_count=12, generation_token_count=1),
        chunk(generation="i", prompt_token_count=None, generation_token_count=34),
    ],
    TITAN: [chunk(outputText="Hi", index=0, inputTextTokenCount=12, totalOutputTextTokenCount=34)],
    "amazon.nova-micro-v1:0": [
        chunk(messageStart={"role": "assistant"}),
        chunk(contentBlockDelta={"delta": {"text": "Hi"}}),
        chunk(metadata={"usage": {"inputTokens": 12, "outputTokens": 34}}),
    ],
    "mistral.mistral-7b-instruct-v0:2": [chunk(outputs=[{"text": "Hi"}])],
    "cohere.command-r-v1:0": [chunk(event_type="text-generation", text="Hi")],
    "openai.gpt-oss-20b-1:0": [chunk(choices=[{"delta": {"content": "Hi"}}])],
    "anthropic.claude-v2": [chunk(type="completion", completion="Hi", stop_reason=None)],
}


@pytest.mark.parametrize("model", STREAMS)
def test_a_familys_stream_ends_with_what_aws_counted(model: str) -> None:
    asked = call(model, "invoke-with-response-stream")
    assert settled(asked, *STREAMS[model]).state is None
    *begin, last = STREAMS[model]
    found = settled(asked, *begin, {**last, **metrics(12, 34)})
    assert (found.usage.input_tokens, found.usage.output_tokens) == (12, 34)
    assert (found.state, found.usage.total_tokens) == ("success", 46)
    assert asked.api.text is not None
    assert "".join(map(asked.api.text, STREAMS[model])) == "Hi"


def test_what_aws_counted_stands_over_what_the_chunks_said() -> None:
    asked = call(TITAN, "invoke-with-response-stream")
    found = settled(asked, *STREAMS[TITAN], chunk(**metrics(13, 40)))
    assert (found.usage.input_tokens, found.usage.output_tokens) == (13, 40)


def test_claudes_stream_is_claudes() -> None:
    first = message(input_tokens=4, cache_read_input_tokens=1_209, output_tokens=1)
    begin = chunk(type="message_start", message={**first, "content": []})
    delta = chunk(type="message_delta", delta={}, usage={"output_tokens": 10})
    asked = call(CLAUDE, "invoke-with-response-stream")
    cut = settled(asked, begin)
    assert (cut.usage.input_tokens, "output_placeholder" in cut.flags) == (1_213, True)
    found = settled(asked, begin, delta, chunk(type="message_stop", **metrics(4, 10, 1_209, 0)))
    assert (found.usage.input_tokens, found.usage.output_tokens) == (1_213, 10)
    assert (found.state, found.model) == ("success", "claude-sonnet-4-20250514")
    assert (found.response_id, set(found.flags)) == ("msg_bdrk_1", set())


def test_an_exception_within_a_stream_is_a_failure() -> None:
    thrown = {"__exception": "modelStreamErrorException", "message": "…"}
    for model in (CLAUDE, TITAN):
        found = settled(call(model, "invoke-with-response-stream"), thrown)
        assert (found.state, found.error_type) == ("failed", "modelStreamErrorException")


BLOCKED = {
    "outputText": "Input blocked",
    "inputTextTokenCount": 6,
    "totalOutputTextTokenCount": 3,
    "amazon-bedrock-guardrailAction": "INTERVENED",
}


def test_the_words_of_a_guardrail_are_not_the_models() -> None:
    asked = call(TITAN, "invoke-with-response-stream")
    found = settled(asked, chunk(**BLOCKED))
    assert (found.usage, set(found.flags)) == (Usage(), {"guardrail_intervened"})
    ran = settled(asked, chunk(**BLOCKED), chunk(**metrics(6, 40)))
    assert (ran.usage.input_tokens, ran.usage.output_tokens) == (6, 40)
    passed = chunk(**{**BLOCKED, "amazon-bedrock-guardrailAction": "NONE"})
    assert settled(asked, passed).usage.output_tokens == 3


@pytest.mark.parametrize(
    ("model", "body"),
    [
        ("amazon.titan-embed-text-v2:0", {"embedding": [0.1], "inputTextTokenCount": 12}),
        ("amazon.nova-2-multimodal-embeddings-v1:0", {"embeddings": [], "inputTokenCount": 12}),
        ("cohere.embed-v4:0", {"embeddings": {}, "images": [{"width": 4, "height": 4}]}),
    ],
)
def test_an_embedding_counts_its_input(model: str, body: Json) -> None:
    headers = {"x-amzn-bedrock-input-token-count": "12"}
    found = settled(call(model, "invoke"), body, headers=headers)
    assert (found.usage.input_tokens, found.usage.image_count) == (12, None)
    assert (found.state, found.usage.total_tokens) == ("success", None)


@pytest.mark.parametrize(
    ("body", "images"),
    [
        ({"images": ["aGk=", "aGk="], "error": None}, 2),
        ({"images": ["aGk="], "error": "One image was blocked."}, 1),
        ({"images": ["a", "b"], "seeds": [1, 2], "finish_reasons": [None, "Filter reason"]}, 1),
        ({"artifacts": [{"base64": "aGk=", "finishReason": "SUCCESS"}]}, 1),
    ],
)
def test_images_that_were_delivered_are_counted(body: Json, images: int) -> None:
    found = settled(call("amazon.nova-canvas-v1:0", "invoke"), body)
    assert (found.usage.image_count, found.usage.output_count) == (images, images)
    assert (found.state, set(found.flags)) == ("success", {"counted"})


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"images": ["a"], "finish_reasons": ["Filter reason: prompt"]}, "filtered"),
        ({"artifacts": [{"base64": "", "finishReason": "CONTENT_FILTERED"}]}, "filtered"),
        ({"images": [], "error": "This was blocked by our filters."}, "error"),
    ],
)
def test_an_answer_without_an_image_is_a_failure(body: Json, error: str) -> None:
    found = settled(call("amazon.nova-canvas-v1:0", "invoke"), body)
    assert (found.state, found.error_type, found.usage) == ("failed", error, Usage())


@pytest.mark.parametrize(
    "results", [[{"tokenCount": -4}], [{"tokenCount": 3}, {"tokenCount": "4"}]]
)
def test_an_output_of_which_a_part_is_no_number_is_left_out(results: Any) -> None:
    found = settled(call(TITAN, "invoke"), {"inputTextTokenCount": 12, "results": results})
    assert (found.usage.input_tokens, found.usage.output_tokens) == (12, None)
    assert set(found.flags) == {"invalid:tokenCount"}


def test_metrics_that_are_no_object_end_a_stream_without_counts() -> None:
    last = chunk(outputText="Hi", **{"amazon-bedrock-invocationMetrics": 7})
    found = settled(call(TITAN, "invoke-with-response-stream"), last)
    assert (found.state, found.usage) == ("success", Usage())
    assert set(found.flags) == {"invalid:amazon-bedrock-invocationMetrics"}


def test_the_tier_within_a_body_is_a_dimension() -> None:
    body = {**BODIES["openai.gpt-oss-20b-1:0"], "service_tier": "priority", "model": "gpt-oss"}
    found = settled(call("openai.gpt-oss-20b-1:0", "invoke"), body)
    assert (found.dimensions, found.model) == ({"service_tier": "priority"}, "gpt-oss")


def test_a_call_that_names_no_model_has_no_family() -> None:
    assert (is_claude(None), has_family(None), event_name(None)) == (
        False,
        False,
        "text_generated",
    )
