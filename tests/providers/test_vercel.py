"""Vercel's gateway in the AI SDK's own form: both specifications of its usage, and its charge."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.providers.exchanges import Json
from tests.providers.media import Step, described, played
from tokenmeter.event import Event
from tokenmeter.providers.vercel import delta_text

GATEWAY = "https://ai-gateway.vercel.sh/v3/ai"
CHARGED = {"gateway": {"cost": "0.0000672", "generationId": "gen_1"}}
NAMED = {"id": "gen_1", "modelId": "openai/gpt-5", "timestamp": "2026-11-29T10:00:00Z"}
FLAT = {"inputTokens": 40, "outputTokens": 46, "totalTokens": 86, "reasoningTokens": 42}
NESTED = {
    "inputTokens": {"total": 40, "noCache": 30, "cacheRead": 8, "cacheWrite": 2},
    "outputTokens": {"total": 46, "text": 4, "reasoning": 42},
    "raw": {"prompt_tokens": 40},
}


def headers(kind: str = "language", *, streamed: bool = False) -> dict[str, str]:
    told = {"ai-language-model-streaming": str(streamed).lower()}
    return {f"ai-{kind}-model-id": "openai/gpt-5", **told}


def one(answer: Any, kind: str = "language", *, streamed: bool = False) -> Event:
    told = headers(kind, streamed=streamed)
    step = Step("POST", f"{GATEWAY}/{kind}-model", answer, {"prompt": []}, headers=told)
    return played(step).event


def parts(*told: Json) -> str:
    return "".join(f"data: {json.dumps(part)}\n\n" for part in told)


@pytest.mark.parametrize(("usage", "cached"), [(FLAT, None), (NESTED, 8)])
def test_a_whole_answer_is_read_in_either_specification(usage: Json, cached: int | None) -> None:
    answer = {"content": [], "finishReason": "stop", "usage": usage, "response": NAMED}
    event = one({**answer, "providerMetadata": CHARGED})
    found = event.properties
    assert (found["provider"], found["model"]) == ("vercel-gateway", "openai/gpt-5")
    assert (event.usage.input_tokens, event.usage.output_tokens) == (40, 46)
    assert (event.usage.reasoning_tokens, event.usage.cache_read_tokens) == (42, cached)
    assert (found["cost_source"], found["cost_usd"]) == ("reported", "0.0000672")
    assert "flags" not in found


@pytest.mark.parametrize("usage", [FLAT, NESTED])
def test_a_stream_is_read_to_its_finish(usage: Json) -> None:
    text = {"type": "text-delta", "id": "0", "delta": '"usage": {"inputTokens": 7}'}
    last = {"type": "finish", "finishReason": "stop", "usage": usage}
    told = parts(
        {"type": "stream-start", "warnings": []},
        {"type": "response-metadata", **NAMED},
        text,
        {**last, "providerMetadata": CHARGED},
    )
    event = one(told, streamed=True)
    assert (event.usage.input_tokens, event.properties["model"]) == (40, "openai/gpt-5")
    assert (event.properties["streamed"], event.properties["outcome"]) == ("true", "success")
    assert event.properties["reported_cost_usd"] == "0.0000672"


def test_an_error_in_a_stream_is_a_failure() -> None:
    failed = {"type": "error", "error": {"type": "rate_limit_exceeded", "message": "x"}}
    found = one(parts({"type": "stream-start"}, failed), streamed=True).properties
    assert (found["outcome"], found["error_type"]) == ("failed", "rate_limit_exceeded")


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ({"type": "text-delta", "id": "0", "delta": "a"}, "a"),
        ({"type": "reasoning-delta", "delta": "r"}, "r"),
        ({"type": "tool-input-delta", "delta": "{"}, "{"),
        ({"type": "text-end", "delta": "a"}, ""),
        ({"type": "text-delta", "delta": 7}, ""),
        ({"type": 7}, ""),
    ],
)
def test_the_text_of_a_part_is_its_delta(part: Json, said: str) -> None:
    assert delta_text(part) == said


def test_embeddings_and_images_are_read() -> None:
    embedded = one({"embeddings": [[0.1]], "usage": {"tokens": 5}}, "embedding")
    assert (embedded.event_name, embedded.usage.input_tokens) == ("embedding_created", 5)
    drawn = one({"images": ["aGk=", "aGk="], "providerMetadata": CHARGED}, "image")
    assert (drawn.event_name, drawn.usage.image_count) == ("image_generated", 2)
    assert drawn.properties["usage_source"] == "estimated"
    counted = one({"images": ["aGk="], "usage": FLAT}, "image")
    assert (counted.usage.image_count, counted.usage.output_tokens) == (1, 46)
    assert one({"error": {"type": "x"}}, "image").properties["outcome"] == "failed"


@pytest.mark.parametrize(("method", "path"), [("GET", "language-model"), ("POST", "config")])
def test_what_asks_no_model_is_not_metered(method: str, path: str) -> None:
    assert described(method, f"{GATEWAY}/{path}") is None
