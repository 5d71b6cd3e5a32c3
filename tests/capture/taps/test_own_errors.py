"""What is odd about the user's request or their reading stays between them and their library."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator, Callable, Iterator
from decimal import Decimal
from typing import Any

import aiohttp
import httpx
import httpx2
import pytest
import requests
from requests.adapters import BaseAdapter

from tests.capture import wire
from tests.capture.play import Player
from tests.capture.taps import bedrock
from tests.capture.taps.server import Server, serving
from tests.capture.taps.sessions import session_of
from tests.capture.test_openai_lifecycle import ASK, assert_usage, events_of, only
from tokenmeter import TokenMeter

URL = "http://api.openai.com/v1/chat/completions"
STREAM: dict[str, Any] = {**ASK, "stream": True}
SUMS = ["x-amz-content-sha256", "content-digest", "digest", "content-md5", "signature"]
COMES = b"".join(wire.chat_stream().chunks)


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as made:
        yield made


@pytest.fixture
async def over_aiohttp(server: Server) -> AsyncIterator[aiohttp.ClientSession]:
    def dumps(value: object) -> str:
        return json.dumps(value, default=str)

    async with aiohttp.ClientSession(proxy=server.url, json_serialize=dumps) as made:
        yield made


class File(BaseAdapter):
    """An adapter of the user's own: the body is any file, without what urllib3 adds."""

    def __init__(self, raw: Any) -> None:
        super().__init__()
        self._raw = raw

    def send(self, request: Any, **options: Any) -> requests.Response:  # type: ignore[override]
        response = requests.Response()
        response.status_code, response.request, response.url = 200, request, request.url
        response.headers.update(wire.SSE)
        response.raw = self._raw
        return response

    def close(self) -> None:
        """Nothing is open."""


def opened(raw: Any) -> requests.Response:
    session = requests.Session()
    session.mount("http://", File(raw))
    body = {**STREAM, "stream_options": {"include_usage": True}}
    return session.post(URL, json=body, stream=True)


async def test_a_body_that_only_the_sessions_serializer_can_write_is_sent(
    meter: TokenMeter, server: Server, over_aiohttp: aiohttp.ClientSession
) -> None:
    server.play(wire.chat_stream())
    asked = {**STREAM, "temperature": Decimal("0.5")}
    async with over_aiohttp.post(URL, json=asked) as response:
        assert b'"usage": {' not in await response.read()
    sent = json.loads(server.sent[0].body)
    assert sent == {**STREAM, "temperature": "0.5", "stream_options": {"include_usage": True}}
    assert_usage(only(meter), input_tokens=9, output_tokens=6)


async def test_a_body_that_cannot_be_written_is_aiohttps_to_refuse(
    meter: TokenMeter, server: Server
) -> None:
    async with aiohttp.ClientSession(proxy=server.url) as session:
        with pytest.raises(TypeError, match="not JSON serializable"):
            await session.post(URL, json={**STREAM, "temperature": Decimal(1)})
    assert only(meter).properties["outcome"] == "failed"


async def test_headers_that_are_none_are_aiohttps_to_refuse(
    meter: TokenMeter, server: Server
) -> None:
    headers: Any = 7
    async with aiohttp.ClientSession(proxy=server.url) as session:
        with pytest.raises(TypeError, match="int"):
            await session.post(URL, json=ASK, headers=headers)
    assert not events_of(meter)


@pytest.mark.parametrize("name", [*SUMS, "authorization"])
async def test_nothing_is_taken_out_of_the_answer_to_a_signed_body(
    meter: TokenMeter, server: Server, name: str
) -> None:
    headers = {name: "AWS4-HMAC-SHA256 Credential=k"}
    server.play(wire.chat_stream())
    async with (
        aiohttp.ClientSession(proxy=server.url) as session,
        session.post(URL, json=STREAM, headers=headers) as answer,
    ):
        assert await answer.read() == COMES
    requested, player = session_of(wire.chat_stream("chatcmpl-r"))
    given = requested.post(URL, json=STREAM, headers=headers).content
    assert given == b"".join(wire.chat_stream("chatcmpl-r").chunks)
    for library in (httpx, httpx2):
        watched = Player([wire.chat_stream(library.__name__)])
        with watched.client(library) as client:
            assert b'"usage": {' in client.post(URL, json=STREAM, headers=headers).content
        assert json.loads(watched.sent[0].content) == STREAM
    assert json.loads(server.sent[0].body) == json.loads(player.sent[0].body) == STREAM
    assert [event.usage.output_tokens for event in events_of(meter)] == [6, 6, 6, 6]


