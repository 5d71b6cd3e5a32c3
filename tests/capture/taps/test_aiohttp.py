"""aiohttp: however the body is read, the user gets what they would, and one event is made."""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import aiohttp
import pytest

from tests.capture import wire
from tests.capture.play import Answer, chunks_of
from tests.capture.taps.server import Server, serving
from tests.capture.taps.test_requests import watching
from tests.capture.test_openai_lifecycle import ASK, assert_usage, events_of, only
from tokenmeter import TokenMeter
from tokenmeter.capture.previewing import stopped_call

URL = "http://api.openai.com/v1/chat/completions"
CLAUDE_URL = "http://api.anthropic.com/v1/messages"
ASK_CLAUDE = {"model": "claude-sonnet-5", "max_tokens": 8, "messages": [], "stream": True}
STREAM = {**ASK, "stream": True}
SHOWN = b"".join(wire.chat_stream(usage=False).chunks)

Read = Callable[[aiohttp.ClientResponse], Awaitable[Any]]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving() as made:
        yield made


@pytest.fixture
async def session(server: Server) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(proxy=server.url) as made:
        yield made


async def _until_empty(read: Callable[[], Awaitable[Any]]) -> list[Any]:
    found: list[Any] = []
    while piece := await read():
        found.append(piece)
    return found


async def _exactly(response: aiohttp.ClientResponse) -> list[bytes]:
    found: list[bytes] = []
    while True:
        try:
            found.append(await response.content.readexactly(97))
        except asyncio.IncompleteReadError as short:
            return [*found, short.partial]


async def _lines_until_eof(response: aiohttp.ClientResponse) -> list[bytes]:
    found: list[bytes] = []
    while not response.content.at_eof():
        found.append(await response.content.readline())
    return found


async def _nowait(response: aiohttp.ClientResponse) -> list[bytes]:
    await response.content.wait_eof()
    assert response.content.is_eof()
    return [response.content.read_nowait(50), response.content.read_nowait()]


async def _once(response: aiohttp.ClientResponse) -> Any:
    return await response.content.read(), await response.content.read(), response.content.at_eof()


async def _all_of(items: Any) -> list[Any]:
    return [item async for item in items]


WAYS: dict[str, Read] = {
    "read": lambda response: response.read(),
    "text": lambda response: response.text(),
    "content.read": _once,
    "content.read(n)": lambda r: _until_empty(lambda: r.content.read(97)),
    "readany": lambda r: _until_empty(r.content.readany),
    "readline": lambda r: _until_empty(r.content.readline),
    "readuntil": lambda r: _until_empty(lambda: r.content.readuntil(b"\n\n")),
    "readexactly": _exactly,
    "at_eof": _lines_until_eof,
    "read_nowait": _nowait,
    "lines": lambda r: _all_of(r.content),
    "iter_any": lambda r: _all_of(r.content.iter_any()),
    "iter_chunked": lambda r: _all_of(r.content.iter_chunked(97)),
}
MORE_WAYS: dict[str, Read] = {
    **WAYS,
    "iter_chunks": lambda r: _all_of(r.content.iter_chunks()),
}


def packed(answer: Answer, encoding: str) -> Answer:
    """The same answer, compressed, in pieces of 10 bytes."""
    if encoding == "identity":
        return answer
    body = b"".join(answer.chunks)
    small = gzip.compress(body) if encoding == "gzip" else zlib.compress(body)
    headers = {**answer.headers, "content-encoding": encoding}
    return Answer(answer.status, headers, chunks_of(small, 10))


def joined(found: Any) -> Any:
    """What was read, without the borders that depend on how fast it came."""
    if isinstance(found, list):
        parts = [piece[0] if isinstance(piece, tuple) else piece for piece in found]
        return b"".join(parts)
    return found


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("encoding", ["identity", "gzip", "deflate"])
@pytest.mark.parametrize("with_length", [True, False], ids=["length", "chunked"])
async def test_every_way_to_read_gives_what_it_gives_without_us(
    server: Server, session: aiohttp.ClientSession, way: str, encoding: str, with_length: bool
) -> None:
    server.with_length = with_length
    server.play(packed(wire.message_stream(), encoding))
    async with session.post(CLAUDE_URL, json=ASK_CLAUDE) as response:
        expected = await WAYS[way](response)
    with watching() as meter:
        async with session.post(CLAUDE_URL, json=ASK_CLAUDE) as response:
            found = await WAYS[way](response)
            assert isinstance(response.content, aiohttp.StreamReader)
            assert response.content.total_bytes == len(b"".join(wire.message_stream().chunks))
        assert joined(found) == joined(expected)
        assert_usage(only(meter), input_tokens=10, output_tokens=7)
        assert not meter.faults


async def test_the_ends_of_http_chunks_are_kept(
    meter: TokenMeter, server: Server, session: aiohttp.ClientSession
) -> None:
    server.with_length = False
    server.play(wire.message_stream())
    async with session.post(CLAUDE_URL, json=ASK_CLAUDE) as response:
        chunks: list[bytes] = [b""]
        async for data, is_end in response.content.iter_chunks():
            chunks[-1] += data
            if is_end:
                chunks.append(b"")
    # aiohttp may report the empty last chunk too, or not, as it arrives.
    assert [chunk for chunk in chunks if chunk] == wire.message_stream().chunks
    assert_usage(only(meter), input_tokens=10, output_tokens=7)


