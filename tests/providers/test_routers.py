"""Hosts that are known by their names alone, Voyage's embeddings, and Hugging Face's hosts."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.providers.exchanges import ASK, chat, chat_usage
from tests.providers.media import Step, described, played

ROUTER = "https://router.huggingface.co"
OSS = "openai/gpt-oss-120b"


@pytest.mark.parametrize(
    ("url", "model", "provider"),
    [
        ("https://api.moonshot.ai/v1/chat/completions", "kimi-k2.6", "moonshot"),
        ("https://api.moonshot.cn/v1/chat/completions", "kimi-k2.6", "moonshot"),
        (
            "https://api.novita.ai/v3/openai/chat/completions",
            "deepseek/deepseek-r1",
            "api.novita.ai",
        ),
        ("https://inference.baseten.co/v1/chat/completions", OSS, "baseten"),
        ("https://api.githubcopilot.com/chat/completions", "claude-opus-5", "github-copilot"),
        ("https://api.doubleword.ai/v1/chat/completions", "Qwen/Qwen3.5-9B", "doubleword"),
        (
            "https://oai.endpoints.kepler.ai.cloud.ovh.net/v1/chat/completions",
            "Qwen3-32B",
            "ovhcloud",
        ),
    ],
)
def test_the_models_of_a_host_whose_prices_are_listed_have_prices(
    url: str, model: str, provider: str
) -> None:
    answer = chat(chat_usage(9_000, 2_000), model=model)
    found = played(Step("POST", url, answer, {**ASK, "model": model})).event.properties
    assert (found["provider"], found["cost_source"]) == (provider, "computed")


def test_deepinfra_says_what_it_charges() -> None:
    url = "https://api.deepinfra.com/v1/openai/chat/completions"
    answer = chat(chat_usage(9, 2, estimated_cost=0.0000012))
    found = played(Step("POST", url, answer, ASK)).event.properties
    assert (found["provider"], found["cost_source"]) == ("deepinfra", "reported")
    assert found["cost_usd"] == "0.0000012"
    assert "flags" not in found


@pytest.mark.parametrize("host", ["api.voyageai.com", "ai.mongodb.com"])
@pytest.mark.parametrize(
    "place", ["embeddings", "multimodalembeddings", "contextualizedembeddings"]
)
def test_voyages_embeddings_are_metered_whatever_they_are_of(host: str, place: str) -> None:
    answer = {"object": "list", "model": "voyage-3.5", "usage": {"total_tokens": 14}}
    asked = {"model": "voyage-3.5", "inputs": []}
    found = played(Step("POST", f"https://{host}/v1/{place}", answer, asked)).event
    assert (found.event_name, found.properties["provider"]) == ("embedding_created", "voyage")
    assert (found.usage.input_tokens, found.properties["cost_source"]) == (14, "computed")


def test_the_tokens_of_voyages_pictures_are_within_its_total() -> None:
    url = "https://api.voyageai.com/v1/multimodalembeddings"
    usage = {"text_tokens": 5, "image_pixels": 560_000, "video_pixels": 0, "total_tokens": 1_005}
    asked = {"model": "voyage-multimodal-3.5", "inputs": []}
    answer = {"object": "list", "model": "voyage-multimodal-3.5", "usage": usage}
    event = played(Step("POST", url, answer, asked)).event
    assert (event.usage.input_tokens, event.usage.input_text_tokens) == (1_005, 5)
    assert "flags" not in event.properties


def test_what_else_voyage_serves_is_not_metered() -> None:
    assert described("POST", "https://api.voyageai.com/v1/files", {"purpose": "batch"}) is None


@pytest.mark.parametrize(
    ("path", "headers", "host"),
    [
        ("/v1/chat/completions", (("x-inference-provider", "cerebras"),), "cerebras"),
        ("/groq/openai/v1/chat/completions", (), "groq"),
        ("/cerebras/v1/chat/completions", (("x-inference-provider", "groq"),), "groq"),
    ],
)
def test_hugging_face_bills_the_price_of_the_host_that_answered(
    path: str, headers: tuple[tuple[str, str], ...], host: str
) -> None:
    answer = chat(chat_usage(9_000, 2_000), model="served-as")
    step = Step("POST", ROUTER + path, answer, {**ASK, "model": OSS}, headers=dict(headers))
    found = played(step).event.properties
    assert (found["inference_provider"], found["cost_source"]) == (host, "computed")


def test_a_stream_that_hugging_face_hands_on_tells_its_host() -> None:
    piece: dict[str, Any] = {"id": "c", "model": OSS, "choices": [{"delta": {"content": "x"}}]}
    ended = {**piece, "choices": [], "usage": chat_usage(9, 2)}
    stream = "".join(f"data: {part}\n\n" for part in map(json.dumps, (piece, ended)))
    asked = {**ASK, "model": OSS, "stream": True}
    headers = {"x-inference-provider": "nscale"}
    url = f"{ROUTER}/v1/chat/completions"
    event = played(Step("POST", url, stream, asked, headers=headers)).event
    assert (event.properties["inference_provider"], event.usage.input_tokens) == ("nscale", 9)


def test_an_endpoint_of_ones_own_at_hugging_face_has_no_such_host() -> None:
    url = "https://abc.us-east-1.aws.endpoints.huggingface.cloud/v1/chat/completions"
    found = played(Step("POST", url, chat(chat_usage(9, 2)), ASK)).event.properties
    assert found["provider"] == "huggingface"
    assert "inference_provider" not in found
    assert described("POST", f"{ROUTER}/v1/models") is None


def test_the_tokens_of_a_sound_are_no_contradiction() -> None:
    url = "https://api.mistral.ai/v1/audio/transcriptions"
    usage = {"prompt_audio_seconds": 20, "prompt_tokens": 4, "completion_tokens": 60}
    answer = {"model": "voxtral-mini", "text": "x", "usage": {**usage, "total_tokens": 320}}
    event = played(Step("POST", url, answer, {"model": "voxtral-mini"})).event
    assert (event.usage.audio_seconds, event.usage.total_tokens) == (20, 320)
    assert "flags" not in event.properties