def test_asking_a_file_for_what_it_lacks_reads_nothing(meter: TokenMeter) -> None:
    response = opened(io.BytesIO(COMES))
    assert not hasattr(response.raw, "data")
    assert not hasattr(response.raw, "stream")
    assert not events_of(meter)
    assert response.content == COMES
    assert_usage(only(meter), input_tokens=9, output_tokens=6)


WRONG: dict[str, Callable[[Any], Any]] = {
    "text": lambda raw: raw.read("many"),
    "too many": lambda raw: raw.read(1, 2, 3, 4, 5),
    "list": lambda raw: raw.read([]),
    "no buffer": lambda raw: raw.readinto(3),
    "name": lambda raw: raw.read(nonsense=1),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_reading_wrongly_raises_as_without_us_and_ends_nothing(
    meter: TokenMeter, wrong: str
) -> None:
    with pytest.raises(TypeError) as expected:
        WRONG[wrong](io.BytesIO(COMES))
    response = opened(io.BytesIO(COMES))
    with pytest.raises(TypeError) as found:
        WRONG[wrong](response.raw)
    assert str(found.value) == str(expected.value)
    assert not events_of(meter)
    assert response.content == COMES
    assert_usage(only(meter), input_tokens=9, output_tokens=6)


class Text(io.RawIOBase):
    """A file that gives text, as a careless double does."""

    def read(self, size: int = -1) -> Any:
        return "data: x\n\n"


def test_a_file_that_gives_text_gives_it() -> None:
    meter = TokenMeter("memory:")
    meter.instrument()
    response = opened(Text())
    assert response.raw.read(10) == response.raw.read(10) == "data: x\n\n"
    response.close()
    assert only(meter).properties["flags"] == "meter_fault"
    assert meter.faults
    meter.shutdown()


class Refusal(Exception):
    """An error whose answer cannot be asked."""

    @property
    def response(self) -> Any:
        raise RuntimeError("no answer")


def test_an_error_with_an_odd_answer_is_the_users() -> None:
    meter = TokenMeter("memory:")
    meter.instrument()

    def refuse(*_: Any, **__: Any) -> None:
        raise Refusal

    session, _ = session_of(wire.chat())
    session.hooks["response"].append(refuse)
    with pytest.raises(Refusal):
        session.post(URL, json=ASK)
    assert only(meter).properties["error_type"] == "Refusal"
    meter.shutdown()


class Interrupting(io.BytesIO):
    """The user presses Ctrl-C at the second read."""

    def read(self, size: int | None = -1) -> bytes:
        if self.tell():
            raise KeyboardInterrupt
        return super().read(size)


def test_an_interrupt_while_reading_is_a_cancelled_call(meter: TokenMeter) -> None:
    response = opened(Interrupting(COMES))
    with pytest.raises(KeyboardInterrupt):
        list(response.iter_content(300))
    response.close()
    found = only(meter).properties
    assert (found["outcome"], found["usage_source"]) == ("cancelled", "estimated")


def test_an_interrupt_while_sending_is_a_cancelled_call(
    meter: TokenMeter, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    session, _ = session_of(wire.chat())
    monkeypatch.setattr("tests.capture.taps.sessions.PlayingAdapter.send", interrupt)
    with pytest.raises(KeyboardInterrupt):
        session.post(URL, json=ASK)
    monkeypatch.setattr("botocore.httpsession.URLLib3Session._get_connection_manager", interrupt)
    with bedrock.client(server) as aws, pytest.raises(KeyboardInterrupt):
        aws.converse(**bedrock.ASK)
    assert [event.properties["outcome"] for event in events_of(meter)] == ["cancelled"] * 2
