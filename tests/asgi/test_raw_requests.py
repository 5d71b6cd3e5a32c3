"""Bytes that no HTTP client would send, to a real server: what is answered is metered, once."""

from __future__ import annotations

import importlib.util
import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import uvicorn

from tests.server.running import PromptServer, listening_socket
from tokenmeter import TokenMeter
from tokenmeter.asgi import ApiKeys, TokenMeterMiddleware
from tokenmeter.asgi.incoming import Receive, Scope, Send
from tokenmeter.enforcement import Ask

ASKED = b'{"model":"gpt-4o-mini","messages":[]}'
ANSWER = json.dumps(
    {"id": "c", "model": "gpt-4o-mini", "choices": [], "usage": {"prompt_tokens": 8}}
).encode()
HEAD = b"host: gateway\r\nauthorization: Bearer k\r\ncontent-type: application/json\r\n"
LENGTH = b"content-length: %d\r\n" % len(ASKED)
CHUNKED = b"transfer-encoding: chunked\r\n"
PARTS = b"%x\r\n%s\r\n" % (len(ASKED), ASKED)
PATH = b"/v1/chat/completions"
WAIT_S = 20.0
QUIET_S = 1.0  # of a server that was sent nonsense

WHOLE = HEAD + LENGTH + b"\r\n" + ASKED
LINE = b"POST " + PATH + b" HTTP/1.1\r\n"
# name -> bytes, and how many answers a server has to give; 0: it may refuse them
SENT: dict[str, tuple[bytes, int]] = {
    "plain": (LINE + WHOLE, 1),
    "chunked": (LINE + HEAD + CHUNKED + b"\r\n" + PARTS + b"0\r\n\r\n", 1),
    "byte by byte": (
        LINE
        + HEAD
        + CHUNKED
        + b"\r\n"
        + b"".join(b"1\r\n%c\r\n" % byte for byte in ASKED)
        + b"0\r\n\r\n",
        1,
    ),
    "trailers": (
        LINE
        + HEAD
        + CHUNKED
        + b"\r\n"
        + PARTS
        + b"0\r\nx-tokenmeter-preview: true\r\nauthorization: Bearer other\r\n\r\n",
        1,
    ),
    "expects 100": (LINE + b"expect: 100-continue\r\n" + WHOLE, 1),
    "HTTP/1.0": (b"POST " + PATH + b" HTTP/1.0\r\n" + WHOLE, 1),
    "absolute": (b"POST http://elsewhere" + PATH + b" HTTP/1.1\r\n" + WHOLE, 1),
    "encoded": (b"POST /v1/chat%2Fcompletions HTTP/1.1\r\n" + WHOLE, 1),
    "encoded query": (b"POST " + PATH + b"%3Fa=b HTTP/1.1\r\n" + WHOLE, 1),
    "doubled": (b"POST //v1//chat/./completions HTTP/1.1\r\n" + WHOLE, 1),
    "small letters": (b"post " + PATH + b" HTTP/1.1\r\n" + WHOLE, 0),
    "two lengths": (LINE + LENGTH + WHOLE, 0),
    "other lengths": (LINE + b"content-length: 2\r\n" + WHOLE, 0),
    "length and chunks": (LINE + HEAD + LENGTH + CHUNKED + b"\r\n" + PARTS + b"0\r\n\r\n", 0),
    "odd encoding": (
        LINE + HEAD + b"transfer-encoding: xchunked\r\n\r\n" + PARTS + b"0\r\n\r\n",
        0,
    ),
    "folded": (LINE + b"x-customer:\r\n other\r\n" + WHOLE, 0),
    "space before colon": (LINE + b"authorization : Bearer other\r\n" + WHOLE, 0),
    "bare return": (LINE + b"x-a: b\rauthorization: Bearer other\r\n" + WHOLE, 0),
    "no end": (LINE + HEAD + CHUNKED + b"\r\nffffffff\r\n" + ASKED, 0),
    "cut off": (LINE + HEAD + b"content-length: 500\r\n\r\n" + ASKED, 0),
    "pipelined": ((LINE + WHOLE) * 3, 3),
}


@dataclass
class Served:
    """A server, what reached its application, and what was asked about."""

    port: int
    meter: TokenMeter
    reached: list[str] = field(default_factory=list[str])
    asked: list[Ask] = field(default_factory=list[Ask])

    def send(self, data: bytes, answers: int) -> bytes:
        """Send, and read until there are so many answers, or the server says no more."""
        answer = b""
        with socket.create_connection(("127.0.0.1", self.port), WAIT_S) as connection:
            connection.settimeout(WAIT_S if answers else QUIET_S)
            connection.sendall(data)
            try:
                while answer.count(ANSWER) < (answers or 9) and (part := connection.recv(65_536)):
                    answer += part
            except TimeoutError:
                pass
        return answer


def _kinds() -> list[str]:
    return ["h11"] + (["httptools"] if importlib.util.find_spec("httptools") else [])


@pytest.fixture(params=_kinds())
def served(request: pytest.FixtureRequest) -> Iterator[Served]:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            if not message.get("more_body"):
                break
        made.reached.append(scope["path"])
        length = str(len(ANSWER)).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", length)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": ANSWER})

    with listening_socket() as listening:
        made = Served(listening.getsockname()[1], TokenMeter("memory:"))
        gateway = TokenMeterMiddleware(
            app,
            customer=ApiKeys({"k": "acme", "other": "globex"}),
            anonymous=False,
            meter=made.meter,
            enforce=made.asked.append,
        )
        config: Any = uvicorn.Config(
            gateway, http=request.param, lifespan="off", log_level="critical"
        )
        server = PromptServer(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        deadline = time.monotonic() + 10
        while not server.started:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        yield made
        server.should_exit = True
        thread.join(10)
    made.meter.shutdown()


@pytest.mark.parametrize("name", SENT)
def test_what_is_answered_is_asked_about_and_metered(served: Served, name: str) -> None:
    sent, answers = SENT[name]
    answer = served.send(sent, answers)
    served.meter.flush(30)
    events = served.meter.backend.events
    assert answer.count(ANSWER) == len(events) == len(served.reached) == len(served.asked)
    assert len(events) == answers or answers == 0
    assert {event.external_customer_id for event in events} <= {"acme"}
    assert served.send(LINE + WHOLE, 1).endswith(ANSWER)  # it goes on serving


@pytest.mark.parametrize("method", [b"HEAD", b"OPTIONS"])
def test_a_head_or_options_is_no_call(served: Served, method: bytes) -> None:
    served.send(method + b" " + PATH + b" HTTP/1.1\r\n" + HEAD + b"\r\n", 0)
    served.meter.flush(30)
    assert served.reached == [PATH.decode()]
    assert served.meter.backend.events == []
    assert served.asked == []
