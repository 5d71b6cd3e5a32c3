"""Small answers in the providers' wire formats, made up here."""

from __future__ import annotations

import json
from typing import Any

from tests.capture.play import Answer

SSE = {"content-type": "text/event-stream"}
JSON = {"content-type": "application/json"}
WORDS = ("Meters", " count", " what", " was", " used", ".")


def sse(*payloads: Any, done: bool = False) -> list[bytes]:
    chunks = [f"data: {json.dumps(payload)}\n\n".encode() for payload in payloads]
    return [*chunks, b"data: [DONE]\n\n"] if done else chunks


def named_sse(*payloads: dict[str, Any]) -> list[bytes]:
    return [
        f"event: {payload['type']}\ndata: {json.dumps(payload)}\n\n".encode()
        for payload in payloads
    ]


def chat(response_id: str = "chatcmpl-1", model: str = "gpt-4o-mini-2024-07-18") -> Answer:
    body = {
        "id": response_id,
        "object": "chat.completion",
        "created": 1,
        "model": model,
        "choices": [
            {
                "index": 0,
                "finish_reason": "stop",
                "message": {"role": "assistant", "content": "Hi"},
            }
        ],
        "usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11},
    }
    return Answer(200, dict(JSON), [json.dumps(body).encode()])


def chat_stream(response_id: str = "chatcmpl-2", *, usage: bool = True) -> Answer:
    """A chat stream as a server that was asked for usage sends it."""

    def chunk(choices: list[Any], reported: Any = None) -> dict[str, Any]:
        return {
            "id": response_id,
            "object": "chat.completion.chunk",
            "created": 1,
            "model": "gpt-4o-mini-2024-07-18",
            "choices": choices,
            "usage": reported,
        }

    deltas = [chunk([{"index": 0, "delta": {"content": word}}]) for word in WORDS]
    end = chunk([{"index": 0, "delta": {}, "finish_reason": "stop"}])
    totals = {"prompt_tokens": 9, "completion_tokens": 6, "total_tokens": 15}
    last = [chunk([], totals)] if usage else []
    return Answer(200, dict(SSE), sse(*deltas, end, *last, done=True))


def failure(status: int = 429) -> Answer:
    body = {"error": {"message": "slow down", "type": "rate_limit_error", "code": "rate_limited"}}
    headers = {**JSON, "retry-after-ms": "1", "retry-after": "0"}
    return Answer(status, headers, [json.dumps(body).encode()])


def message(response_id: str = "msg_1") -> Answer:
    body = {
        "id": response_id,
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-5-20260514",
        "content": [{"type": "text", "text": "Hi"}],
        "stop_reason": "end_turn",
        "usage": {
            "input_tokens": 10,
            "cache_read_input_tokens": 90,
            "cache_creation_input_tokens": 0,
            "output_tokens": 5,
        },
    }
    return Answer(200, dict(JSON), [json.dumps(body).encode()])


def message_stream(response_id: str = "msg_2") -> Answer:
    start = {
        "type": "message_start",
        "message": {
            "id": response_id,
            "type": "message",
            "role": "assistant",
            "model": "claude-sonnet-5-20260514",
            "content": [],
            "stop_reason": None,
            "usage": {"input_tokens": 10, "output_tokens": 1},
        },
    }
    block = {
        "type": "content_block_start",
        "index": 0,
        "content_block": {"type": "text", "text": ""},
    }
    deltas = [
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word}}
        for word in WORDS
    ]
    stop = {"type": "content_block_stop", "index": 0}
    delta = {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn", "stop_sequence": None},
        "usage": {"output_tokens": 7},
    }
    events = named_sse(start, block, *deltas, stop, delta, {"type": "message_stop"})
    return Answer(200, dict(SSE), events)


def gemini(response_id: str = "g-1") -> Answer:
    return Answer(200, dict(JSON), [json.dumps(_gemini_chunk(response_id, "Hi", 3)).encode()])


def gemini_stream(response_id: str = "g-2") -> Answer:
    chunks = [_gemini_chunk(response_id, word, n + 1) for n, word in enumerate(WORDS)]
    chunks[-1]["candidates"][0]["finishReason"] = "STOP"
    return Answer(200, dict(SSE), sse(*chunks))


def _gemini_chunk(response_id: str, text: str, tokens: int) -> dict[str, Any]:
    return {
        "candidates": [{"content": {"role": "model", "parts": [{"text": text}]}, "index": 0}],
        "usageMetadata": {
            "promptTokenCount": 8,
            "candidatesTokenCount": tokens,
            "thoughtsTokenCount": 4,
            "totalTokenCount": 12 + tokens,
        },
        "modelVersion": "gemini-2.5-flash",
        "responseId": response_id,
    }


def response(response_id: str = "resp_1", status: str = "completed") -> dict[str, Any]:
    done = status == "completed"
    return {
        "id": response_id,
        "object": "response",
        "created_at": 1,
        "status": status,
        "background": False,
        "error": None,
        "model": "gpt-5-mini-2025-08-07",
        "output": [],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": {
            "input_tokens": 20,
            "input_tokens_details": {"cached_tokens": 4},
            "output_tokens": 8,
            "output_tokens_details": {"reasoning_tokens": 3},
            "total_tokens": 28,
        }
        if done
        else None,
    }


def response_answer(response_id: str = "resp_1", status: str = "completed") -> Answer:
    return Answer(200, dict(JSON), [json.dumps(response(response_id, status)).encode()])


def response_stream(response_id: str = "resp_2") -> Answer:
    events = named_sse(
        {
            "type": "response.created",
            "sequence_number": 0,
            "response": response(response_id, "in_progress"),
        },
        {
            "type": "response.output_item.added",
            "sequence_number": 1,
            "output_index": 0,
            "item": {
                "id": "msg",
                "type": "message",
                "role": "assistant",
                "status": "in_progress",
                "content": [],
            },
        },
        {
            "type": "response.content_part.added",
            "sequence_number": 2,
            "item_id": "msg",
            "output_index": 0,
            "content_index": 0,
            "part": {"type": "output_text", "text": "", "annotations": [], "logprobs": []},
        },
        *(
            {
                "type": "response.output_text.delta",
                "sequence_number": n + 3,
                "item_id": "msg",
                "output_index": 0,
                "content_index": 0,
                "logprobs": [],
                "delta": word,
            }
            for n, word in enumerate(WORDS)
        ),
        {
            "type": "response.output_item.done",
            "sequence_number": 90,
            "output_index": 0,
            "item": {
                "id": "msg",
                "type": "message",
                "role": "assistant",
                "status": "completed",
                "content": [
                    {
                        "type": "output_text",
                        "text": "".join(WORDS),
                        "annotations": [],
                        "logprobs": [],
                    }
                ],
            },
        },
        {"type": "response.completed", "sequence_number": 99, "response": response(response_id)},
    )
    return Answer(200, dict(SSE), events)


def image() -> Answer:
    body = {
        "created": 1,
        "size": "1024x1024",
        "quality": "high",
        "output_format": "png",
        "data": [{"b64_json": "iVBORw0KGgo="}],
        "usage": {
            "input_tokens": 12,
            "input_tokens_details": {"text_tokens": 12, "image_tokens": 0},
            "output_tokens": 4160,
            "total_tokens": 4172,
        },
    }
    return Answer(200, dict(JSON), [json.dumps(body).encode()])
