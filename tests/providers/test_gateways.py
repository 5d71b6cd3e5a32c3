"""Cloudflare's AI Gateway, Portkey and Helicone: the provider behind them, and their caches."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest

from tests.capture.play import Answer, Player
from tests.capture.wire import JSON, SSE
from tests.providers.openai_wire import chat, tokens
from tokenmeter import Event, TokenMeter
from tokenmeter.providers import Call, Request, find

CLOUDFLARE = "gateway.ai.cloudflare.com"
GATEWAY = "/v1/account/my-gateway"
PORTKEY, HELICONE = "api.portkey.ai", "gateway.helicone.ai"
BODY = {"model": "m", "messages": [], "max_tokens": 3, "input": "x"}
CHAT = "/chat/completions"


def called(host: str, path: str, body: Any = None, **headers: str) -> Call | None:
    adapter = find(host, path)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = Request("POST", host, path, headers=named, body=BODY if body is None else body)
    return None if adapter is None else adapter.describe(request)


def said(call: Call | None) -> tuple[str, str, str | None, str | None]:
    assert call is not None
    gateway = call.dimensions.get("gateway")
    return call.provider, call.api.operation, call.request_model, gateway


@pytest.mark.parametrize(
    ("path", "provider", "operation", "model"),
    [
        (f"/openai{CHAT}", "openai", "chat.completions", "m"),
        ("/openai/responses", "openai", "responses", "m"),
        ("/openai/embeddings", "openai", "embeddings", "m"),
        ("/anthropic/v1/messages", "anthropic", "messages", "m"),
        (
            "/google-ai-studio/v1/models/gemini-2.5-flash:generateContent",
            *("google", "generateContent", "gemini-2.5-flash"),
        ),
        (
            "/google-vertex-ai/v1/projects/p/locations/l/publishers/google/models/g:generateContent",
            *("google-vertex", "generateContent", "g"),
        ),
        (f"/azure-openai/mine/deployed{CHAT}", "azure", "chat.completions", "m"),
        (
            "/aws-bedrock/bedrock-runtime/us-east-1/model/amazon.nova-lite-v1:0/converse",
            *("bedrock", "converse", "amazon.nova-lite-v1:0"),
        ),
        (f"/groq{CHAT}", "groq", "chat.completions", "m"),
        (f"/grok/v1{CHAT}", "xai", "chat.completions", "m"),
        (f"/mistral/v1{CHAT}", "mistral", "chat.completions", "m"),
        (f"/openrouter/v1{CHAT}", "openrouter", "chat.completions", "m"),
        (f"/perplexity-ai{CHAT}", "perplexity", "chat.completions", "m"),
        (f"/cerebras{CHAT}", "cerebras", "chat.completions", "m"),
        (f"/deepseek{CHAT}", "deepseek", "chat.completions", "m"),
        ("/cohere/v2/chat", "cohere", "chat", "m"),
        ("/elevenlabs/v1/text-to-speech/voice", "elevenlabs", "speech", "eleven_multilingual_v2"),
    ],
)
def test_what_goes_through_cloudflare_is_read_as_at_its_provider(
    path: str, provider: str, operation: str, model: str
) -> None:
    call = called(CLOUDFLARE, f"{GATEWAY}{path}")
    assert said(call) == (provider, operation, model, "cloudflare")


@pytest.mark.parametrize("path", ["/replicate/predictions", "/replicate/v1/predictions"])
def test_cloudflares_replicate_stands_for_its_whole_base_url(path: str) -> None:
    call = called(CLOUDFLARE, f"{GATEWAY}{path}", {"version": "m/m", "input": {}})
    assert said(call)[:2] == ("replicate", "predictions")


def test_cloudflares_one_path_for_all_has_the_provider_before_the_model() -> None:
    def asked(model: object) -> Call | None:
        return called(CLOUDFLARE, f"{GATEWAY}/compat{CHAT}", {**BODY, "model": model})

    assert said(asked("google-ai-studio/gemini-2.5-pro"))[:3] == (
        "google",
        "chat.completions",
        "gemini-2.5-pro",
    )
    assert said(asked("anthropic/claude-sonnet-5"))[0] == "anthropic"
    streamed = called(
        CLOUDFLARE, f"{GATEWAY}/compat{CHAT}", {"model": "openai/gpt-5", "stream": True}
    )
    assert streamed is not None
    assert streamed.edited_body is None  # the body that is sent keeps the provider's name
    for unknown in ("dynamic/route", "gpt-5", "openai/", 7):
        assert said(asked(unknown))[0] == CLOUDFLARE
        assert said(asked(unknown))[3] is None


@pytest.mark.parametrize(
    "path",
    [
        f"{GATEWAY}/new-provider{CHAT}",
        f"{GATEWAY}/azure-openai{CHAT}",
        f"{GATEWAY}/aws-bedrock{CHAT}",
        f"/somewhere{CHAT}",
    ],
)
def test_a_provider_that_nobody_knows_is_metered_as_the_gateway_itself(path: str) -> None:
    assert said(called(CLOUDFLARE, path)) == (CLOUDFLARE, "chat.completions", "m", None)


def test_what_is_no_call_is_none_through_a_gateway() -> None:
    assert called(CLOUDFLARE, f"{GATEWAY}/openai/files") is None
    assert called(CLOUDFLARE, f"{GATEWAY}/openai/models") is None
    assert called(HELICONE, "/v1/files") is None


def test_portkeys_header_names_the_provider() -> None:
    named = {"x_portkey_provider": "anthropic"}
    messages = called(PORTKEY, "/v1/messages", **named)
    assert said(messages) == ("anthropic", "messages", "m", "portkey")
    as_openai = called(PORTKEY, f"/v1{CHAT}", **named)
    assert said(as_openai) == ("anthropic", "chat.completions", "m", "portkey")
    assert said(called(PORTKEY, f"/v1{CHAT}", x_portkey_provider="OpenAI"))[0] == "openai"
    for config in ({}, {"x_portkey_provider": "@my-virtual-key"}):
        assert said(called(PORTKEY, f"/v1{CHAT}", **config))[0] == PORTKEY


@pytest.mark.parametrize(
    ("named", "provider"),
    [
        ("azure-openai", "azure"),
        ("bedrock", "bedrock"),
        ("dashscope", "alibaba"),
        ("deepinfra", "deepinfra"),
        ("huggingface", "huggingface"),
        ("moonshot", "moonshot"),
        ("novita-ai", "api.novita.ai"),
        ("voyage", "voyage"),
        ("z-ai", "zai"),
        ("zhipu", "zai"),
    ],
)
def test_portkeys_names_of_providers_are_known(named: str, provider: str) -> None:
    call = called(PORTKEY, "/v1/chat/completions", x_portkey_provider=named)
    assert said(call) == (provider, "chat.completions", "m", "portkey")


def test_helicone_has_a_host_for_each_provider_or_is_told_the_url() -> None:
    openai = called("oai.helicone.ai", f"/v1{CHAT}")
    assert said(openai) == ("openai", "chat.completions", "m", "helicone")
    assert said(called("anthropic.helicone.ai", "/v1/messages"))[0] == "anthropic"
    told = called(HELICONE, f"/v1{CHAT}", helicone_target_url="https://api.x.ai")
    assert said(told)[0] == "xai"
    for target in ("", "no url", f"https://{CLOUDFLARE}"):
        found = called(HELICONE, f"/v1{CHAT}", helicone_target_url=target)
        assert said(found)[0] == HELICONE


def test_azure_behind_helicones_host_of_openai_is_azure() -> None:
    azure = "https://mine.openai.azure.com"
    path = f"/openai/deployments/d{CHAT}"
    found = called("oai.helicone.ai", path, helicone_openai_api_base=azure)
    assert said(found) == ("azure", "chat.completions", "m", "helicone")
    assert said(called("oai.helicone.ai", path, helicone_openai_api_base=""))[0] == "openai"


def test_helicones_own_gateway_has_the_provider_behind_the_model() -> None:
    def asked(model: object, path: str = f"/v1{CHAT}") -> Call | None:
        return called("ai-gateway.helicone.ai", path, {**BODY, "model": model, "stream": True})

    named = asked("gpt-4o/openai")
    assert said(named) == ("openai", "chat.completions", "gpt-4o", "helicone")
    assert named is not None
    assert named.edited_body is None  # the body that is sent keeps the provider's name
    assert said(asked("gpt-4o/azure", CHAT))[0] == "azure"
    for unknown in ("gpt-4o", "gpt-4o/openai,gpt-4o/azure", "gpt-4o/new", "/openai", 7):
        assert said(asked(unknown))[0] == "ai-gateway.helicone.ai"
        assert said(asked(unknown))[3] is None
    assert asked("gpt-4o/openai", "/v1/files") is None


def played(url: str, *answers: Answer, **headers: str) -> list[Event]:
    meter = TokenMeter("memory:")
    client = meter.wrap(Player([*answers]).client(httpx2))
    try:
        for _ in answers:
            client.post(url, json={"model": "gpt-5", "messages": []}, headers=headers)
        assert meter.flush(5)
        assert meter.faults == 0
        return list(meter.backend.events)
    finally:
        meter.shutdown()


WHOLE = json.dumps(chat(tokens(1_000_000, 0))).encode()
URL = f"https://{CLOUDFLARE}{GATEWAY}/openai{CHAT}"


def test_what_a_gateway_answers_from_its_cache_is_an_event_that_costs_nothing() -> None:
    header = "cf-aig-cache-status"
    answers = [Answer(200, {**JSON, header: status}, [WHOLE]) for status in ("MISS", "HIT", "HIT")]
    asked, *cached = played(URL, *answers)
    assert asked.properties["cost_usd"] == "1.25"
    assert "served_from_cache" not in asked.properties
    for event in cached:
        assert (event.properties["served_from_cache"], event.properties["cost_usd"]) == (
            "true",
            "0",
        )
        assert "cache of a gateway" in str(event.properties["cost_note"])
        assert event.usage["input_tokens"] == 1_000_000
    assert len({event.event_id for event in (asked, *cached)}) == 3


@pytest.mark.parametrize(
    ("url", "headers", "status"),
    [
        (f"https://{PORTKEY}/v1{CHAT}", {"x-portkey-provider": "openai"}, "SEMANTIC HIT"),
        (f"https://oai.helicone.ai/v1{CHAT}", {}, "HIT"),
    ],
)
def test_other_gateways_tell_of_their_cache_in_headers_of_their_own(
    url: str, headers: dict[str, str], status: str
) -> None:
    header = "x-portkey-cache-status" if "portkey" in url else "helicone-cache"
    missed = status.replace("HIT", "MISS")
    answers = [Answer(200, {**JSON, header: each}, [WHOLE]) for each in (missed, status)]
    costs = [event.properties["cost_usd"] for event in played(url, *answers, **headers)]
    assert costs == ["1.25", "0"]


def test_a_stream_from_the_cache_costs_nothing() -> None:
    chunk = {**chat(tokens(1_000_000, 0)), "object": "chat.completion.chunk", "choices": []}
    stream = [f"data: {json.dumps(chunk)}\n\n".encode(), b"data: [DONE]\n\n"]
    (event,) = played(URL, Answer(200, {**SSE, "cf-aig-cache-status": "HIT"}, stream))
    assert (event.usage["input_tokens"], event.properties["cost_usd"]) == (1_000_000, "0")


def test_what_a_header_of_the_provider_tells_is_still_read() -> None:
    model = "/aws-bedrock/bedrock-runtime/us-east-1/model/amazon.nova-lite-v1:0/converse"
    call = called(CLOUDFLARE, f"{GATEWAY}{model}")
    assert call is not None
    assert call.api.read_headers is not None
    told = {"x-amzn-bedrock-service-tier": "flex", "cf-aig-cache-status": "HIT"}
    dimensions = call.api.read_headers(told).dimensions
    assert dimensions == {"service_tier": "flex", "served_from_cache": "true"}
