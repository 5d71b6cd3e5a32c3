"""Anthropic's adapter: which requests it recognises, and the recorded exchanges."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.corpus import Exchange, exchanges
from tests.providers.anthropic_wire import HOST, call, message, read_body, request, tokens
from tests.providers.expect import departures
from tests.providers.fold import as_request, read
from tokenmeter.providers import Request, find
from tokenmeter.providers.anthropic import (
    ADAPTER,
    COMPLETE,
    GATEWAY_MESSAGES,
    MESSAGES,
    describe,
    describe_messages,
    describe_vertex,
)

CHUNKS = pytest.mark.parametrize("chunk_bytes", [1, 97, 1 << 30])
VERTEX_PATH = (
    "/v1/projects/P/locations/us-east5/publishers/anthropic/models/claude-3-7-sonnet@20250219"
)


@CHUNKS
@pytest.mark.parametrize("exchange", exchanges("anthropic"))
def test_every_recorded_exchange_yields_what_it_must(exchange: Exchange, chunk_bytes: int) -> None:
    assert departures(exchange, read(exchange, chunk_bytes=chunk_bytes)) == []


def claude_on_vertex() -> list[Any]:
    found = exchanges("vertex")
    return [p for p in found if p.values[0] is None or "awpredict" in p.values[0].api.lower()]


@CHUNKS
@pytest.mark.parametrize("exchange", claude_on_vertex())
def test_every_recorded_claude_on_vertex_yields_what_it_must(
    exchange: Exchange, chunk_bytes: int
) -> None:
    seen = read(exchange, chunk_bytes=chunk_bytes)
    assert departures(exchange, seen) == []
    assert seen.call == describe_vertex(as_request(exchange))
    assert seen.reading.state == "success"


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/", "/proxy/v1/messages"])
def test_messages_are_recognised_with_what_the_request_asks_for(path: str) -> None:
    asked = call(path, stream=True, service_tier="auto", speed="fast", inference_geo="us")
    assert (asked.provider, asked.request_model) == ("anthropic", "claude-sonnet-5")
    assert asked.streamed
    assert asked.api is MESSAGES
    assert asked.dimensions == {"service_tier": "auto", "speed": "fast", "inference_geo": "us"}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/messages/count_tokens"),
        ("GET", "/v1/messages"),
        ("GET", "/v1/models"),
        ("GET", "/v1/models/claude-sonnet-5"),
        ("POST", "/v1/files"),
        ("GET", "/v1/messages/batches"),
        ("POST", "/v1/messages/batches/msgbatch_1/cancel"),
        ("DELETE", "/v1/messages/batches/msgbatch_1"),
        ("GET", "/v1/organizations/usage_report/messages"),
        ("GET", "/v1/complete"),
    ],
)
def test_what_is_not_billed_is_no_call(method: str, path: str) -> None:
    assert describe(request(path, method)) is None


@pytest.mark.parametrize(
    ("value", "asked"), [(True, True), (False, False), ("true", False), (1, False), (None, False)]
)
def test_only_a_true_stream_parameter_asks_for_a_stream(value: object, asked: bool) -> None:
    assert call(stream=value).streamed is asked


def test_a_request_of_junk_is_still_a_call() -> None:
    asked = describe(Request("POST", HOST, "/v1/messages", body={"model": 7, "service_tier": []}))
    assert asked is not None
    assert asked.request_model is None
    assert asked.dimensions == {}


def gateway(path: str, body: dict[str, Any], headers: dict[str, str] | None = None) -> Request:
    return Request("POST", "llm.example.com", path, headers=headers or {}, body=body)


def test_a_gateway_is_recognised_by_its_path_and_named_by_its_host() -> None:
    path = "/anthropic/v1/messages"
    assert find("llm.example.com", path) is ADAPTER
    asked = describe(gateway(path, {"model": "claude-sonnet-5", "messages": []}))
    assert asked is not None
    assert asked.provider == "llm.example.com"
    assert asked.api is GATEWAY_MESSAGES
    assert not asked.api.owns_ids


def test_the_version_header_tells_the_api_of_an_unreadable_request() -> None:
    assert describe(gateway("/v1/messages", {}, {"anthropic-version": "2023-06-01"})) is not None


def test_another_api_with_the_same_path_is_left_alone() -> None:
    assert describe(gateway("/v1/messages", {"to": "+491234", "body": "hello"})) is None
    assert describe(gateway("/v1/complete", {"done": True})) is None


def test_a_foreign_path_is_no_call() -> None:
    assert describe(gateway("/v1/embeddings", {"model": "m", "messages": []})) is None


def test_a_provider_that_speaks_the_messages_api_can_be_named() -> None:
    body = {"model": "deepseek-chat", "messages": []}
    asked = describe_messages(gateway("/anthropic/v1/messages", body), "deepseek")
    assert asked is not None
    assert (asked.provider, asked.api) == ("deepseek", GATEWAY_MESSAGES)


def test_the_legacy_api_reports_no_usage_and_gets_none() -> None:
    asked = describe(gateway("/v1/complete", {"max_tokens_to_sample": 5, "model": "claude-2.1"}))
    assert asked is not None
    assert asked.api is COMPLETE
    body = {"type": "completion", "id": "compl_1", "completion": " Hi", "stop_reason": "stop"}
    reading = read_body({**body, "model": "claude-2.1"}, asked)
    assert (reading.state, reading.model, dict(reading.usage)) == ("success", "claude-2.1", {})
    failed = read_body({"type": "error", "error": {"type": "overloaded_error"}}, asked)
    assert (failed.state, failed.error_type) == ("failed", "overloaded_error")


def test_a_legacy_stream_is_complete_once_it_gives_a_stop_reason() -> None:
    event: dict[str, Any] = {"type": "completion", "completion": " Hi", "stop_reason": None}
    assert COMPLETE.read(event).state is None
    assert COMPLETE.read({**event, "stop_reason": "stop_sequence"}).state == "success"
    assert COMPLETE.text is not None
    assert COMPLETE.text(event) == " Hi"
    assert COMPLETE.text({"completion": 5}) == ""


def test_the_endpoint_in_the_form_of_openai_is_read_as_such() -> None:
    asked = call("/v1/chat/completions", messages=[])
    assert (asked.provider, asked.api.operation) == ("anthropic", "chat.completions")
    usage = {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15}
    body = {"id": "1", "object": "chat.completion", "model": "claude-sonnet-5", "choices": []}
    assert read_body({**body, "usage": usage}, asked).usage.input_tokens == 12


def vertex(suffix: str, method: str = "POST", model_path: str = VERTEX_PATH) -> Request:
    host = "us-east5-aiplatform.googleapis.com"
    return Request(method, host, model_path + suffix, body={"anthropic_version": "x"})


def test_claude_on_vertex_takes_its_model_and_stream_from_the_path() -> None:
    plain, streamed = (describe_vertex(vertex(s)) for s in (":rawPredict", ":streamRawPredict"))
    assert plain is not None
    assert streamed is not None
    assert plain.provider == "google-vertex"
    assert plain.request_model == "claude-3-7-sonnet@20250219"
    assert plain.api.owns_ids
    assert (plain.streamed, streamed.streamed) == (False, True)


def test_an_encoded_vertex_model_is_decoded() -> None:
    asked = describe_vertex(vertex(":rawPredict", model_path=VERTEX_PATH.replace("@", "%40")))
    assert asked is not None
    assert asked.request_model == "claude-3-7-sonnet@20250219"


def test_what_is_no_call_of_claude_on_vertex_is_left_alone() -> None:
    counting = VERTEX_PATH.rpartition("/")[0] + "/count-tokens"
    assert describe_vertex(vertex(":rawPredict", model_path=counting)) is None
    assert describe_vertex(vertex(":predict")) is None
    assert describe_vertex(vertex(":rawPredict", method="GET")) is None


def test_bodies_of_other_envelopes_are_read_without_a_request() -> None:
    reading = MESSAGES.read(message(tokens(4, 50, read=18131)))
    bedrock = MESSAGES.settle(reading, replace(call(), request_model=None))
    assert (bedrock.usage.input_tokens, bedrock.usage.output_tokens) == (18135, 50)
