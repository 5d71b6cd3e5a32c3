"""Hand-written Anthropic traffic: requests, bodies and streams, read as capture reads them."""

from __future__ import annotations

import json
from typing import Any

from tokenmeter.capture.reader import BodyReader
from tokenmeter.capture.sse import EventReader
from tokenmeter.providers import Call, Reading, Request
from tokenmeter.providers.anthropic import describe

Json = dict[str, Any]
HOST = "api.anthropic.com"


def request(path: str = "/v1/messages", method: str = "POST", **body: Any) -> Request:
    return Request(method, HOST, path, body={"model": "claude-sonnet-5", **body})


def call(path: str = "/v1/messages", method: str = "POST", **body: Any) -> Call:
    described = describe(request(path, method, **body))
    assert described is not None
    return described


def message(usage: Any = None, **fields: Any) -> Json:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-5",
        "content": [{"type": "text", "text": "Hi"}],
        "stop_reason": "end_turn",
        "usage": usage,
        **fields,
    }


def tokens(uncached: int, output: int, read: int = 0, write: int = 0, **more: Any) -> Json:
    return {
        "input_tokens": uncached,
        "output_tokens": output,
        "cache_read_input_tokens": read,
        "cache_creation_input_tokens": write,
        **more,
    }


def lifetimes(five_minutes: int, one_hour: int) -> Json:
    return {
        "ephemeral_5m_input_tokens": five_minutes,
        "ephemeral_1h_input_tokens": one_hour,
    }


def start(usage: Json, **fields: Any) -> Json:
    begun = message(usage, content=[], stop_reason=None, **fields)
    return {"type": "message_start", "message": begun}


def delta(usage: Json, stop_reason: str | None = "end_turn", **fields: Any) -> Json:
    return {
        "type": "message_delta",
        "delta": {"stop_reason": stop_reason, **fields},
        "usage": usage,
    }


def says(text: str) -> Json:
    return {
        "type": "content_block_delta",
        "index": 0,
        "delta": {"type": "text_delta", "text": text},
    }


STOP: Json = {"type": "message_stop"}
OVERLOADED: Json = {"type": "error", "error": {"type": "overloaded_error", "message": "secret"}}


def read_body(body: Any, asked: Call | None = None) -> Reading:
    """Read one JSON body, settled."""
    asked = asked or call()
    reader = BodyReader(asked.api, "application/json")
    reader.feed(json.dumps(body).encode())
    reader.end()
    return asked.api.settle(reader.reading, asked)


def read_lines(lines: list[Any], asked: Call) -> Reading:
    """Read JSON lines in small chunks, settled."""
    reader = BodyReader(asked.api, "application/x-jsonl")
    body = "".join(json.dumps(line) + "\n" for line in lines).encode()
    for at in range(0, len(body), 1000):
        reader.feed(body[at : at + 1000])
    reader.end()
    return asked.api.settle(reader.reading, asked)


def read_stream(*events: Any, asked: Call | None = None) -> Reading:
    """Read server-sent events, settled."""
    asked = asked or call(stream=True)
    reader = EventReader(asked.api)
    for event in events:
        name = event.get("type", "x") if isinstance(event, dict) else "x"
        reader.feed(f"event: {name}\ndata: {json.dumps(event)}\n\n".encode())
    reader.end()
    return asked.api.settle(reader.reading, asked)
