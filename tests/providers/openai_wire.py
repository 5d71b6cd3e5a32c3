"""Hand-written OpenAI traffic: requests, bodies and streams, read as capture reads them."""

from __future__ import annotations

import json
from typing import Any

from tokenmeter.capture.reader import BodyReader, Reader
from tokenmeter.capture.sse import EventReader
from tokenmeter.providers import Call, Reading, Request
from tokenmeter.providers.openai import describe

Json = dict[str, Any]
HOST = "api.openai.com"
CHAT = "/v1/chat/completions"
RESPONSES = "/v1/responses"


def ask(path: str, body: Json | None = None, **parts: Any) -> Call | None:
    host, method = parts.get("host", HOST), parts.get("method", "POST")
    return describe(Request(method, host, path, parts.get("query", ""), {}, body or {}))


def call(path: str, body: Json | None = None, **parts: Any) -> Call:
    described = ask(path, body, **parts)
    assert described is not None
    return described


def get(path: str, **parts: Any) -> Call:
    return call(path, method="GET", **parts)


def body_of(call: Call, payload: object) -> Reading:
    """Read a whole answer, as capture does."""
    return _fed(call, BodyReader(call.api, "application/json"), json.dumps(payload).encode())


def bytes_of(call: Call, content: bytes, content_type: str) -> Reading:
    """Read an answer that is not JSON."""
    return _fed(call, BodyReader(call.api, content_type), content)


def stream_of(call: Call, *events: Json, done: bool = False) -> Reading:
    """Read a stream of these events, with ``[DONE]`` at its end or without."""
    lines = [f"data: {json.dumps(event)}\n\n" for event in events]
    lines += ["data: [DONE]\n\n"] if done else []
    return _fed(call, EventReader(call.api), "".join(lines).encode())


def _fed(call: Call, reader: Reader, content: bytes) -> Reading:
    reader.feed(content)
    reader.end()
    return call.api.settle(reader.reading, call)


def chat(usage: Any = None, **fields: Any) -> Json:
    message = {"index": 0, "message": {"content": "Hi"}, "finish_reason": "stop"}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_790_000_000,
        "model": "gpt-5-2025-08-07",
        "choices": [message],
        "usage": usage,
        **fields,
    }


def chunk(content: str | None = None, **fields: Any) -> Json:
    delta = {"index": 0, "delta": {"content": content}, "finish_reason": None}
    return {**chat(), "object": "chat.completion.chunk", "choices": [delta], **fields}


def tokens(prompt: int, completion: int, **fields: Any) -> Json:
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        **fields,
    }


def response(usage: Any = None, **fields: Any) -> Json:
    return {
        "id": "resp_0123456789abcdef0123456789",
        "object": "response",
        "created_at": 1_790_000_000,
        "model": "gpt-5-2025-08-07",
        "status": "completed",
        "background": False,
        "error": None,
        "output": [],
        "usage": usage,
        **fields,
    }


def response_tokens(prompt: int, output: int, **fields: Any) -> Json:
    return {
        "input_tokens": prompt,
        "output_tokens": output,
        "total_tokens": prompt + output,
        **fields,
    }