@pytest.mark.parametrize("way", MORE_WAYS)
@pytest.mark.parametrize("encoding", ["identity", "gzip"])
async def test_usage_that_only_we_asked_for_is_taken_out(
    meter: TokenMeter, server: Server, session: aiohttp.ClientSession, way: str, encoding: str
) -> None:
    server.with_length = False
    server.play(packed(wire.chat_stream(), encoding))
    async with session.post(URL, json=STREAM) as response:
        found = joined(await MORE_WAYS[way](response))
    found = found[0] if isinstance(found, tuple) else found
    assert (found.encode() if isinstance(found, str) else found) == SHOWN
    sent = server.sent[0]
    assert json.loads(sent.body) == {**STREAM, "stream_options": {"include_usage": True}}
    assert sent.headers["accept-encoding"] == "identity"
    assert sent.headers["content-type"] == "application/json"
    assert_usage(only(meter), input_tokens=9, output_tokens=6)


@pytest.mark.parametrize("as_text", [True, False])
async def test_a_body_given_as_data_is_edited(
    meter: TokenMeter, server: Server, session: aiohttp.ClientSession, as_text: bool
) -> None:
    server.play(wire.chat_stream())
    text = json.dumps(STREAM)
    headers = {"Content-Type": "application/json", "Content-Length": str(len(text))}
    data = text if as_text else text.encode()
    async with session.post(URL, data=data, headers=headers) as response:
        assert await response.read() == SHOWN
    assert headers == {"Content-Type": "application/json", "Content-Length": str(len(text))}
    assert "stream_options" in json.loads(server.sent[0].body)
    assert_usage(only(meter), input_tokens=9, output_tokens=6)


async def test_compressed_bytes_are_never_edited(
    meter: TokenMeter, server: Server, session: aiohttp.ClientSession
) -> None:
    answer = packed(wire.chat_stream(), "gzip")
    server.play(answer)
    async with session.post(URL, json=STREAM, auto_decompress=False) as response:
        assert await response.read() == b"".join(answer.chunks)
    assert_usage(only(meter), input_tokens=9, output_tokens=6)


async def test_a_signed_body_is_sent_as_it_is(
    meter: TokenMeter, server: Server, session: aiohttp.ClientSession
) -> None:
    server.play(wire.chat_stream(usage=False))
    headers = {"x-amz-content-sha256": "0" * 64}
    async with session.post(URL, json=STREAM, headers=headers) as response:
        assert await response.read() == SHOWN
    assert json.loads(server.sent[0].body) == STREAM


async def test_json_is_captured(
    meter: TokenMeter, server: Server, session: aiohttp.ClientSession
) -> None:
    server.play(wire.chat())
    async with session.post(URL, json=ASK) as response:
        assert type(response) is aiohttp.ClientResponse
        assert (await response.json())["usage"]["total_tokens"] == 11
    event = only(meter)
    assert_usage(event, input_tokens=9, output_tokens=2)
    assert event.properties["request_model"] == "gpt-4o-mini"


async def test_base_url_params_and_default_headers_are_seen(
    meter: TokenMeter, server: Server
) -> None:
    server.play(wire.gemini_stream())
    base = "http://generativelanguage.googleapis.com/v1beta/"
    async with (
        aiohttp.ClientSession(base, proxy=server.url, headers={"x-goog-api-key": "k"}) as session,
        session.post(
            "models/gemini-2.5-flash:streamGenerateContent",
            params={"alt": "sse"},
            json={"contents": []},
        ) as response,
    ):
        await response.read()
    assert server.sent[0].url.endswith("?alt=sse")
    event = only(meter)
    assert event.properties["request_model"] == "gemini-2.5-flash"
    assert_usage(event, input_tokens=8)


async def test_other_hosts_are_passed_untouched(
    meter: TokenMeter, server: Server, session: aiohttp.ClientSession
) -> None:
    server.play(wire.chat())
    async with session.get("http://example.com/data") as response:
        assert type(response.content) is aiohttp.StreamReader
        await response.read()
    assert not events_of(meter)


async def test_a_url_that_is_none_is_aiohttps_to_refuse(
    meter: TokenMeter, session: aiohttp.ClientSession
) -> None:
    with pytest.raises(aiohttp.InvalidURL):
        await session.get("http://[bad/")
    with pytest.raises(TypeError):
        await session.get(URL, no_such_option=1)  # type: ignore[call-arg]
    assert not meter.faults


async def test_aiohttp_request_is_captured(meter: TokenMeter, server: Server) -> None:
    server.play(wire.chat())
    async with aiohttp.request("POST", URL, json=ASK, proxy=server.url) as response:
        await response.read()
    assert_usage(only(meter), input_tokens=9, output_tokens=2)


async def test_a_preview_stops_before_anything_is_sent(
    meter: TokenMeter, server: Server, session: aiohttp.ClientSession
) -> None:
    server.play(wire.chat())

    async def ask() -> Any:
        async with session.post(URL, json=ASK) as response:
            return await response.json()

    stopped = await stopped_call(ask, meter)
    assert stopped.call.request_model == "gpt-4o-mini"
    assert not server.sent
    assert not events_of(meter)
