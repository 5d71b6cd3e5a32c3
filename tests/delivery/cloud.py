"""
A loopback server that speaks Flexprice's ingest API, and misbehaves as it is told.

In a test's thread: ``with serving(behave) as cloud``. As a process of its own, which can be
killed: ``python -m tests.delivery.cloud PORT FILE MOOD``; what it took is in FILE, also if it
never said so.
"""

from __future__ import annotations

import json
import random
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal

from tokenmeter.delivery.backends.flexprice import FlexpriceBackend

KEY = "sk_test_9f2c"
POISON = "poisoned"  # a property that makes the server refuse the whole batch
EVENTS_MAX = 1_000
TOOK = 202

Trick = Literal["", "reset", "hang", "lie", "slow"]
Row = tuple[str, str, str]  # id, customer, timestamp: what Flexprice collapses copies by


@dataclass(frozen=True)
class Reply:
    status: int = TOOK
    body: Any = field(default_factory=lambda: {"message": "Events accepted for processing"})
    headers: dict[str, str] = field(default_factory=dict)
    trick: Trick = ""


@dataclass(frozen=True)
class Request:
    path: str
    headers: dict[str, str]
    body: bytes
    events: list[dict[str, Any]]
    method: str = "POST"


Behave = Callable[[Request], Reply]


class Cloud(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self, port: int, behave: Behave, log: Path | None = None) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.behave = behave
        self.requests: list[Request] = []
        self.taken: list[dict[str, Any]] = []
        self.connections = 0
        self.lock = threading.Lock()
        self.log = log.open("ab", buffering=0) if log else None
        self.stopping = threading.Event()
        self.clients: list[FlexpriceBackend] = []  # closed with the server

    @property
    def url(self) -> str:
        return f"flexprice+http://127.0.0.1:{self.server_address[1]}/v1"

    def take(self, events: list[dict[str, Any]]) -> None:
        with self.lock:
            if self.log is None:
                self.taken += events
            else:
                rows = [row_of(event) for event in events]
                self.log.write("".join(json.dumps(row) + "\n" for row in rows).encode())

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one packet per answer: two would wait for each other

    @property
    def cloud(self) -> Cloud:
        assert isinstance(self.server, Cloud)
        return self.server

    def setup(self) -> None:
        super().setup()
        self.cloud.connections += 1

    def do_GET(self) -> None:
        self.do_POST()

    def do_PUT(self) -> None:
        self.do_POST()

    def do_DELETE(self) -> None:
        self.do_POST()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        found: Any = json.loads(body) if body else {}
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.path, headers, body, found.get("events", []), self.command)
        if self.cloud.log is None:
            self.cloud.requests.append(request)
        self._give(request, self.cloud.behave(request))

    def _give(self, request: Request, reply: Reply) -> None:
        if reply.status == TOOK and reply.trick != "reset":
            self.cloud.take(request.events)
        if reply.trick == "hang":
            self.cloud.stopping.wait(30)
        if reply.trick in {"reset", "lie", "hang"}:
            self._reset()
            return
        if reply.trick == "slow":
            time.sleep(0.3)
        body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        self.send_response_only(reply.status)
        self.send_header("Date", reply.headers.get("Date", self.date_time_string()))
        for name, value in {"content-type": "application/json", **reply.headers}.items():
            if name != "Date":
                self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _reset(self) -> None:
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name
        """Nothing on standard error."""


def row_of(event: dict[str, Any]) -> Row:
    return event["event_id"], event["external_customer_id"], event["timestamp"]


def rows_in(log: Path) -> list[Row]:
    """What a killed server took; a torn last line was never answered."""
    whole = log.read_bytes().rpartition(b"\n")[0]
    return [tuple(json.loads(line)) for line in whole.splitlines()]


def error(status: int, code: str, message: str, **headers: str) -> Reply:
    return Reply(status, {"code": code, "message": message, "http_status_code": status}, headers)


def strict(request: Request) -> Reply:
    """As Flexprice does: the key, 1 to 1,000 events, required fields; one bad one fails all."""
    if request.headers.get("x-api-key") != KEY:
        return Reply(401, {"error": "Unauthorized"})
    if not 0 < len(request.events) <= EVENTS_MAX:
        return error(400, "validation_error", "between 1 and 1000 events are required")
    if any(POISON in event["properties"] for event in request.events):
        return error(400, "validation_error", "properties are poisoned")
    return Reply()


def moody(seed: int) -> Behave:
    """Misbehave at about two requests of five."""
    dice = random.Random(seed)
    moods: list[tuple[float, Reply]] = [
        (0.08, error(500, "internal_error", "boom")),
        (0.05, error(429, "too_many_requests", "slow down", **{"retry-after": "1"})),
        (0.04, error(503, "service_unavailable", "later")),
        (0.08, Reply(trick="reset")),
        (0.08, Reply(trick="lie")),
        (0.01, Reply(trick="hang")),
        (0.04, Reply(trick="slow")),
    ]

    def behave(request: Request) -> Reply:
        answer = strict(request)
        if answer.status != TOOK:
            return answer
        rolled = dice.random()
        for share, reply in moods:
            if rolled < share:
                return reply
            rolled -= share
        return answer

    return behave


@contextmanager
def serving(behave: Behave = strict) -> Generator[Cloud]:
    cloud = Cloud(0, behave)
    thread = threading.Thread(target=cloud.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield cloud
    finally:
        for client in cloud.clients:
            client.close()
        cloud.stopping.set()
        cloud.shutdown()
        thread.join()
        cloud.server_close()


if __name__ == "__main__":
    port, log, mood = int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    server = Cloud(port, strict if mood == "strict" else moody(int(mood)), log)
    print(server.server_address[1], flush=True)
    server.serve_forever()
