"""A payload without its request is recognised by the marks of its format."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.capture import wire
from tests.capture.play import Answer
from tests.corpus import CORPUS, load
from tokenmeter.capture.reader import fold_parsed
from tokenmeter.providers.base import Reading
from tokenmeter.providers.shapes import recognise


def body_of(answer: Answer) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(b"".join(answer.chunks))
    return body


def event_of(answer: Answer, index: int) -> dict[str, Any]:
    line = next(x for x in answer.chunks[index].splitlines() if x.startswith(b"data:"))
    event: dict[str, Any] = json.loads(line[5:])
    return event


EMBEDDINGS = {"object": "list", "data": [{"object": "embedding"}], "model": "e-3", "usage": {}}
KNOWN: dict[str, tuple[dict[str, Any], str, str, str | None]] = {
    "chat": (body_of(wire.chat()), "openai", "chat.completions", "gpt-4o-mini-2024-07-18"),
    "chat chunk": (
        event_of(wire.chat_stream(), 0),
        "openai",
        "chat.completions",
        "gpt-4o-mini-2024-07-18",
    ),
    "legacy": ({"object": "text_completion", "choices": []}, "openai", "completions", None),
    "response": (wire.response(), "openai", "responses", "gpt-5-mini-2025-08-07"),
    "response event": (event_of(wire.response_stream(), -1), "openai", "responses", None),
    "embeddings": (EMBEDDINGS, "openai", "embeddings", "e-3"),
    "images": (body_of(wire.image()), "openai", "images.generations", "dall-e-2"),
    "image by URL": ({"data": [{"url": "https://x"}]}, "openai", "images.generations", "dall-e-2"),
    "message": (body_of(wire.message()), "anthropic", "messages", "claude-sonnet-5-20260514"),
    "message start": (event_of(wire.message_stream(), 0), "anthropic", "messages", None),
    "message delta": (event_of(wire.message_stream(), -2), "anthropic", "messages", None),
    "gemini": (body_of(wire.gemini()), "google", "generateContent", "gemini-2.5-flash"),
    "gemini chunk": (event_of(wire.gemini_stream(), 0), "google", "generateContent", None),
    "gemini without a model": ({"usageMetadata": {}}, "google", "generateContent", None),
}


@pytest.mark.parametrize(("payload", "provider", "operation", "model"), KNOWN.values(), ids=KNOWN)
def test_each_format_is_recognised(
    payload: dict[str, Any], provider: str, operation: str, model: str | None
) -> None:
    call = recognise(payload)
    assert call is not None
    assert (call.provider, call.api.operation) == (provider, operation)
    assert model is None or call.request_model == model
    assert call.edited_body is None


@pytest.mark.parametrize(
    "payload",
    [
        *({}, {"a": 1}, {"object": "list", "data": []}, {"data": [1]}, {"data": [{}]}),
        *({"object": ["chat.completion"]}, {"object": None}, {"type": "message"}, {"type": 5}),
        *({"type": "text", "usage": {}}, {"usage": {"input_tokens": 5}}, {"data": {"url": "x"}}),
    ],
)
def test_what_bears_no_marks_is_not_guessed(payload: dict[str, Any]) -> None:
    assert recognise(payload) is None


@pytest.mark.parametrize("model", [5, None, "", "../..", "a/b:generateContent?x", "é", ["m"]])
def test_a_strange_model_does_not_hide_the_format(model: Any) -> None:
    for payload in (
        {**body_of(wire.chat()), "model": model},
        {**body_of(wire.message()), "model": model},
        {**body_of(wire.gemini()), "modelVersion": model},
    ):
        assert recognise(payload) is not None


@pytest.mark.skipif(not CORPUS.is_dir(), reason=f"no corpus at {CORPUS}")
@pytest.mark.parametrize(
    ("folder", "apis"),
    [
        ("openai", {"chat.completions", "responses", "embeddings", "completions"}),
        ("anthropic", {"messages"}),
        ("gemini", {"generateContent"}),
    ],
)
def test_recorded_answers_yield_their_usage_without_their_request(
    folder: str, apis: set[str]
) -> None:
    seen = 0
    for exchange in load(folder):
        plain = not exchange.expected["streamed"] and exchange.response["status"] == 200
        if exchange.api not in apis or not plain or not exchange.expected["usage_reported"]:
            continue
        payload = json.loads(exchange.body)
        call = recognise(payload)
        assert call is not None, exchange.id
        usage = call.api.settle(fold_parsed(call.api, Reading(), payload), call).usage
        for metric in ("input_tokens", "output_tokens", "cache_read_tokens"):
            if metric in exchange.metrics():
                assert usage.get(metric, 0) == exchange.metrics()[metric], exchange.id
        seen += 1
    assert seen
