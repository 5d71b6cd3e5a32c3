"""
What the middleware adds to a request and to a chunk, beside what others add; CPU, in one run.

    python benchmarks/gateway.py                # in process: bare, pass-through, ours, BaseHTTP
    python benchmarks/gateway.py --forwarders   # and over sockets: see gateway_forwarders.py

CPU of the whole process: journal, shipper and pricing count. Goals (issue "The AI gateway"):
at most 60 us a request and 1.5 us a chunk over the bare application; the gateway at least 85 %
of the bare forwarder's requests a second, and 5 x LiteLLM's.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from itertools import count
from pathlib import Path
from typing import Any

from starlette.middleware.base import BaseHTTPMiddleware

from tokenmeter import TokenMeter
from tokenmeter.asgi import ApiKeys, TokenMeterMiddleware

ROOT = Path(__file__).parents[1]
REQUEST_US_GOAL, CHUNK_US_GOAL = 60.0, 1.5
CHUNKS = 200
ROUNDS = 5
SHIP_S_MAX = 60.0

ASKED = json.dumps({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hi"}]})
STREAMED = json.dumps({**json.loads(ASKED), "stream": True})
# A provider gives no id twice, and says today's time.
WHOLE = json.dumps(
    {
        "id": "chatcmpl-%012d",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": "gpt-4o-mini-2024-07-18",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "x" * 600}}],
        "usage": {"prompt_tokens": 8, "completion_tokens": 150, "total_tokens": 158},
    }
).encode()
NUMBERS = count(1)
CHUNK = (
    b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1793491200,'
    b'"model":"gpt-4o-mini-2024-07-18","choices":[{"index":0,"delta":{"content":"some words"},'
    b'"finish_reason":null}],"usage":null}\n\n'
)
LAST = (
    b'data: {"id":"chatcmpl-1","choices":[],"usage":{"prompt_tokens":8,'
    b'"completion_tokens":400,"total_tokens":408}}\n\ndata: [DONE]\n\n'
)

App = Callable[[Any, Any, Any], Awaitable[None]]


async def bare(scope: Any, receive: Any, send: Any) -> None:
    """Answer a chat, whole or streamed."""
    body = (await receive())["body"]
    if b'"stream"' not in body:
        whole = WHOLE % next(NUMBERS)
        length = str(len(whole)).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", length)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": whole})
        return
    headers = [(b"content-type", b"text/event-stream")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for _ in range(CHUNKS):
        await send({"type": "http.response.body", "body": CHUNK, "more_body": True})
    await send({"type": "http.response.body", "body": LAST})


def passing_through(app: App) -> App:
    """The least that a middleware which sees every message costs."""

    async def middleware(scope: Any, receive: Any, send: Any) -> None:
        async def seen(message: Any) -> None:
            await send(message)

        await app(scope, receive, seen)

    return middleware


async def _next(request: Any, call_next: Any) -> Any:
    return await call_next(request)


async def one(app: App, body: bytes) -> None:
    """Make one request in process."""
    headers = [(b"content-type", b"application/json"), (b"authorization", b"Bearer key-of-acme")]
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/v1/chat/completions",
        "raw_path": b"/v1/chat/completions",
        "query_string": b"",
        "root_path": "",
        "headers": headers,
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }

    async def receive() -> Any:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(_message: Any) -> None:
        return None

    await app(scope, receive, send)


async def cpu_us(app: App, body: bytes, times: int, ship: Callable[[], object]) -> float:
    """Return the process's CPU per request, in us; what it left to ship is shipped in it."""
    for _ in range(20):
        await one(app, body)
    ship()
    gc.collect()
    started = time.process_time()
    for _ in range(times):
        await one(app, body)
    ship()
    return (time.process_time() - started) / times * 1e6


def in_process(times: int) -> None:
    """Print what each middleware adds to the bare application; rounds alternate."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TOKENMETER_HOME"] = folder
        meter = TokenMeter(f"sqlite:///{folder}/usage.db")
        keys = ApiKeys({"key-of-acme": "acme"})
        apps: dict[str, App] = {
            "bare": bare,
            "pass-through": passing_through(bare),
            "tokenmeter": TokenMeterMiddleware(bare, customer=keys, meter=meter),
            "BaseHTTPMiddleware": BaseHTTPMiddleware(bare, _next),
        }
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in apps}

        def ship() -> None:
            assert meter.flush(SHIP_S_MAX)

        for _ in range(ROUNDS):
            for name, app in apps.items():
                request = asyncio.run(cpu_us(app, ASKED.encode(), times, ship))
                stream = asyncio.run(cpu_us(app, STREAMED.encode(), times // 10, ship))
                found[name].append((request, stream))
        meter.shutdown(SHIP_S_MAX)
    whole = {name: statistics.median(r for r, _ in rounds) for name, rounds in found.items()}
    streams = {name: statistics.median(s for _, s in rounds) for name, rounds in found.items()}
    print(f"{'':20} {'us/request':>12} {'over bare':>10} {'us/chunk over bare':>20}")
    for name in apps:
        over = whole[name] - whole["bare"]
        chunk = (streams[name] - streams["bare"] - over) / CHUNKS
        print(f"{name:20} {whole[name]:12.1f} {over:10.1f} {chunk:20.2f}")
    ours = whole["tokenmeter"] - whole["bare"]
    chunk = (streams["tokenmeter"] - streams["bare"] - ours) / CHUNKS
    _verdict("a request", ours, REQUEST_US_GOAL, "us")
    _verdict("a chunk", chunk, CHUNK_US_GOAL, "us")
    peer = whole["BaseHTTPMiddleware"] - whole["bare"]
    print(f"of BaseHTTPMiddleware's cost a request: {ours / peer:.2f}")


def _verdict(what: str, value: float, goal: float, unit: str) -> None:
    said = "met" if value <= goal else "missed"
    print(f"{what}: {value:.2f} {unit} over the bare application (goal {goal}), {said}")


def main() -> None:
    """Read the command line and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=2_000)
    parser.add_argument("--forwarders", action="store_true")
    parser.add_argument("--seconds", type=float, default=3.0)
    options = parser.parse_args()
    in_process(options.times)
    if options.forwarders:
        from gateway_forwarders import over_sockets  # which needs the example and LiteLLM

        over_sockets(options.seconds, ASKED)


if __name__ == "__main__":
    main()
