"""The wire formats: answers of OpenAI, Anthropic and Google, as their references show them."""
# ruff: noqa: INP001 - beside a script, not a package

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

Exchange = dict[str, Any]

CHAT_URL = "https://api.openai.com/v1/chat/completions"
RESPONSES_URL = "https://api.openai.com/v1/responses"
IMAGES_URL = "https://api.openai.com/v1/images/generations"
MESSAGES_URL = "https://api.anthropic.com/v1/messages"
GEMINI_URL = "https://generativelanguage.googleapis.com/v1/models/{}:generateContent"
CREATED = 1_793_491_200  # 2026-11-01T00:00:00Z
GPT, GPT_SERVED = "gpt-5.4-mini", "gpt-5.4-mini-2026-03-17"
CLAUDE = "claude-sonnet-4-6"
CONVERSE_URL = (
    "https://bedrock-runtime.us-east-1.amazonaws.com/model/us.amazon.nova-2-lite-v1%3A0/converse"
)
GEMINI = "gemini-3.5-flash"
WORDS_PER_CHUNK = 3

# A red dot, 1 x 1 pixel, in place of the picture.
PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJg"
    "gg=="
)


def exchange(
    url: str,
    asked: Mapping[str, Any] | None,
    answer: object,
    *,
    status: tuple[int, str] = (200, "OK"),
    headers: Mapping[str, str] | None = None,
) -> Exchange:
    """Build one exchange; `asked` are the request's fields that a replay must repeat."""
    streamed = isinstance(answer, str)
    body = answer if streamed else json.dumps(answer, indent=2, ensure_ascii=False)
    kind = "text/event-stream; charset=utf-8" if streamed else "application/json"
    sent = {"content-type": kind, **(headers or {})}
    return {
        "request": {
            "method": "GET" if asked is None else "POST",
            "uri": url,
            "body": None if asked is None else json.dumps(asked, indent=2),
            "headers": {"content-type": ["application/json"]},
        },
        "response": {
            "status": {"code": status[0], "message": status[1]},
            "headers": {name: [value] for name, value in sent.items()},
            "body": {"string": body},
        },
    }


