"""OpenAI's adapter: the recorded exchanges, and which requests it recognises."""

from __future__ import annotations

from typing import Any

import pytest

from tests.corpus import Exchange, exchanges
from tests.providers.expect import departures
from tests.providers.fold import read
from tests.providers.openai_wire import CHAT, RESPONSES, ask, call, chunk, get
from tokenmeter.providers import Request, by_host, find
from tokenmeter.providers.openai import ADAPTER

CHUNKS = pytest.mark.parametrize("chunk_bytes", [1, 97, 1 << 30])


@CHUNKS
@pytest.mark.parametrize("exchange", exchanges("openai", "azure"))
def test_every_recorded_exchange_yields_what_it_must(exchange: Exchange, chunk_bytes: int) -> None:
    assert departures(exchange, read(exchange, chunk_bytes=chunk_bytes)) == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/models"),
        ("POST", "/v1/moderations"),
        ("POST", "/v1/files"),
        ("GET", "/v1/files/file-1/content"),
        ("POST", "/v1/responses/input_tokens"),
        ("GET", "/v1/responses/resp_1/input_items"),
        ("DELETE", "/v1/responses/resp_1"),
        ("GET", "/v1/chat/completions"),
        ("GET", "/v1/chat/completions/chatcmpl-1"),
        ("GET", "/v1/batches"),
        ("GET", "/v1/threads/t/runs"),
        ("GET", "/v1/threads/t/runs/r/steps"),
        ("GET", "/v1/evals/eval_1/runs"),
        ("GET", "/v1/organization/usage/completions"),
    ],
)
def test_what_is_not_billed_is_no_call(method: str, path: str) -> None:
    assert ask(path, {"model": "gpt-5"}, method=method) is None


@pytest.mark.parametrize(
    ("method", "path", "operation", "event_name"),
    [
        ("POST", CHAT, "chat.completions", "text_generated"),
        ("POST", "/v1/completions", "completions", "text_generated"),
        ("POST", RESPONSES, "responses", "text_generated"),
        ("POST", "/v1/responses/compact", "responses.compact", "text_generated"),
        ("POST", "/v1/decisions", "decisions", "text_generated"),
        ("POST", "/v1/embeddings", "embeddings", "embedding_created"),
        ("POST", "/v1/images/edits", "images.edits", "image_generated"),
        ("POST", "/v1/audio/translations", "audio.translations", "audio_transcribed"),
        ("POST", "/v1/audio/speech", "audio.speech", "audio_generated"),
        ("POST", "/v1/threads/runs", "assistants.runs", "text_generated"),
        ("POST", "/v1/threads/t/runs", "assistants.runs", "text_generated"),
        ("GET", "/v1/batches/batch_1", "batches", "text_generated"),
        ("GET", "/v1/videos/video_1/", "videos", "video_generated"),
    ],
)
def test_each_endpoint_is_known_by_its_method_and_path(
    method: str, path: str, operation: str, event_name: str
) -> None:
    described = call(path, method=method)
    assert (described.api.operation, described.api.event_name) == (operation, event_name)


def test_the_model_the_tier_and_the_stream_that_were_asked_for_are_kept() -> None:
    described = call(CHAT, {"model": "gpt-5", "service_tier": "flex", "stream": True})
    assert described.request_model == "gpt-5"
    assert described.dimensions == {"service_tier": "flex"}
    assert described.streamed


def test_a_flag_in_a_form_counts_as_the_same_flag() -> None:
    assert call("/v1/audio/transcriptions", {"model": "w", "stream": "true"}).streamed
    assert not call("/v1/audio/transcriptions", {"model": "w", "stream": "false"}).streamed


@pytest.mark.parametrize("path", [CHAT, "/v1/completions"])
def test_a_stream_without_stream_options_is_asked_for_its_usage(path: str) -> None:
    body = {"model": "gpt-5", "stream": True}
    assert call(path, body).edited_body == {**body, "stream_options": {"include_usage": True}}
    assert body == {"model": "gpt-5", "stream": True}


@pytest.mark.parametrize(
    ("options", "edited"),
    [
        ({"include_usage": True}, None),
        ({"include_usage": False}, {"include_usage": True}),
        ({"include_obfuscation": False}, {"include_obfuscation": False, "include_usage": True}),
        (None, {"include_usage": True}),
        ("junk", None),
    ],
)
def test_the_users_other_stream_options_are_kept(options: Any, edited: Any) -> None:
    asked = call(CHAT, {"stream": True, "stream_options": options}).edited_body
    assert (asked and asked["stream_options"]) == edited


