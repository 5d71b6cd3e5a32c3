"""A provider on the loopback: plays answers chunk by chunk, as a server or as a proxy."""

from __future__ import annotations

import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.capture.play import Answer

WAIT_S = 10.0


@dataclass
class Sent:
    """A request as it arrived."""

    method: str
    url: str  # absolute where the server is used as a proxy
    headers: dict[str, str]
    body: bytes


@dataclass
class Server:
    """
    Plays its answers one after another, the last again and again.

    `hold_after`: so many chunks are sent, then it waits until `release` is called; -1 holds
    the headers back.
    """

    answers: list[Answer] = field(default_factory=list[Answer])
    sent: list[Sent] = field(default_factory=list[Sent])
    hold_after: int | None = None
    with_length: bool = False
    port: int = 0
    _released: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def play(self, *answers: Answer) -> Server:
        self.answers = list(answers)
        self.sent.clear()
        return self

    def release(self) -> None:
        self._released.set()

    def next(self, sent: Sent) -> Answer:
        self.sent.append(sent)
        return self.answers[min(len(self.sent), len(self.answers)) - 1]

    def may_go_on(self, chunks_sent: int) -> None:
        if self.hold_after is not None and chunks_sent >= self.hold_after:
            self._released.wait(WAIT_S)


class _Http(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, played: Server) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.played = played

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


@contextmanager
def serving(**options: Any) -> Generator[Server]:
    """Run a server on a port that the system chooses."""
    server = Server(**options)
    http = _Http(server)
    server.port = http.server_address[1]
    thread = threading.Thread(target=http.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        server.release()
        http.shutdown()
        http.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    @property
    def played(self) -> Server:
        assert isinstance(self.server, _Http)
        return self.server.played

    def do_POST(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        sent = Sent(self.command, self.path, headers, self._body(headers))
        answer = self.played.next(sent)
        if answer.error is not None and not answer.chunks:
            self.close_connection = True
            return
        try:
            self._answer(answer)
        except ConnectionError:
            self.close_connection = True  # the client did not want the rest

    do_GET = do_POST

    def _body(self, headers: dict[str, str]) -> bytes:
        if headers.get("transfer-encoding") != "chunked":
            return self.rfile.read(int(headers.get("content-length", 0)))
        parts: list[bytes] = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _answer(self, answer: Answer) -> None:
        played = self.played
        played.may_go_on(-1)
        self.send_response_only(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if played.with_length:
            self.send_header("content-length", str(sum(map(len, answer.chunks))))
        else:
            self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for number, chunk in enumerate(answer.chunks):
            played.may_go_on(number)
            self.wfile.write(
                chunk if played.with_length else b"%x\r\n%s\r\n" % (len(chunk), chunk)
            )
        played.may_go_on(len(answer.chunks))
        if answer.error is not None:
            self.close_connection = True
        elif not played.with_length:
            self.wfile.write(b"0\r\n\r\n")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
        """Say nothing."""
