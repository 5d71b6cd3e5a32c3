"""Bedrock: recorded exchanges, and what a request is described as."""

from __future__ import annotations

import pytest

from tests.corpus import Exchange, exchanges
from tests.providers.bedrock_wire import (
    HOST,
    Json,
    call,
    described,
    frame,
    read_exchange,
    request,
    settled,
)
from tests.providers.expect import departures
from tokenmeter.providers import Call, Request, find
from tokenmeter.providers.bedrock import ADAPTER

CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"


@pytest.mark.parametrize("chunk_bytes", [1, 97, 1 << 30])
@pytest.mark.parametrize("exchange", exchanges("bedrock"))
def test_every_recorded_exchange_yields_what_it_must(exchange: Exchange, chunk_bytes: int) -> None:
    assert departures(exchange, read_exchange(exchange, chunk_bytes)) == []


@pytest.mark.parametrize(
    ("path", "operation", "streamed"),
    [
        (f"/model/{CLAUDE}/converse", "converse", False),
        (f"/model/{CLAUDE}/converse-stream", "converse", True),
        (f"/model/{CLAUDE}/invoke", "invoke", False),
        (f"/model/{CLAUDE}/invoke-with-response-stream", "invoke", True),
        ("/openai/v1/chat/completions", "chat.completions", False),
        ("/openai/v1/responses", "responses", False),
        ("/anthropic/v1/messages", "messages", False),
    ],
)
def test_every_way_to_ask_a_model_is_metered(path: str, operation: str, *, streamed: bool) -> None:
    asked = described(Request("POST", HOST, path, body={"model": "m"}))
    assert (asked.provider, asked.api.operation, asked.streamed) == (
        "bedrock",
        operation,
        streamed,
    )


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", f"/model/{CLAUDE}/count-tokens"),
        ("GET", f"/model/{CLAUDE}/converse"),
        ("POST", "/guardrail/g/version/1/apply"),
        ("GET", "/openai/v1/models"),
    ],
)
def test_what_no_model_answers_is_not_metered(method: str, path: str) -> None:
    assert ADAPTER.describe(Request(method, HOST, path)) is None


@pytest.mark.parametrize(
    "host",
    [
        "bedrock-runtime.us-east-1.amazonaws.com",
        "bedrock-runtime-fips.us-gov-west-1.amazonaws.com",
        "bedrock-runtime.cn-north-1.amazonaws.com.cn",
        "bedrock-runtime.eu-west-1.api.aws",
        "bedrock-runtime.eusc-de-east-1.amazonaws.eu",
        "vpce-0a1b-xyz.bedrock-runtime.us-east-1.vpce.amazonaws.com",
    ],
)
def test_every_endpoint_of_the_runtime_is_bedrock(host: str) -> None:
    assert find(host, "/") is ADAPTER
    asked = described(Request("POST", host, f"/model/{CLAUDE}/converse"))
    assert asked.provider == "bedrock"


@pytest.mark.parametrize(
    "host",
    [
        "s3.us-east-1.amazonaws.com",
        "bedrock.us-east-1.amazonaws.com",
        "bedrock-runtime.us-east-1.amazonaws.com.evil.test",
        "notbedrock-runtime.us-east-1.amazonaws.com",
    ],
)
def test_other_hosts_are_not_bedrock(host: str) -> None:
    assert find(host, "/") is not ADAPTER


def test_the_same_paths_under_another_host_are_read_under_its_name() -> None:
    asked = described(Request("POST", "gateway.test", f"/bedrock/model/{CLAUDE}/invoke"))
    assert (asked.provider, asked.request_model) == ("gateway.test", CLAUDE)
    assert ADAPTER.describe(Request("POST", "gateway.test", "/v1/chat/completions")) is None


@pytest.mark.parametrize(
    ("segment", "model"),
    [
        (
            "us.anthropic.claude-haiku-4-5-20251001-v1%3A0",
            "us.anthropic.claude-haiku-4-5-20251001-v1:0",
        ),
        ("arn:aws:bedrock:us-east-1::foundation-model/meta.llama3-8b", "meta.llama3-8b"),
        (
            "arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Ainference-profile%2Fus.amazon.nova",
            "us.amazon.nova",
        ),
        (
            "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123",
            "application-inference-profile/abc123",
        ),
    ],
)
def test_a_model_is_named_without_the_account_it_is_in(segment: str, model: str) -> None:
    assert call(segment).request_model == model


