"""Hosts that speak OpenAI's API: their recordings, their names, what each does differently."""

from __future__ import annotations

from typing import Any

import pytest

from tests.corpus import CORPUS, Exchange, exchanges
from tests.providers.expect import departures
from tests.providers.fold import Read, as_request, read
from tests.providers.openai_wire import CHAT, Json, ask, body_of, call, stream_of
from tokenmeter.capture.reader import BodyReader, Reader
from tokenmeter.capture.sse import EventReader
from tokenmeter.providers import Request
from tokenmeter.providers.compatible import (
    COMPATIBLE,
    describe_compatible,
    known_as,
)

FOLDERS = (
    *("groq", "mistral", "deepseek", "xai", "openrouter", "cerebras", "perplexity"),
    *("together", "huggingface", "zai", "vercel-gateway"),
)
CHUNKS = pytest.mark.parametrize("chunk_bytes", [1, 97, 1 << 30])


@CHUNKS
@pytest.mark.parametrize("exchange", exchanges(*FOLDERS))
def test_every_recorded_exchange_yields_what_it_must(exchange: Exchange, chunk_bytes: int) -> None:
    assert departures(exchange, read(exchange, chunk_bytes=chunk_bytes)) == []


def openai_like_of_bedrock() -> list[Any]:
    kinds = (None, "chat.completions", "responses")
    return [p for p in exchanges("bedrock") if getattr(p.values[0], "api", None) in kinds]


@CHUNKS
@pytest.mark.parametrize("exchange", openai_like_of_bedrock())
def test_every_recorded_openai_like_call_to_bedrock_yields_what_it_must(
    exchange: Exchange, chunk_bytes: int
) -> None:
    asked = describe_compatible(as_request(exchange), "bedrock")
    assert asked is not None
    reader: Reader = EventReader(asked.api) if asked.streamed else BodyReader(asked.api, "")
    for start in range(0, len(exchange.body), chunk_bytes):
        reader.feed(exchange.body[start : start + chunk_bytes])
    reader.end()
    reading = asked.api.settle(reader.reading, asked)
    assert departures(exchange, Read(asked, reading)) == []


@pytest.mark.parametrize(
    ("host", "path", "name"),
    [
        ("mine.services.ai.azure.com", "/anthropic/v1/messages", "azure"),
        ("openrouter.ai", "/api/v1/messages", "openrouter"),
        ("api.deepseek.com", "/anthropic/v1/messages", "deepseek"),
        ("bedrock-mantle.us-east-1.api.aws", "/anthropic/v1/messages", "bedrock"),
    ],
)
def test_a_compatible_host_that_serves_claudes_api_is_read_as_claude(
    host: str, path: str, name: str
) -> None:
    described = call(path, {"model": "claude-sonnet-5", "messages": []}, host=host)
    assert (described.provider, described.api.operation) == (name, "messages")
    assert ask("/v1/threads/thread_1/messages", {"role": "user"}) is None


def costs(folder: str) -> list[Any]:
    return [
        p for p in exchanges(folder) if p.values[0] is None or '"cost' in p.values[0].body.decode()
    ]


@pytest.mark.parametrize("folder", ["xai", "openrouter", "perplexity", "vercel-gateway"])
def test_every_recorded_answer_that_states_a_cost_yields_it(folder: str) -> None:
    found = [read(p.values[0]).reading for p in costs(folder) if p.values[0] is not None]
    assert all(reading.cost is not None for reading in found)
    assert found or not CORPUS.is_dir()


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("api.openai.com", "openai"),
        ("eu.api.openai.com", "openai"),
        ("mine.openai.azure.com", "azure"),
        ("mine.openai.azure.us", "azure"),
        ("api.groq.com", "groq"),
        ("api.mistral.ai", "mistral"),
        ("api.deepseek.com", "deepseek"),
        ("api.x.ai", "xai"),
        ("us-east-1.api.x.ai", "xai"),
        ("openrouter.ai", "openrouter"),
        ("api.cerebras.ai", "cerebras"),
        ("api.perplexity.ai", "perplexity"),
        ("api.together.xyz", "together"),
        ("api-inference.together.ai", "together"),
        ("api.fireworks.ai", "fireworks"),
        ("router.huggingface.co", "huggingface"),
        ("api.z.ai", "zai"),
        ("ai-gateway.vercel.sh", "vercel-gateway"),
        ("api.cohere.ai", "cohere"),
        ("bedrock-mantle.us-east-1.api.aws", "bedrock"),
        ("bedrock-runtime.eu-west-1.amazonaws.com", "bedrock"),
        ("bedrock-runtime-fips.us-east-1.amazonaws.com", "bedrock"),
        ("localhost:11434", "ollama"),
        ("s3.amazonaws.com", None),
        ("notopenai.com", None),
        ("api.openai.com.evil.test", None),
        ("localhost", None),
    ],
)
def test_a_host_is_known_by_the_name_of_its_provider(host: str, name: str | None) -> None:
    assert known_as(host) == name


def test_an_endpoint_under_a_known_name_is_described_by_its_dialect() -> None:
    body = {"model": "gemini-3-pro", "stream": True}
    path = "/v1beta/openai/chat/completions"
    request = Request("POST", "generativelanguage.googleapis.com", path, body=body)
    described = describe_compatible(request, "google")
    assert described is not None
    assert described.provider == "google"
    assert described.edited_body is not None
    named = describe_compatible(request, "my-gateway")
    assert named is not None
    assert (named.provider, named.edited_body) == ("my-gateway", None)
    assert describe_compatible(Request("GET", "h", "/v1/models"), "google") is None