def chat_usage(given: int, made: int, *, cached: int = 0, reasoning: int = 0) -> dict[str, Any]:
    """Return OpenAI's usage: cached lies within the prompt, reasoning within the completion."""
    return {
        "prompt_tokens": given,
        "completion_tokens": made,
        "total_tokens": given + made,
        "prompt_tokens_details": {"cached_tokens": cached, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def chat(
    number: int, text: str, usage: Mapping[str, Any], *, model: str = GPT, served: str = GPT_SERVED
) -> dict[str, Any]:
    """Return a chat completion."""
    said: dict[str, Any] = {
        "role": "assistant",
        "content": text,
        "refusal": None,
        "annotations": [],
    }
    return exchange(
        CHAT_URL,
        {"model": model},
        {
            "id": f"chatcmpl-tokenmeter-{number:04}",
            "object": "chat.completion",
            "created": CREATED,
            "model": served,
            "choices": [{"index": 0, "message": said, "finish_reason": "stop"}],
            "usage": usage,
            "service_tier": "default",
        },
    )


def chat_tool(
    number: int, tool: str, arguments: Mapping[str, Any], usage: Mapping[str, Any]
) -> dict[str, Any]:
    """Return a chat completion that asks for a function's result."""
    made = chat(number, "", usage)
    body = json.loads(made["response"]["body"]["string"])
    call = {"name": tool, "arguments": json.dumps(arguments)}
    (choice,) = body["choices"]
    choice["finish_reason"] = "tool_calls"
    choice["message"]["content"] = None
    choice["message"]["tool_calls"] = [
        {"id": f"call_tokenmeter_{number:04}", "type": "function", "function": call}
    ]
    return exchange(CHAT_URL, {"model": GPT}, body)


def converse(text: str, given: int, made: int) -> dict[str, Any]:
    """Return an answer of Bedrock's Converse."""
    said = {"role": "assistant", "content": [{"text": text}]}
    usage = {"inputTokens": given, "outputTokens": made, "totalTokens": given + made}
    answer = {
        "output": {"message": said},
        "stopReason": "end_turn",
        "usage": usage,
        "metrics": {"latencyMs": 640},
    }
    return exchange(CONVERSE_URL, {}, answer)


def chat_stream(number: int, text: str, usage: Mapping[str, Any]) -> dict[str, Any]:
    """Return a streamed chat completion whose request asked for the usage."""
    head = {
        "id": f"chatcmpl-tokenmeter-{number:04}",
        "object": "chat.completion.chunk",
        "created": CREATED,
        "model": GPT_SERVED,
        "service_tier": "default",
    }

    def chunk(delta: Mapping[str, str], finish: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return {**head, "choices": [choice], "usage": None}

    chunks = [chunk({"role": "assistant", "content": ""})]
    chunks += [chunk({"content": part}) for part in pieces(text)]
    chunks += [chunk({}, "stop"), {**head, "choices": [], "usage": usage}]
    lines = [*(compact(c) for c in chunks), "[DONE]"]
    asked = {"model": GPT, "stream": True, "stream_options": {"include_usage": True}}
    return exchange(CHAT_URL, asked, "".join(f"data: {line}\n\n" for line in lines))


def refused(status: tuple[int, str], error: Mapping[str, Any], **headers: str) -> dict[str, Any]:
    """Return OpenAI's answer to a chat that it refuses."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return exchange(CHAT_URL, {"model": GPT}, {"error": error}, status=status, headers=sent)


def claude_usage(given: int, made: int, *, read: int = 0, written: int = 0) -> dict[str, Any]:
    """Return Anthropic's usage: the cached tokens stand beside the input tokens."""
    return {
        "input_tokens": given,
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": read,
        "cache_creation": {"ephemeral_5m_input_tokens": written, "ephemeral_1h_input_tokens": 0},
        "output_tokens": made,
        "service_tier": "standard",
    }


def message(number: int, usage: Mapping[str, Any], text: str | None = None) -> dict[str, Any]:
    """Return Anthropic's message; without a text, the one that starts a stream."""
    return {
        "id": f"msg_tokenmeter-{number:04}",
        "type": "message",
        "role": "assistant",
        "model": CLAUDE,
        "content": [] if text is None else [{"type": "text", "text": text}],
        "stop_reason": None if text is None else "end_turn",
        "stop_sequence": None,
        "usage": usage,
    }


def claude(number: int, text: str, usage: Mapping[str, Any]) -> dict[str, Any]:
    """Return a message of Anthropic's."""
    return exchange(MESSAGES_URL, {"model": CLAUDE}, message(number, usage, text))


def claude_stream(
    number: int, text: str, usage: Mapping[str, Any], *, broken_after: int | None = None
) -> dict[str, Any]:
    """Return a streamed message; `broken_after` so many pieces the provider gives up."""
    block = {"type": "content_block_start", "index": 0}
    deltas = [
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": part}}
        for part in pieces(text)
    ]
    if broken_after is None:
        end: list[dict[str, Any]] = [
            {"type": "content_block_stop", "index": 0},
            {
                "type": "message_delta",
                "delta": {"stop_reason": "end_turn", "stop_sequence": None},
                "usage": {"output_tokens": usage["output_tokens"]},
            },
            {"type": "message_stop"},
        ]
    else:
        error = {"type": "overloaded_error", "message": "Overloaded"}
        end = [{"type": "error", "error": error}]
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": message(number, {**usage, "output_tokens": 1})},
        {**block, "content_block": {"type": "text", "text": ""}},
        *deltas[:broken_after],
        *end,
    ]
    body = "".join(f"event: {e['type']}\ndata: {compact(e)}\n\n" for e in events)
    return exchange(MESSAGES_URL, {"model": CLAUDE, "stream": True}, body)


def gemini(number: int, text: str, *, given: int, made: int, thoughts: int) -> dict[str, Any]:
    """Return Gemini's answer: the thoughts stand beside the candidates."""
    part = {"content": {"parts": [{"text": text}], "role": "model"}, "finishReason": "STOP"}
    answer = {
        "candidates": [{**part, "index": 0}],
        "usageMetadata": {
            "promptTokenCount": given,
            "candidatesTokenCount": made,
            "totalTokenCount": given + made + thoughts,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": given}],
            "thoughtsTokenCount": thoughts,
        },
        "modelVersion": GEMINI,
        "responseId": f"tokenmeter-{number:04}",
    }
    return exchange(GEMINI_URL.format(GEMINI), {}, answer)


def image(*, given: int, made: int) -> dict[str, Any]:
    """Return one picture of gpt-image-1."""
    answer = {
        "created": CREATED,
        "background": "opaque",
        "data": [{"b64_json": PNG}],
        "output_format": "png",
        "quality": "medium",
        "size": "1024x1024",
        "usage": {
            "input_tokens": given,
            "input_tokens_details": {"image_tokens": 0, "text_tokens": given},
            "output_tokens": made,
            "output_tokens_details": {"image_tokens": made, "text_tokens": 0},
            "total_tokens": given + made,
        },
    }
    return exchange(IMAGES_URL, {"model": "gpt-image-1", "size": "1024x1024"}, answer)


def response(number: int, status: str, text: str | None, usage: object = None) -> dict[str, Any]:
    """Return a response of OpenAI's in some state of its life."""
    content: list[dict[str, Any]] = [{"type": "output_text", "text": text, "annotations": []}]
    said = {"type": "message", "id": f"msg_tokenmeter-{number:04}", "role": "assistant"}
    return {
        "id": f"resp_tokenmeter-{number:04}",
        "object": "response",
        "created_at": CREATED,
        "background": True,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "model": GPT_SERVED,
        "output": [] if text is None else [{**said, "status": status, "content": content}],
        "parallel_tool_calls": True,
        "service_tier": "default",
        "tool_choice": "auto",
        "tools": [],
        "usage": usage,
    }


def response_usage(given: int, made: int, *, reasoning: int) -> dict[str, Any]:
    """Return the usage of a response: reasoning lies within the output."""
    return {
        "input_tokens": given,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": made,
        "output_tokens_details": {"reasoning_tokens": reasoning},
        "total_tokens": given + made,
    }


def pieces(text: str) -> list[str]:
    """Cut a text into what a stream delivers at a time."""
    words = text.split(" ")
    cut = [words[i : i + WORDS_PER_CHUNK] for i in range(0, len(words), WORDS_PER_CHUNK)]
    return [" ".join(part) + (" " if n + 1 < len(cut) else "") for n, part in enumerate(cut)]


def compact(value: Mapping[str, Any]) -> str:
    """Write JSON as a stream carries it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
