"""What a hostile client or upstream sends: no crash, no unbounded memory, no free ride."""

from __future__ import annotations

import gzip
import json
import tracemalloc
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from tests.asgi.driving import ask, scope_of
from tests.asgi.upstream import answering, reply
from tokenmeter import Event, TokenMeter
from tokenmeter.asgi import TokenMeterMiddleware
from tokenmeter.asgi.incoming import App, Receive, Scope, Send

MIB = 1024 * 1024
PATH = "/v1/chat/completions"
JSON = {"content-type": "application/json"}
ASKED = {"model": "gpt-4o-mini", "messages": []}
ANSWER = json.dumps(
    {"id": "chatcmpl-1", "model": "gpt-4o-mini", "choices": [], "usage": {"prompt_tokens": 8}}
).encode()


class Repeated(Sequence[bytes]):
    """A body of many equal parts, none of which is there twice."""

    def __init__(self, part: bytes, times: int) -> None:
        self._part, self._times = part, times

    def __len__(self) -> int:
        return self._times

    def __getitem__(self, index: Any) -> Any:
        return self._part

    def __iter__(self) -> Iterator[bytes]:
        return (self._part for _ in range(self._times))


async def discarding(_scope: Scope, receive: Receive, send: Send) -> None:
    """An application that reads a body without keeping it."""
    while (await receive()).get("more_body"):
        pass
    await reply(send, 200, [(b"content-type", b"application/json")], [ANSWER])


async def attacked(
    app: App, body: bytes | Sequence[bytes], *headers: tuple[str, str]
) -> tuple[Event, int]:
    """The one event of a request, and how much memory it took at the peak."""
    meter = TokenMeter("memory:")
    gateway = TokenMeterMiddleware(app, customer=lambda _r: "acme", meter=meter)
    await ask(gateway, scope_of("POST", PATH, headers), b"{}")  # what is loaded once
    meter.flush(30)
    meter.backend.events.clear()
    tracemalloc.start()
    await ask(gateway, scope_of("POST", PATH, headers), body)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    meter.shutdown()
    (event,) = meter.backend.events
    return event, peak


async def test_a_body_of_a_gigabyte_is_not_kept() -> None:
    event, peak = await attacked(discarding, Repeated(b"x" * MIB, 1024))
    assert peak < 8 * MIB
    assert event.properties["request_body"] == "unreadable"
    assert event.usage.input_tokens == 8


async def test_a_bomb_in_the_request_does_not_go_off() -> None:
    bomb = gzip.compress(b" " * (64 * MIB))
    event, peak = await attacked(discarding, bomb, ("content-encoding", "gzip"))
    assert peak < 80 * MIB
    assert event.properties["request_body"] == "unreadable"


async def test_a_compressed_request_is_read() -> None:
    packed = gzip.compress(json.dumps(ASKED).encode())
    event, _ = await attacked(discarding, packed, ("content-encoding", "gzip"))
    assert event.properties["request_model"] == "gpt-4o-mini"


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip", "no such"])
async def test_a_request_that_cannot_be_unpacked_is_unreadable(encoding: str) -> None:
    event, _ = await attacked(discarding, b"\x00garbage", ("content-encoding", encoding))
    assert event.properties["request_body"] == "unreadable"


async def test_a_bomb_in_the_answer_does_not_go_off() -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join([packer.compress(b" " * MIB) for _ in range(256)]) + packer.flush()
    headers = {**JSON, "content-encoding": "gzip"}
    event, peak = await attacked(answering(200, headers, [bomb]), json.dumps(ASKED).encode())
    assert peak < 96 * MIB  # an answer's skeleton, a few times
    assert event.properties["usage_source"] == "missing"


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":' * 100_000,
        b"[" * 1_000_000,
        b'{"model":' + b'{"a":' * 5_000 + b"1" + b"}" * 5_001,
        b'{"model":"gpt-4o-mini","stream":"yes","n":-1,"max_tokens":1e400}',
        b'{"model":null,"messages":{},"stream_options":7,"stream":true}',
        b"null",
        b"",
    ],
)
async def test_no_request_body_does_harm(body: bytes) -> None:
    event, _ = await attacked(discarding, body)
    assert event.properties["outcome"] == "success"


@pytest.mark.parametrize(
    "chunk", [b"data: " + b"x" * MIB, b"\n" * MIB, b'data: {"usage":' + b'{"a":' * 20_000]
)
async def test_events_without_an_end_are_not_kept(chunk: bytes) -> None:
    app = answering(200, {"content-type": "text/event-stream"}, Repeated(chunk, 8))
    event, peak = await attacked(app, json.dumps({**ASKED, "stream": True}).encode())
    assert peak < 40 * MIB  # what an answer's skeleton may take, twice
    assert event.properties["usage_source"] in {"missing", "estimated"}


async def test_the_answers_own_headers_cannot_be_split() -> None:
    meter = TokenMeter("memory:")
    evil = {**ASKED, "model": "gpt\r\nx-evil: 1"}
    gateway = TokenMeterMiddleware(discarding, customer=lambda _r: "a\r\nb: c", meter=meter)
    answered = await ask(gateway, scope_of("POST", PATH), json.dumps(evil).encode())
    assert not any("\r" in value or "\n" in value for value in answered.headers.values())
    meter.shutdown()
    (event,) = meter.backend.events
    assert event.external_customer_id == "unattributed"