def test_the_tier_and_the_latency_that_are_asked_for_are_dimensions() -> None:
    latency = {"latency": "optimized"}
    wanted = {"service_tier": "flex", **latency}
    asked = call(CLAUDE, serviceTier={"type": "flex"}, performanceConfig=latency)
    assert asked.dimensions == wanted
    headers = {
        "x-amzn-bedrock-service-tier": "flex",
        "x-amzn-bedrock-performanceconfig-latency": "optimized",
    }
    invoked = Request("POST", HOST, f"/model/{CLAUDE}/invoke", headers=headers)
    assert described(invoked).dimensions == wanted
    assert call(CLAUDE, performanceConfig={"latency": "standard"}).dimensions == {}


@pytest.mark.parametrize(
    ("model", "event_name"),
    [
        (CLAUDE, "text_generated"),
        ("amazon.nova-micro-v1:0", "text_generated"),
        ("amazon.titan-embed-text-v2:0", "embedding_created"),
        ("cohere.embed-v4:0", "embedding_created"),
        ("twelvelabs.marengo-embed-2-7-v1:0", "embedding_created"),
        ("cohere.rerank-v3-5:0", "api_calls"),
        ("amazon.nova-canvas-v1:0", "image_generated"),
        ("amazon.titan-image-generator-v2:0", "image_generated"),
        ("stability.sd3-5-large-v1:0", "image_generated"),
    ],
)
def test_an_invocation_is_named_by_what_the_model_makes(model: str, event_name: str) -> None:
    assert call(model, "invoke").api.event_name == event_name


def test_an_image_is_asked_for_in_a_size_and_a_quality() -> None:
    canvas = "amazon.nova-canvas-v1:0"
    assert call(canvas, "invoke").dimensions == {"size": "1024x1024", "quality": "standard"}
    config = {"width": 512, "height": 768, "quality": "premium", "numberOfImages": 2}
    asked = call(canvas, "invoke", imageGenerationConfig=config)
    assert asked.dimensions == {"size": "512x768", "quality": "premium"}
    assert call("stability.sd3-5-large-v1:0", "invoke", aspect_ratio="16:9").dimensions == {
        "aspect_ratio": "16:9"
    }


def test_claude_under_a_profile_of_ones_own_is_known_by_its_request() -> None:
    profile = "arn:aws:bedrock:us-east-1:1:application-inference-profile/abc"
    asked = described(request(profile, "invoke", anthropic_version="bedrock-2023-05-31"))
    assert asked.api.owns_ids
    assert not described(request(profile, "invoke")).api.owns_ids


AGENTS = "bedrock-agent-runtime.us-east-1.amazonaws.com"


def an_agent(path: str = "/agents/A/agentAliases/B/sessions/C/text") -> Call:
    return described(Request("POST", AGENTS, path))


@pytest.mark.parametrize(
    ("usage", "wanted"),
    [
        ({"inputTokens": 9}, {"input_tokens": 9, "uncached_input_tokens": 9}),
        ({"outputTokens": 2}, {"output_tokens": 2}),
        ({"inputTokens": -1, "outputTokens": "x"}, {}),
    ],
)
def test_a_trace_that_tells_a_part_is_read_as_far_as_it_goes(usage: Json, wanted: Json) -> None:
    told = {"traceId": "t", "metadata": {"usage": usage}}
    step = frame("trace", trace={"orchestrationTrace": {"modelInvocationOutput": told}})
    reading = settled(an_agent(), step)
    assert dict(reading.usage) == wanted
    assert bool(reading.flags) is (not wanted)


def test_a_knowledge_base_that_refuses_has_failed() -> None:
    reading = settled(an_agent("/retrieveAndGenerate"), {"message": "no"})
    assert (reading.state, reading.error_type) == ("failed", None)


@pytest.mark.parametrize(
    ("host", "method", "path"),
    [
        (AGENTS, "POST", "/knowledgebases/K/retrieve"),
        (AGENTS, "GET", "/agents/A/agentAliases/B/memories"),
        (HOST, "POST", f"/async-invoke/{'x' * 4}"),
    ],
)
def test_what_calls_no_model_is_not_metered(host: str, method: str, path: str) -> None:
    assert ADAPTER.describe(Request(method, host, path)) is None


def test_a_poll_that_names_no_job_says_nothing_of_it() -> None:
    asked = described(Request("GET", HOST, "/async-invoke/arn:aws:bedrock:x:1:async-invoke/j1"))
    reading = settled(asked, {"status": "Completed"})
    assert (reading.response_id, reading.state) == ("j1", "pending")