@pytest.mark.parametrize("body", [{}, {"stream": False}, {"stream": None}, {"stream": "yes"}])
def test_what_is_no_stream_is_not_edited(body: dict[str, Any]) -> None:
    assert call(CHAT, body).edited_body is None


AZURE = "res.openai.azure.com"
DEPLOYED = "/openai/deployments/mine/chat/completions"


@pytest.mark.parametrize(
    ("query", "extra", "is_edited"),
    [
        ("api-version=2024-10-21", {}, True),
        ("api-version=2024-09-01-preview", {}, True),
        ("api-version=2024-08-01-preview", {}, False),
        ("api-version=2024-02-01", {}, False),
        ("api-version=2023-05-15", {}, False),
        ("", {}, True),
        ("api-version=2024-10-21", {"data_sources": []}, False),
    ],
)
def test_azure_is_asked_only_where_it_takes_the_option(
    query: str, extra: dict[str, Any], *, is_edited: bool
) -> None:
    described = call(DEPLOYED, {"stream": True, **extra}, host=AZURE, query=query)
    assert (described.edited_body is not None) is is_edited


@pytest.mark.parametrize(
    "host", [AZURE, "x.cognitiveservices.azure.com", "x.services.ai.azure.com"]
)
def test_azure_names_the_deployment_where_the_body_names_no_model(host: str) -> None:
    described = call(DEPLOYED, host=host)
    assert (described.provider, described.request_model) == ("azure", "mine")
    assert call(DEPLOYED, {"model": "gpt-5"}, host=host).request_model == "gpt-5"
    assert call("/openai/v1/responses", {"model": "m"}, host=host).provider == "azure"


@pytest.mark.parametrize("host", ["api.openai.com", "eu.api.openai.com", "us.api.openai.com"])
def test_regional_hosts_are_openai(host: str) -> None:
    assert by_host(host) is ADAPTER
    assert call(CHAT, host=host).provider == "openai"


def test_ids_belong_to_openai_and_azure_only() -> None:
    assert call(CHAT).api.owns_ids
    assert call(DEPLOYED, host=AZURE).api.owns_ids
    assert not call(CHAT, host="api.groq.com").api.owns_ids
    assert not call(CHAT, host="gateway.test").api.owns_ids


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (CHAT, {}),
        ("/anything/chat/completions", {"model": "m"}),
        ("/completions", {"model": "m"}),
        ("/v1/embeddings", {"model": "m"}),
        (RESPONSES, {"model": "m"}),
        ("/v1/images/generations", {}),
        ("/v1/audio/speech", {}),
        ("/openai/deployments/mine/embeddings", {}),
    ],
)
def test_the_same_paths_are_known_under_any_host(path: str, body: dict[str, Any]) -> None:
    assert find("gateway.test", path) is ADAPTER
    described = call(path, body, host="gateway.test")
    assert described.provider == "gateway.test"
    assert described.edited_body is None


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", RESPONSES),
        ("POST", "/api/survey/responses"),
        ("POST", "/courses/7/completions"),
        ("POST", "/v1/embeddings"),
        ("POST", "/v1/responses/compact"),
        ("GET", "/forms/responses/17"),
        ("POST", "/v1/batches"),
        ("GET", "/v1/videos/17"),
        ("GET", "/v1/models"),
    ],
)
def test_another_services_paths_are_not_taken_for_an_api(method: str, path: str) -> None:
    assert ask(path, {"answers": [1]}, method=method, host="forms.test") is None


def test_a_retrieve_is_a_repeated_sight_of_what_its_path_names() -> None:
    for described in (
        get("/v1/responses/resp_1"),
        call("/v1/responses/resp_1/cancel"),
        get("/v1/responses/resp_1", host="gateway.test"),
    ):
        assert (described.repeated, described.job_id, described.streamed) == (
            True,
            "resp_1",
            False,
        )
    assert get("/v1/responses/resp_1", query="stream=true").streamed


def test_a_description_stands_for_the_adapters_contract() -> None:
    adapter = find("api.openai.com", CHAT)
    assert adapter is not None
    assert adapter.name == "openai"
    request = Request("POST", "api.openai.com", CHAT, body={"model": "gpt-5"})
    assert adapter.describe(request) == call(CHAT, {"model": "gpt-5"})


def test_the_text_of_a_chunk_is_what_it_delivers() -> None:
    text = call(CHAT).api.text
    assert text is not None
    assert text(chunk("Hel")) == "Hel"