TAKES_NO_OPTION = {"mistral", "cohere"}  # they answer 422 to an unknown field


@pytest.mark.parametrize("name", sorted(COMPATIBLE))
def test_stream_options_are_added_only_where_they_are_taken(name: str) -> None:
    request = Request("POST", "h", CHAT, body={"model": "m", "stream": True})
    described = describe_compatible(request, name)
    assert described is not None
    asks = COMPATIBLE[name][0].asks_usage
    assert (described.edited_body is not None) is asks
    assert not (asks and name in TAKES_NO_OPTION)


def test_azure_serves_coheres_api_under_its_own_name() -> None:
    host, place = "mine.services.ai.azure.com", "/providers/cohere/v2"
    embed = call(f"{place}/embed", {"model": "embed-v-4-0", "texts": ["x"]}, host=host)
    assert (embed.provider, embed.api.event_name) == ("azure", "embedding_created")
    billed = {"meta": {"billed_units": {"input_tokens": 12}}, "embeddings": {"float": [[0.5]]}}
    assert body_of(embed, billed).usage["input_tokens"] == 12
    assert call(f"{place}/rerank", host=host).api.operation == "rerank"
    assert ask(f"{place}/models", host=host) is None


def test_a_rerank_is_counted_by_what_its_host_reports() -> None:
    asked = call("/api/v1/rerank", {"model": "m", "query": "x"}, host="openrouter.ai")
    reading = body_of(asked, {"usage": {"search_units": 2, "total_tokens": 150, "cost": 0.002}})
    assert (asked.api.event_name, reading.state, reading.cost) == ("api_calls", "success", "0.002")
    assert (reading.usage["search_unit_count"], reading.usage["input_tokens"]) == (2, 150)
    assert not reading.flags
    tokens_only = {"usage": {"prompt_tokens": 10, "completion_tokens": 0, "total_tokens": 10}}
    assert body_of(asked, tokens_only).usage["input_tokens"] == 10
    assert ask("/v1/rerank", {"model": "m", "query": "x"}, host="unknown.test") is None


@pytest.mark.parametrize("host", ["api.voyageai.com", "api.openai.com"])
def test_a_total_is_the_input_of_what_puts_nothing_out(host: str) -> None:
    asked = call("/v1/embeddings", {"model": "m", "input": ["x"]}, host=host)
    usage = body_of(asked, {"object": "list", "usage": {"total_tokens": 10}}).usage
    assert dict(usage) == {"input_tokens": 10, "uncached_input_tokens": 10, "total_tokens": 10}
    assert not body_of(asked, {"object": "list", "usage": {}}).usage


@pytest.mark.parametrize(
    ("usage", "wanted"),
    [
        (
            {
                "cached_tokens": 3,
                "cache_creation_input_tokens": 40,
                "cache_creation": {"ephemeral_5m_input_tokens": 40},
                "cache_type": "ephemeral",
            },
            {"cache_read_tokens": 3, "cache_write_tokens": 40, "cache_write_5m_tokens": 40},
        ),
        ({"num_cached_tokens": 7}, {"cache_read_tokens": 7}),
    ],
    ids=["alibaba", "mistral"],
)
def test_every_spelling_of_a_cached_prompt_is_known(usage: Json, wanted: Json) -> None:
    details = {} if "num_cached_tokens" in usage else {"prompt_tokens_details": usage}
    beside = usage if "num_cached_tokens" in usage else {}
    told = {"prompt_tokens": 90, "completion_tokens": 2, "total_tokens": 92, **beside, **details}
    reading = body_of(call("/v1/chat/completions", {"model": "m"}), {"usage": told})
    assert not reading.flags
    assert wanted.items() <= dict(reading.usage).items()
    assert reading.usage["uncached_input_tokens"] == 90 - wanted.get(
        "cache_write_tokens", 0
    ) - wanted.get("cache_read_tokens", 0)


def test_a_llama_cpp_stream_that_was_not_asked_for_its_usage_tells_it_by_its_times() -> None:
    asked = call("/v1/chat/completions", {"model": "m", "stream": True}, host="llama.test")
    piece = {"choices": [{"delta": {"content": "Hi"}, "finish_reason": None}]}
    timings = {"prompt_n": 9, "predicted_n": 2, "cache_n": 4, "prompt_ms": 3.5}
    last = {"choices": [{"delta": {}, "finish_reason": "stop"}], "timings": timings}
    reading = stream_of(asked, piece, last)
    assert (reading.state, reading.usage["input_tokens"]) == ("success", 13)
    assert (reading.usage["output_tokens"], reading.usage["cache_read_tokens"]) == (2, 4)
    told = {**last, "usage": {"prompt_tokens": 14, "completion_tokens": 3, "total_tokens": 17}}
    assert stream_of(asked, piece, told).usage["input_tokens"] == 14
    odd = {**last, "timings": {"prompt_n": "x"}}
    assert not stream_of(asked, piece, odd).usage


@pytest.mark.parametrize(
    "host", ["M.eastus2.models.ai.azure.com", "x.eastus.inference.ml.azure.com"]
)
def test_azures_serverless_models_are_asked_for_nothing_that_they_may_refuse(host: str) -> None:
    asked = call("/v1/chat/completions", {"model": "m", "stream": True}, host=host)
    assert (asked.provider, asked.edited_body) == ("azure", None)
