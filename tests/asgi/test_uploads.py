"""Request bodies: in pieces, broken off, packed in every way, and read ahead for enforcement."""

from __future__ import annotations

import gzip
import importlib
import json
import tracemalloc
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from tests.asgi.driving import Answered, ask, scope_of
from tests.asgi.upstream import read_all, reply
from tokenmeter import TokenMeter
from tokenmeter.asgi import TokenMeterMiddleware
from tokenmeter.asgi.body import Body, unpacked
from tokenmeter.asgi.incoming import Message, Receive, Scope, Send
from tokenmeter.enforcement import Ask

PATH = "/v1/chat/completions"
ASKED = json.dumps({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hi"}]})
ANSWER = json.dumps({"id": "c", "model": "gpt-4o-mini", "usage": {"prompt_tokens": 8}}).encode()
MIB = 1024 * 1024


def _optional(module: str) -> Callable[[bytes], bytes]:
    try:
        found: Any = importlib.import_module(module)
    except ImportError:
        pytest.skip(f"{module} is not installed")
    compress: Callable[[bytes], bytes] = found.compress
    return compress


def brotli(data: bytes) -> bytes:
    return _optional("brotli")(data)


def zstd(data: bytes) -> bytes:
    return _optional("zstandard")(data)


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


PACKED: dict[str, tuple[Callable[[bytes], bytes], ...]] = {
    "gzip": (gzip.compress,),
    "x-gzip": (gzip.compress,),
    "GZIP": (gzip.compress,),
    "deflate": (zlib.compress,),
    " deflate ": (raw_deflate,),
    "identity": (),
    "gzip, identity": (gzip.compress,),
    "gzip, gzip": (gzip.compress, gzip.compress),
    "deflate,gzip": (zlib.compress, gzip.compress),
    "br": (brotli,),
    "zstd": (zstd,),
    "gzip, br": (gzip.compress, brotli),
}


@pytest.mark.parametrize("encoding", PACKED)
def test_a_body_is_read_however_it_is_packed(encoding: str) -> None:
    body = ASKED.encode()
    for pack in PACKED[encoding]:
        body = pack(body)
    assert unpacked(body, encoding) == ASKED.encode()


@pytest.mark.parametrize("encoding", ["gzip", "gzip, gzip", "deflate", "br", "zstd", "lzma", "x"])
def test_a_body_that_is_packed_otherwise_is_not_read(encoding: str) -> None:
    assert unpacked(b"\x00no such thing" * 9, encoding) is None


def test_nothing_hides_behind_the_end_of_a_packed_body() -> None:
    """Some servers read on where one gzip member ends, and would see another request."""
    assert unpacked(gzip.compress(ASKED.encode()) + gzip.compress(b" " * 9), "gzip") is None
    assert unpacked(gzip.compress(ASKED.encode())[:-9], "gzip") is None


def test_a_bomb_in_a_bomb_does_not_go_off() -> None:
    bomb = gzip.compress(gzip.compress(b" " * (256 * MIB)))
    tracemalloc.start()
    assert unpacked(bomb, "gzip, gzip") is None
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 80 * MIB


@pytest.mark.parametrize("coding", ["br", "zstd"])
def test_bombs_of_other_codings_do_not_go_off(coding: str) -> None:
    bomb = PACKED[coding][0](b" " * (256 * MIB))
    tracemalloc.start()
    assert unpacked(bomb, coding) is None
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 64 * MIB


def test_a_bomb_within_another_coding_is_not_opened() -> None:
    bomb = gzip.compress(zstd(b" " * (256 * MIB)))
    tracemalloc.start()
    assert unpacked(bomb, "zstd, gzip") is None
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < MIB


class Gateway:
    """An enforcing middleware: what it asked about, and what the application got."""

    def __init__(self, **options: Any) -> None:
        self.asked: list[Ask] = []
        self.got: list[bytes] = []
        self.meter = TokenMeter("memory:")
        self.app = TokenMeterMiddleware(
            self._app,
            customer=lambda _request: "acme",
            meter=self.meter,
            enforce=self.asked.append,
            **options,
        )

    async def _app(self, _scope: Scope, receive: Receive, send: Send) -> None:
        self.got.append(await read_all(receive))
        await reply(send, 200, [(b"content-type", b"application/json")], [ANSWER])

    async def ask(self, body: bytes | Sequence[bytes], *encodings: str) -> Answered:
        headers = [("content-encoding", encoding) for encoding in encodings]
        answered = await ask(self.app, scope_of("POST", PATH, headers), body)
        self.meter.shutdown()
        return answered


async def test_a_body_byte_by_byte_is_the_same_body() -> None:
    gateway = Gateway()
    await gateway.ask([bytes([byte]) for byte in ASKED.encode()])
    assert [ask.model for ask in gateway.asked] == ["gpt-4o-mini"]
    assert gateway.got == [ASKED.encode()]


@pytest.mark.parametrize(
    ("encodings", "status"),
    [
        (["gzip"], 200),
        (["gzip", "gzip"], 400),  # it is packed once
        (["gzip", "identity"], 200),
        (["identity", "gzip"], 200),
        (["identity"], 400),
        (["gzip", "x"], 400),
    ],
)
async def test_headers_that_contradict_the_body_are_no_free_ride(
    encodings: list[str], status: int
) -> None:
    gateway = Gateway()
    answered = await gateway.ask(gzip.compress(ASKED.encode()), *encodings)
    assert answered.status == status
    assert len(gateway.got) == (status == 200)


async def test_what_is_read_ahead_byte_by_byte_takes_no_more_than_its_bytes() -> None:
    parts = 200_000

    def messages() -> Iterator[Message]:
        for number in range(parts):
            yield {"type": "http.request", "body": b"xy", "more_body": number < parts - 1}

    source = messages()

    async def receive() -> Message:
        return next(source)

    body = Body(receive, MIB)
    tracemalloc.start()
    assert await body.ahead()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert body.known == b"xy" * parts
    assert peak < 3 * MIB


@pytest.mark.parametrize("parts", [0, 1, 3])
async def test_a_client_that_leaves_while_it_asks_is_not_asked_about(parts: int) -> None:
    left: list[Message] = [
        {"type": "http.request", "body": ASKED.encode()[:9], "more_body": True}
    ] * parts
    left.append({"type": "http.disconnect"})

    async def receive() -> Message:
        return left.pop(0)

    async def send(_message: Message) -> None:
        raise AssertionError("nobody is there")

    gateway = Gateway()
    await gateway.app(scope_of("POST", PATH), receive, send)
    gateway.meter.shutdown()
    assert gateway.asked == []
    assert gateway.got == []
    assert gateway.meter.backend.events == []


async def test_a_body_without_end_is_refused_at_the_limit() -> None:
    taken = 0

    async def receive() -> Message:
        nonlocal taken
        taken += 1
        return {"type": "http.request", "body": b"x" * 65_536, "more_body": True}

    statuses: list[int] = []

    async def send(message: Message) -> None:
        statuses.extend([message["status"]] if "status" in message else [])

    gateway = Gateway(body_bytes_max=MIB)
    await gateway.app(scope_of("POST", PATH), receive, send)
    gateway.meter.shutdown()
    assert statuses == [413]
    assert taken == 17
