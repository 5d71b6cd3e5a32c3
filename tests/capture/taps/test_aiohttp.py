"""aiohttp: however the body is read, the user gets what they would, and one event is made."""

from __future__ import annotations

import asyncio
import gzip
import io
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
CHUNKED: dict[str, Read] = {"iter_chunks": lambda r: _all_of(r.content.iter_chunks())}


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
    assert chunks[:-1] == wire.message_stream().chunks
    assert_usage(only(meter), input_tokens=10, output_tokens=7)


@pytest.mark.parametrize("way", {**WAYS, **CHUNKED})
@pytest.mark.parametrize("encoding", ["identity", "gzip"])
async def test_usage_that_only_we_asked_for_is_taken_out(
    meter: TokenMeter, server: Server, session: aiohttp.ClientSession, way: str, encoding: str
) -> None:
    server.with_length = False
    server.play(packed(wire.chat_stream(), encoding))
    async with session.post(URL, json=STREAM) as response:
        found = joined(await {**WAYS, **CHUNKED}[way](response))
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


def form() -> aiohttp.FormData:
    made = aiohttp.FormData({"model": "gpt-image-1", "prompt": "a cat"})
    made.add_field("image", io.BytesIO(b"png"), filename="a.png")
    return made


def writer() -> aiohttp.MultipartWriter:
    made = aiohttp.MultipartWriter("form-data")
    made.append("gpt-image-1").set_content_disposition("form-data", name="model")
    made.append("a cat").set_content_disposition("form-data", name="prompt")
    image = made.append(b"png")
    image.set_content_disposition("form-data", name="image", filename="a.png")
    return made


def fields() -> dict[str, Any]:
    return {"model": "gpt-image-1", "prompt": "a cat", "image": io.BytesIO(b"png")}


@pytest.mark.parametrize("make", [form, writer, fields])
async def test_the_fields_of_a_form_are_read(
    meter: TokenMeter, server: Server, session: aiohttp.ClientSession, make: Any
) -> None:
    server.play(wire.image())
    async with session.post("http://api.openai.com/v1/images/edits", data=make()) as response:
        await response.read()
    event = only(meter)
    assert event.properties["request_model"] == "gpt-image-1"
    assert event.properties["image_count"] == 1
    assert b"png" in server.sent[0].body


async def test_a_payload_and_a_stream_are_sent_as_they_are(
    meter: TokenMeter, server: Server, session: aiohttp.ClientSession
) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield json.dumps(ASK).encode()

    server.play(wire.chat())
    for data in (aiohttp.JsonPayload(ASK), pieces(), io.BytesIO(json.dumps(ASK).encode())):
        async with session.post(URL, data=data) as response:
            assert (await response.json())["id"]
    assert [json.loads(sent.body) for sent in server.sent] == [ASK, ASK, ASK]
    models = [event.properties.get("request_model") for event in events_of(meter)]
    assert models == ["gpt-4o-mini", None, "gpt-4o-mini"]


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


# -- attempts ------------------------------------------------------------------------------


def moved(url: str) -> Answer:
    return Answer(307, {"location": url}, [b"moved"])


async def test_a_redirect_within_a_provider_is_one_event(
    meter: TokenMeter, server: Server, session: aiohttp.ClientSession
) -> None:
    server.play(moved(URL + "?a=1"), moved(URL + "?a=2"), wire.chat())
    async with session.post(URL, json=ASK) as response:
        await response.read()
    assert len(server.sent) == 3
    assert_usage(only(meter), input_tokens=9, output_tokens=2)


async def test_a_redirect_from_an_unknown_host_is_metered_once(
    meter: TokenMeter, server: Server, session: aiohttp.ClientSession
) -> None:
    server.play(moved(URL), wire.chat())
    async with session.post("http://proxy.example/ask", params={"a": "1"}, json=ASK) as response:
        await response.read()
    event = only(meter)
    assert_usage(event, input_tokens=9, output_tokens=2)
    assert event.properties["request_model"] == "gpt-4o-mini"


async def test_a_retry_by_hand_is_the_next_attempt(
    meter: TokenMeter, server: Server, session: aiohttp.ClientSession
) -> None:
    server.play(wire.failure(), wire.failure(500), wire.chat())
    for status in (429, 500, 200):
        async with session.post(URL, json=ASK) as response:
            assert response.status == status
            await response.read()
    events = events_of(meter)
    assert [event.properties["attempt"] for event in events] == [1, 2, 3]
    assert len({event.properties["call_id"] for event in events}) == 1


async def test_a_status_that_is_raised_for_is_kept(meter: TokenMeter, server: Server) -> None:
    server.play(wire.failure(503))
    async with aiohttp.ClientSession(proxy=server.url, raise_for_status=True) as session:
        with pytest.raises(aiohttp.ClientResponseError):
            await session.post(URL, json=ASK)
    found = only(meter).properties
    assert (found["outcome"], found["http_status"]) == ("failed", "503")


async def test_a_transport_error_is_a_failed_attempt(
    meter: TokenMeter, server: Server, session: aiohttp.ClientSession
) -> None:
    server.play(Answer(error=ConnectionError()))
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await session.post(URL, json=ASK)
    found = only(meter).properties
    assert (found["outcome"], found["error_type"]) == ("failed", "ServerDisconnectedError")


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
