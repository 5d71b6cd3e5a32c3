"""
What metering adds to a call, by kind of answer: usual answers, and the same read the long way.

    python benchmarks/answers.py

A bare httpx2 client, ours, and ours without the readers of usual answers (`Api.plain`) take
turns in one process, with the same answers from a mock transport; CPU time of the caller's
thread, the journal included, the best of several blocks. No goal: it shows what the readers save.
"""

from __future__ import annotations

import json
import os
import platform
import tempfile
import time
from typing import Any

import httpx2

from tokenmeter import TokenMeter
from tokenmeter.capture.exchange import Exchange

CALLS, ROUNDS = 100, 15
TEXT = "Who pays for this call, and how much? " * 16
GOOGLE = "https://generativelanguage.googleapis.com/v1beta/models"
CHAT = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": int(time.time()),
    "model": "gpt-4o-mini-2024-07-18",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": TEXT}}],
    "usage": {"prompt_tokens": 8, "completion_tokens": 150, "total_tokens": 158},
}
MESSAGE = {
    "id": "msg_01",
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-4-5-20250929",
    "content": [{"type": "text", "text": TEXT}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 8, "output_tokens": 150, "service_tier": "standard"},
}
RESPONSE = {
    "id": "resp_" + "0" * 40,
    "object": "response",
    "created_at": int(time.time()),
    "status": "completed",
    "model": "gpt-5-mini-2025-08-07",
    "output": [{"type": "message", "content": [{"type": "output_text", "text": TEXT}]}],
    "usage": {"input_tokens": 8, "output_tokens": 150, "total_tokens": 158},
}
GENERATED = {
    "candidates": [{"content": {"parts": [{"text": TEXT}]}, "finishReason": "STOP", "index": 0}],
    "usageMetadata": {"promptTokenCount": 8, "candidatesTokenCount": 150, "totalTokenCount": 158},
    "modelVersion": "gemini-2.5-flash",
    "responseId": "abc",
}
EMBEDDED = {
    "object": "list",
    "data": [{"object": "embedding", "index": 0, "embedding": [0.0123456] * 1536}],
    "model": "text-embedding-3-small",
    "usage": {"prompt_tokens": 8, "total_tokens": 8},
}
KINDS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "chat completion": ("https://api.openai.com/v1/chat/completions", {"model": "gpt-4o"}, CHAT),
    "message": ("https://api.anthropic.com/v1/messages", {"model": "claude-sonnet-4-5"}, MESSAGE),
    "response": ("https://api.openai.com/v1/responses", {"model": "gpt-5-mini"}, RESPONSE),
    "generateContent": (f"{GOOGLE}/gemini-2.5-flash:generateContent", {"contents": []}, GENERATED),
    "embeddings": (
        "https://api.openai.com/v1/embeddings",
        {"model": "text-embedding-3-small"},
        EMBEDDED,
    ),
}


def client(answer: dict[str, Any]) -> httpx2.Client:
    """Return a client whose server always gives this answer."""
    body, headers = json.dumps(answer).encode(), {"content-type": "application/json"}
    transport = httpx2.MockTransport(
        lambda _r: httpx2.Response(200, content=body, headers=headers)
    )
    return httpx2.Client(transport=transport)


def cpu_us(of: httpx2.Client, url: str, fields: dict[str, Any]) -> float:
    """The CPU time of one call, in microseconds."""
    began = time.thread_time()
    for _ in range(CALLS):
        of.post(url, json=fields)
    return (time.thread_time() - began) / CALLS * 1e6


def measure(meter: TokenMeter, kind: str) -> tuple[float, float, float]:
    """Return the bare call, and what the usual and the long way add to it."""
    url, fields, answer = KINDS[kind]
    asked = {**fields, "input": TEXT}
    bare, ours = client(answer), meter.wrap(client(answer))
    usual = Exchange._plain
    best = [float("inf")] * 3
    for _ in range(ROUNDS):
        best[0] = min(best[0], cpu_us(bare, url, asked))
        best[1] = min(best[1], cpu_us(ours, url, asked))
        Exchange._plain = lambda *_: False  # type: ignore[method-assign]
        best[2] = min(best[2], cpu_us(ours, url, asked))
        Exchange._plain = usual  # type: ignore[method-assign]
        meter.flush(30)
    return best[0], best[1] - best[0], best[2] - best[0]


def main() -> None:
    """Print the table."""
    load = os.getloadavg()[0]
    print(f"{platform.machine()}, Python {platform.python_version()}, load {load:.1f}")
    print(f"{'CPU us a call':18}{'bare':>8}{'usual':>8}{'long way':>10}{'usual / long':>14}")
    with tempfile.TemporaryDirectory() as folder:
        meter = TokenMeter("memory:", state_dir=folder)
        for kind in KINDS:
            bare, usual, long = measure(meter, kind)
            print(f"{kind:18}{bare:8.1f}{usual:+8.1f}{long:+10.1f}{usual / long:14.2f}")
        meter.shutdown()


if __name__ == "__main__":
    main()
