"""Whole exchanges for the traps: a request, an answer written here, and the events of both."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tests.capture.play import Answer, Player
from tests.capture.wire import JSON, SSE
from tokenmeter import Event, TokenMeter

Json = dict[str, Any]
OPENAI = "https://api.openai.com/v1"
ASK: Json = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}


class Wire:
    """Sends a request, plays an answer to it, and returns the events."""

    def __init__(self, meter: TokenMeter) -> None:
        self._meter = meter

    def all(self, url: str, answer: Json | list[bytes], asked: Json | None = ASK) -> list[Event]:
        streamed = isinstance(answer, list)
        chunks = answer if isinstance(answer, list) else [json.dumps(answer).encode()]
        player = Player([Answer(200, dict(SSE if streamed else JSON), chunks)])
        body = {**(asked or {}), "stream": True} if streamed else asked
        with self._meter.run() as run, player.client() as client:
            client.request("GET" if asked is None else "POST", url, json=body)
        return list(run.events)

    def __call__(self, url: str, answer: Json | list[bytes], asked: Json | None = ASK) -> Json:
        (event,) = self.all(url, answer, asked)
        return dict(event.properties)

    def chat(self, usage: object, url: str = f"{OPENAI}/chat/completions", **fields: Any) -> Json:
        return self(url, chat(usage, **fields))


def chat(usage: object, **fields: Any) -> Json:
    done = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "x"}}
    return {"id": "chatcmpl-1", "model": "m-1", "choices": [done], "usage": usage, **fields}


def chat_usage(sent: int, made: int, **details: Any) -> Json:
    total = sent + made
    return {
        "prompt_tokens": sent,
        "completion_tokens": made,
        "total_tokens": total,
        **details,
    }


def message(usage: Json, **fields: Any) -> Json:
    return {"id": "msg_1", "type": "message", "model": "claude-1", "usage": usage, **fields}


def response(usage: Json, **fields: Any) -> Json:
    facts = {"object": "response", "status": "completed", "model": "m-1", "output": []}
    return {
        "id": "resp_" + "a" * 48,
        "created_at": 1_790_000_000,
        **facts,
        "usage": usage,
    } | fields


def check_says(event: Mapping[str, object], **numbers: object) -> None:
    assert {name: event.get(name) for name in numbers} == numbers


def gemini(metadata: Json, *parts: Json, **fields: Any) -> Json:
    content = {"role": "model", "parts": list(parts) or [{"text": "Hi"}]}
    one = {"content": content, "index": 0, "finishReason": "STOP"}
    named = {"modelVersion": "gemini-2.5-flash", "responseId": "r-1"}
    return {"candidates": [one], "usageMetadata": metadata, **named, **fields}
