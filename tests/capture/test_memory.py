"""What watching costs in memory and in waiting: nothing that grows, nothing that is held back."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator
from types import ModuleType
from typing import Any

import httpx
import httpx2
import openai
import pytest

from tests.capture.play import LIBRARIES
from tests.capture.wire import JSON, SSE
from tokenmeter import TokenMeter

MIB = 1024 * 1024
CHUNKS = 100_000
IMAGE_BYTES = 10 * MIB
PIECE_BYTES = 64 * 1024
HOST = "https://api.openai.com/v1"
ASKED = {"model": "gpt-4o-mini", "messages": [], "stream": True}
ASKED_FOR_USAGE = {**ASKED, "stream_options": {"include_usage": True}}

Body = Callable[[], Iterator[bytes]]


class Source:
    """A transport whose answer is made while it is read; counts what was asked of it."""

    def __init__(self, library: ModuleType, headers: dict[str, str], body: Body) -> None:
        self.taken = 0
        self._library, self._headers, self._body = library, headers, body

    def client(self) -> Any:
        return self._library.Client(transport=self._library.MockTransport(self._answer))

    def async_client(self) -> Any:
        return self._library.AsyncClient(transport=self._library.MockTransport(self._answer))

    def _answer(self, request: Any) -> Any:
        source = self

        class Stream(self._library.SyncByteStream, self._library.AsyncByteStream):  # type: ignore[name-defined,misc]
            def __iter__(self) -> Iterator[bytes]:
                for chunk in source._body():
                    source.taken += 1
                    yield chunk

            async def __aiter__(self) -> AsyncIterator[bytes]:
                for chunk in source._body():
                    source.taken += 1
                    yield chunk

        return self._library.Response(200, headers=self._headers, stream=Stream())


def _event(choices: list[Any], usage: Any) -> bytes:
    payload = {
        "id": "chatcmpl-9",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "gpt-4o-mini-2024-07-18",
        "choices": choices,
        "usage": usage,
    }
    return f"data: {json.dumps(payload)}\n\n".encode()


DELTA = _event([{"index": 0, "delta": {"content": " %d"}, "finish_reason": None}], None)


def event(number: int) -> bytes:
    """A chunk of text: other bytes each time, so that keeping them would show."""
    return DELTA % number


def long_stream(chunks: int) -> Body:
    usage = {"prompt_tokens": 9, "completion_tokens": chunks, "total_tokens": chunks + 9}

    def body() -> Iterator[bytes]:
        yield from map(event, range(chunks))
        yield _event([], usage)
        yield b"data: [DONE]\n\n"

    return body


def image(length: int) -> Body:
    def body() -> Iterator[bytes]:
        yield b'{"created": 1, "data": [{"b64_json": "'
        piece = b"QUJD" * (PIECE_BYTES // 4)
        for _ in range(length // PIECE_BYTES):
            yield piece
        yield b'"}], "usage": {"input_tokens": 12, "output_tokens": 4160, "total_tokens": 4172}}'

    return body


def peak_bytes(source: Source, path: str, asked: dict[str, Any]) -> int:
    """Read an answer, dropping its chunks, and return the most memory that took."""
    client = source.client()
    tracemalloc.start()
    try:
        with client.stream("POST", f"{HOST}/{path}", json=asked) as response:
            for _ in response.iter_raw():
                pass
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def bare_bytes(meter: TokenMeter, source: Source, path: str, asked: dict[str, Any]) -> int:
    """Return what reading takes without us."""
    meter.uninstrument()
    try:
        return peak_bytes(source, path, asked)
    finally:
        meter.instrument()


@pytest.fixture
def warm(meter: TokenMeter) -> TokenMeter:
    """A meter that has loaded what it needs: prices, the shipper, the caches."""
    for library in LIBRARIES:
        client = Source(library, SSE, long_stream(10)).client()
        client.post(f"{HOST}/chat/completions", json=ASKED)
        Source(library, JSON, image(PIECE_BYTES)).client().post(
            f"{HOST}/images/generations", json={"model": "gpt-image-1"}
        )
    assert meter.flush(30)
    meter.backend.events.clear()
    return meter


@pytest.mark.parametrize(
    ("library", "asked"), [(httpx2, ASKED), (httpx2, ASKED_FOR_USAGE), (httpx, ASKED)]
)
def test_a_stream_of_100_000_chunks_adds_less_than_a_mebibyte(
    warm: TokenMeter, library: ModuleType, asked: dict[str, Any]
) -> None:
    path = "chat/completions"
    # A short stream will do for comparison: without us nothing is kept.
    bare = bare_bytes(warm, Source(library, SSE, long_stream(1_000)), path, asked)
    watched = peak_bytes(Source(library, SSE, long_stream(CHUNKS)), path, asked)
    assert watched - bare < MIB
    warm.flush()
    assert [each.usage.output_tokens for each in warm.backend.events] == [CHUNKS]


@pytest.mark.parametrize("library", LIBRARIES)
def test_an_image_of_10_mb_adds_less_than_a_mebibyte(
    warm: TokenMeter, library: ModuleType
) -> None:
    asked = {"model": "gpt-image-1", "prompt": "a meter"}
    source = Source(library, JSON, image(IMAGE_BYTES))
    bare = bare_bytes(warm, source, "images/generations", asked)
    assert peak_bytes(source, "images/generations", asked) - bare < MIB
    warm.flush()
    (seen,) = warm.backend.events
    assert (seen.usage.output_tokens, seen.usage.image_count) == (4160, 1)


@pytest.mark.parametrize("asked", [ASKED, ASKED_FOR_USAGE], ids=["edited", "asked"])
@pytest.mark.parametrize("library", LIBRARIES)
def test_the_first_chunk_is_handed_over_before_the_second_is_asked_for(
    meter: TokenMeter, library: ModuleType, asked: dict[str, Any]
) -> None:
    source = Source(library, SSE, long_stream(5))
    with source.client().stream("POST", f"{HOST}/chat/completions", json=asked) as response:
        chunks = response.iter_raw()
        for number in range(5):
            assert next(chunks) == event(number)
            assert source.taken == number + 1


@pytest.mark.parametrize("library", LIBRARIES)
async def test_the_first_chunk_is_not_delayed_for_async_readers(
    meter: TokenMeter, library: ModuleType
) -> None:
    source = Source(library, SSE, long_stream(5))
    client = source.async_client()
    async with client.stream("POST", f"{HOST}/chat/completions", json=ASKED) as response:
        chunks = response.aiter_raw()
        for number in range(5):
            assert await anext(chunks) == event(number)
            assert source.taken == number + 1
        await chunks.aclose()


def test_the_first_piece_reaches_the_user_of_the_sdk_at_once(meter: TokenMeter) -> None:
    source = Source(httpx2, SSE, long_stream(5))
    client = openai.OpenAI(api_key="none", http_client=source.client())
    with client.chat.completions.create(model="gpt-4o-mini", messages=[], stream=True) as stream:
        first = next(iter(stream))
        assert first.choices[0].delta.content == " 0"
        assert source.taken == 1
