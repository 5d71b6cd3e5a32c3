"""An OpenAI-like server inside the process: no socket, so that only CPU is measured."""

from __future__ import annotations

import json
import random
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx2

CHUNK_BYTES = 300
INPUT_TOKENS = 1217  # odd numbers, to be found again in what each subject exports
OUTPUT_TOKENS = 389
MODEL = "gpt-4o-mini-2024-07-18"
_ID_BYTES = 12
_WORDS = ("meter", "count", "use", "pay", "token", "text", "call", "model", "price", "line")
_USAGE = {
    "prompt_tokens": INPUT_TOKENS,
    "completion_tokens": OUTPUT_TOKENS,
    "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
    "prompt_tokens_details": {"cached_tokens": 1024, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
}


class Server:
    """Answers chat completions; every answer has an id of its own, every chunk other text."""

    def __init__(self, chunks: int) -> None:
        self._count = 0
        self._answer = _answer()
        self._deltas = [_delta(number) for number in range(chunks)]
        self._last = _event([], _USAGE, 0)

    def respond(self, request: httpx2.Request) -> httpx2.Response:
        """Answer one request: a body, or a stream with the usage if it was asked for."""
        self._count += 1
        name = b"%0*d" % (_ID_BYTES, self._count)
        asked: dict[str, Any] = json.loads(request.content)
        if not asked.get("stream"):
            body = [self._answer[0] + name + self._answer[1]]
            return httpx2.Response(200, headers=_JSON, stream=_Chunks(body))
        wants_usage = (asked.get("stream_options") or {}).get("include_usage")
        pieces = [*self._deltas, self._last] if wants_usage else self._deltas
        chunks = [head + name + tail for head, tail in pieces]
        return httpx2.Response(200, headers=_SSE, stream=_Chunks([*chunks, _DONE]))


class SyncTransport(httpx2.BaseTransport):
    """The server for sync clients."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        return self._server.respond(request)


class AsyncTransport(httpx2.AsyncBaseTransport):
    """The server for async clients."""

    def __init__(self, server: Server) -> None:
        self._server = server

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        return self._server.respond(request)


class _Chunks(httpx2.SyncByteStream, httpx2.AsyncByteStream):
    def __init__(self, chunks: list[bytes]) -> None:
        self._chunks = chunks

    def __iter__(self) -> Iterator[bytes]:
        yield from self._chunks

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            yield chunk


_COMMON = {"date": "Sat, 21 Nov 2026 10:00:00 GMT", "x-request-id": "req_0", "server": "here"}
_JSON = {**_COMMON, "content-type": "application/json"}
_SSE = {**_COMMON, "content-type": "text/event-stream; charset=utf-8"}
_DONE = b"data: [DONE]\n\n"
_NAME = "N" * _ID_BYTES


def _cut(text: str) -> tuple[bytes, bytes]:
    """Cut a payload where its id goes."""
    head, _, tail = text.encode().partition(_NAME.encode())
    return head, tail


def _answer() -> tuple[bytes, bytes]:
    message = {"role": "assistant", "content": " ".join(_WORDS * 12), "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    body = {**_head("chat.completion"), "choices": [choice], "usage": _USAGE}
    return _cut(json.dumps(body, separators=(",", ":")))


def _delta(number: int) -> tuple[bytes, bytes]:
    """One chunk of text: one event of CHUNK_BYTES, filled up as OpenAI does it."""
    choice = random.Random(number)
    word = f" {choice.choice(_WORDS)}{number}"
    delta = {"index": 0, "delta": {"content": word}, "logprobs": None, "finish_reason": None}
    bare = sum(map(len, _event([delta], None, 0))) + _ID_BYTES
    return _event([delta], None, CHUNK_BYTES - bare)


def _event(choices: list[Any], usage: Any, filling: int) -> tuple[bytes, bytes]:
    body = {**_head("chat.completion.chunk"), "choices": choices, "usage": usage}
    body["obfuscation"] = "x" * filling
    return _cut(f"data: {json.dumps(body, separators=(',', ':'))}\n\n")


def _head(kind: str) -> dict[str, Any]:
    return {"id": f"c-{_NAME}", "object": kind, "created": int(time.time()), "model": MODEL}
