"""A loopback provider: chat completions, plain or streamed, a little slow, ids of their own."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

DELAY_S_MAX = 0.008  # so that a kill meets calls under way
USAGE = {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15}
MODEL = "gpt-4o-mini"


class Provider(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[str] = []  # what each request said that it is
        self.dice = random.Random(3)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1/chat/completions"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def do_POST(self) -> None:
        provider = self.server
        assert isinstance(provider, Provider)
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        provider.asked.append(asked["user"])
        time.sleep(provider.dice.uniform(0, DELAY_S_MAX))
        if asked.get("stream"):
            self._stream(asked["user"], provider)
        else:
            self._give("application/json", json.dumps(answer(asked["user"])).encode())

    def _stream(self, name: str, provider: Provider) -> None:
        chunk = {**answer(name), "object": "chat.completion.chunk", "usage": None}
        words = [{**chunk, "choices": [{"index": 0, "delta": {"content": "x"}}]}] * 3
        end = {**chunk, "choices": [], "usage": USAGE}
        parts = [f"data: {json.dumps(each)}\n\n" for each in (*words, end)] + ["data: [DONE]\n\n"]
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("content-length", str(sum(map(len, parts))))
        self.end_headers()
        for part in parts:
            self.wfile.write(part.encode())
            self.wfile.flush()
            time.sleep(provider.dice.uniform(0, DELAY_S_MAX / 4))

    def _give(self, kind: str, body: bytes) -> None:
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name
        """Nothing on standard error."""


def answer(name: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{name}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": MODEL,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "x"}}],
        "usage": USAGE,
    }


@contextmanager
def providing() -> Generator[Provider]:
    provider = Provider()
    thread = threading.Thread(target=provider.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield provider
    finally:
        provider.shutdown()
        thread.join()
        provider.server_close()
