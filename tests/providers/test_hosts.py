"""Hosts that the user names, and hosts that are known by their port."""

from __future__ import annotations

from typing import Any

import pytest

from tokenmeter import ConfigurationError
from tokenmeter.providers import Call, Request, find
from tokenmeter.providers.hosts import known_host, named_hosts

CHAT = "/v1/chat/completions"


def call(authority: str, named: dict[str, str], path: str = CHAT, **body: Any) -> Call:
    host = known_host(authority, named_hosts(named))
    adapter = find(host, path)
    assert adapter is not None
    asked = Request("POST", host, path, body={"model": "m", "messages": [], **body})
    found = adapter.describe(asked)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("name", "path", "provider", "operation"),
    [
        ("vllm", CHAT, "vllm", "chat.completions"),
        ("ollama", CHAT, "ollama", "chat.completions"),
        ("openai", "/proxy/v1/responses", "openai", "responses"),
        ("azure", "/openai/deployments/d/chat/completions", "azure", "chat.completions"),
        ("groq", CHAT, "groq", "chat.completions"),
        ("anthropic", "/v1/messages", "anthropic", "messages"),
        ("anthropic", "/claude/v1/messages", "anthropic", "messages"),
        ("google", "/v1beta/models/gemini-3-pro:generateContent", "google", "generateContent"),
        ("bedrock", "/model/meta.llama3/converse", "bedrock", "converse"),
        ("cohere", "/v2/chat", "cohere", "chat"),
        ("acme-llm", CHAT, "acme-llm", "chat.completions"),
    ],
)
def test_a_host_goes_by_the_name_that_the_user_gives_it(
    name: str, path: str, provider: str, operation: str
) -> None:
    found = call("llm.internal:8000", {"llm.internal:8000": name}, path)
    assert (found.provider, found.api.operation) == (provider, operation)


def test_vertex_is_named_too() -> None:
    path = "/v1/projects/p/locations/l/publishers/google/models/gemini-3-pro:generateContent"
    assert call("gw.internal", {"gw.internal": "google-vertex"}, path).provider == "google-vertex"


def test_a_known_name_brings_the_providers_way_with_it() -> None:
    assert call("llm.internal", {"llm.internal": "vllm"}, stream=True).edited_body is not None
    assert call("llm.internal", {}, stream=True).edited_body is None


@pytest.mark.parametrize(
    ("authority", "provider"),
    [
        ("llm.internal:8000", "acme"),
        ("llm.internal:9000", "other"),
        ("llm.internal", "other"),
        ("localhost:11434", "ollama"),
        ("127.0.0.1:11434", "ollama"),
        ("vllm:8000", "vllm"),
        ("localhost:9999", "localhost"),
        ("[::1]:9999", "::1"),
        ("[::1]", "::1"),
        ("api.openai.com:443", "openai"),
        ("elsewhere.test", "elsewhere.test"),
    ],
)
def test_a_port_counts_only_where_it_is_named(authority: str, provider: str) -> None:
    named = {"LLM.internal:8000": "acme", "llm.internal": "other"}
    assert call(authority, named).provider == provider


@pytest.mark.parametrize("host", ["https://llm.internal", "llm.internal/v1", "", " ", 7])
def test_what_is_no_host_is_a_mistake(host: Any) -> None:
    with pytest.raises(ConfigurationError, match="which is no host; use one such as"):
        named_hosts({host: "vllm"})


@pytest.mark.parametrize("name", ["", " ", None, 7, "x" * 101])
def test_what_is_no_name_is_a_mistake(name: Any) -> None:
    with pytest.raises(ConfigurationError, match="use a provider's name such as 'vllm'"):
        named_hosts({"llm.internal": name})


def test_a_host_that_ends_in_a_dot_is_the_same_host() -> None:
    assert call("api.openai.com.:443", {}).provider == "openai"
    assert call("llm.internal.", {"llm.internal": "acme"}).provider == "acme"
