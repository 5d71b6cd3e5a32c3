"""Google's adapter: the recorded exchanges, and which requests it recognises."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.corpus import Exchange, exchanges
from tests.providers.expect import departures
from tests.providers.fold import read
from tests.providers.google_wire import (
    FLASH,
    GEMINI,
    PUBLISHED,
    VERTEX,
    call,
    content,
    read_body,
    request,
)
from tokenmeter.providers import Request, find
from tokenmeter.providers.google import ADAPTER, describe


@pytest.mark.parametrize("chunk_bytes", [1, 97, 1 << 30])
@pytest.mark.parametrize("exchange", exchanges("gemini", "vertex"))
def test_every_recorded_exchange_yields_what_it_must(exchange: Exchange, chunk_bytes: int) -> None:
    found = read(exchange, chunk_bytes=chunk_bytes)
    assert departures(exchange, found) == []
    assert found.reading.flags == frozenset()


@pytest.mark.parametrize(
    ("host", "provider"),
    [
        (GEMINI, "google"),
        ("generativelanguage.mtls.googleapis.com", "google"),
        ("aiplatform.googleapis.com", "google-vertex"),
        (VERTEX, "google-vertex"),
        ("aiplatform.us.rep.googleapis.com", "google-vertex"),
        ("gateway.example:8080", "gateway.example:8080"),
    ],
)
def test_the_host_says_who_the_provider_is(host: str, provider: str) -> None:
    path = f"{FLASH}:generateContent"
    assert find(host, path) is ADAPTER
    asked = call(path, host)
    assert (asked.provider, asked.request_model) == (provider, "gemini-2.5-flash")
    assert asked.api.owns_ids is (provider in {"google", "google-vertex"})


@pytest.mark.parametrize(
    ("path", "streamed", "operation"),
    [
        (f"{FLASH}:generateContent", False, "generateContent"),
        (f"{FLASH}%3AstreamGenerateContent", True, "generateContent"),
        (f"/prefix{FLASH}:streamGenerateContent", True, "generateContent"),
        ("/v1beta/tunedModels/mine:generateContent", False, "generateContent"),
        (f"{PUBLISHED}/gemini-2.5-pro:streamGenerateContent", True, "generateContent"),
        ("/v1/projects/p/locations/l/endpoints/42:generateContent", False, "generateContent"),
        (f"{FLASH}:embedContent", False, "embedContent"),
        (f"{FLASH}:batchEmbedContents", False, "embedContent"),
    ],
)
def test_a_method_at_the_end_of_the_path_is_known_under_any_host(
    path: str, *, streamed: bool, operation: str
) -> None:
    for host in (GEMINI, VERTEX, "mock.local"):
        assert find(host, path) is ADAPTER
        asked = call(path, host)
        assert (asked.streamed, asked.api.operation) == (streamed, operation)
    assert describe(request(path, method="GET")) is None


@pytest.mark.parametrize(
    "path",
    [
        f"{FLASH}:countTokens",
        f"{PUBLISHED}/gemini-2.5-pro:computeTokens",
        f"{FLASH}:unheardOf",
        "/v1beta/models",
        FLASH,
        "/upload/v1beta/files",
        "/v1beta/files/abc",
        "/v1beta/files/abc:download",
        "/v1beta/batches/b1:cancel",
        "/v1/projects/p/locations/l/endpoints/42:predict",
        f"{PUBLISHED}/anything:rawPredict",
        "/v1/projects/p/locations/l/customJobs",
    ],
)
@pytest.mark.parametrize("method", ["POST", "GET"])
def test_what_is_not_metered_makes_no_call(path: str, method: str) -> None:
    for host in (GEMINI, VERTEX):
        assert describe(request(path, host, method)) is None


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", "/v1beta/interactions/v1_abc"),
        ("DELETE", "/v1beta/batches/b1"),
        ("GET", "/v1beta/batches"),
        ("GET", "/v1beta/interactions"),
        ("POST", "/v1beta/interactions/v1_abc"),
        ("GET", "/v1beta/cachedContents"),
        ("PATCH", "/v1beta/cachedContents/c1"),
    ],
)
def test_managing_a_resource_makes_no_call(method: str, path: str) -> None:
    assert describe(request(path, method=method)) is None


@pytest.mark.parametrize("path", ["/interactions", "/api/interactions", "/v1/interactions/7"])
@pytest.mark.parametrize("method", ["POST", "GET"])
def test_strangers_with_interactions_of_their_own_are_left_alone(path: str, method: str) -> None:
    assert describe(request(path, "crm.example", method, note="called")) is None


def test_interactions_are_known_under_any_host() -> None:
    path = "/v1beta/interactions"
    assert find("mock.local", path) is ADAPTER
    asked = call(path, "mock.local", input="Hi", model="gemini-2.5-flash")
    assert (asked.provider, asked.api.owns_ids) == ("mock.local", False)
    keyed = Request("GET", "mock.local", f"{path}/i1", headers={"x-goog-api-key": "k"})
    fetched = describe(keyed)
    assert fetched is not None
    assert (fetched.repeated, fetched.job_id) == (True, "i1")


def test_claude_on_vertex_is_read_as_anthropic_does() -> None:
    path = "/v1/projects/p/locations/l/publishers/anthropic/models/claude-opus-4-5:rawPredict"
    asked = call(path, VERTEX, messages=[], max_tokens=5)
    assert (asked.provider, asked.api.operation) == ("google-vertex", "messages")


def test_other_publishers_on_vertex_are_read_as_chat_completions() -> None:
    path = "/v1/projects/p/locations/l/publishers/mistralai/models/mistral-large@2411"
    asked = call(f"{path}:streamRawPredict", VERTEX, model="x", messages=[], stream=True)
    assert (asked.provider, asked.request_model) == ("google-vertex", "mistral-large@2411")
    assert (asked.streamed, asked.edited_body) == (True, None)
    assert asked.api.operation == "chat.completions"
    legacy = f"{path}:rawPredict"
    assert describe(request(legacy, VERTEX, inputs="of a form that nobody knows")) is None


@pytest.mark.parametrize(
    ("host", "path", "provider"),
    [
        (GEMINI, "/v1beta/openai/chat/completions", "google"),
        (GEMINI, "/v1beta/openai/embeddings", "google"),
        (
            VERTEX,
            "/v1/projects/p/locations/l/endpoints/openapi/chat/completions",
            "google-vertex",
        ),
    ],
)
def test_openai_compatible_endpoints_keep_the_provider(
    host: str, path: str, provider: str
) -> None:
    asked = call(path, host, model="google/gemini-2.5-flash", messages=[], input="Hi")
    assert asked.provider == provider
    assert asked.api.operation in {"chat.completions", "embeddings"}


def test_the_openai_compatible_model_list_makes_no_call() -> None:
    assert describe(request("/v1beta/openai/models", method="GET")) is None


def test_a_cached_content_is_an_event_without_usage() -> None:
    asked = call("/v1beta/cachedContents", model="models/gemini-2.5-flash", contents=[])
    assert asked.request_model == "models/gemini-2.5-flash"
    reading = read_body(
        asked,
        {
            "name": "cachedContents/c1",
            "model": "models/gemini-2.5-flash",
            "createTime": "2026-05-13T19:56:49Z",
            "usageMetadata": {"totalTokenCount": 1090},
        },
    )
    assert (dict(reading.usage), reading.state) == ({}, "success")
    assert reading.dimensions == {"cached_content_tokens": "1090"}
    assert read_body(asked, {"usageMetadata": {"totalTokenCount": "many"}}).dimensions == {}
    assert read_body(asked, {"error": {"status": "INVALID_ARGUMENT"}}).state == "failed"


@pytest.mark.parametrize(
    ("error", "named"),
    [
        ({"code": 404, "message": "models/x …", "status": "NOT_FOUND"}, "NOT_FOUND"),
        ({"code": 13, "message": "oh"}, "13"),
        ({"code": "invalid_request", "message": "oh"}, "invalid_request"),
        ({"message": "your prompt was …"}, "error"),
        ("a sentence, which could be anything", "error"),
    ],
)
def test_an_error_is_named_by_its_code_and_never_by_its_message(error: object, named: str) -> None:
    reading = content({"error": error})
    assert (reading.state, reading.error_type) == ("failed", named)
    assert dict(reading.usage) == {}


@pytest.mark.parametrize("tier", ["Flex", "priority"])
def test_the_tier_asked_of_vertex_stands_in_a_header(tier: str) -> None:
    asked = request(f"{PUBLISHED}/gemini-3-flash:generateContent", VERTEX)
    headers = {"x-vertex-ai-llm-shared-request-type": tier}
    described = describe(replace(asked, headers=headers))
    assert described is not None
    assert described.dimensions == {"service_tier": tier.lower()}
