"""A fault of ours in any tap: counted, flagged on the event, and never the user's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import aiohttp
import pytest

from tests.capture import wire
from tests.capture.alike import ASK, STREAM
from tests.capture.play import Player
from tests.capture.taps import bedrock
from tests.capture.taps.server import Server, serving
from tests.capture.taps.sessions import session_of
from tests.capture.test_openai_lifecycle import events_of, only
from tokenmeter import TokenMeter
from tokenmeter.capture.exchange import Exchange

URL = "http://api.openai.com/v1/chat/completions"
PLAIN = wire.chat().chunks[0]
COMES = b"".join(wire.chat_stream(usage=False).chunks)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving() as made:
        yield made


@pytest.fixture
def faulty() -> Iterator[TokenMeter]:
    made = TokenMeter("memory:")
    made.instrument()
    yield made
    made.shutdown()


def by_requests(_server: Server, *, stream: bool) -> bytes:
    session, _ = session_of(wire.chat_stream(usage=False) if stream else wire.chat())
    with session.post(URL, json=STREAM if stream else ASK, stream=stream) as response:
        return response.content


def by_aiohttp(server: Server, *, stream: bool) -> bytes:
    async def send() -> bytes:
        server.play(wire.chat_stream(usage=False) if stream else wire.chat())
        async with (
            aiohttp.ClientSession(proxy=server.url) as session,
            session.post(URL, json=STREAM if stream else ASK) as response,
        ):
            return await response.read()

    return asyncio.run(send())


def by_httpx(_server: Server, *, stream: bool) -> bytes:
    player = Player([wire.chat_stream(usage=False) if stream else wire.chat()])
    with player.client() as client:
        content: bytes = client.post(URL, json=STREAM if stream else ASK).content
    return content


BY: dict[str, Callable[..., bytes]] = {
    "requests": by_requests,
    "aiohttp": by_aiohttp,
    "httpx2": by_httpx,
}


class Fault(Exception):
    """One of ours."""


def broken(*_: Any, **__: Any) -> Any:
    raise Fault


@pytest.mark.parametrize("by", BY)
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_an_answer_that_we_cannot_begin_to_read_is_handed_on(
    faulty: TokenMeter, server: Server, monkeypatch: pytest.MonkeyPatch, by: str, stream: bool
) -> None:
    monkeypatch.setattr(Exchange, "response", broken)
    monkeypatch.setattr(Exchange, "answered", broken)
    assert BY[by](server, stream=stream) == (COMES if stream else PLAIN)
    assert faulty.faults
    assert "meter_fault" in str(only(faulty).properties.get("flags"))


@pytest.mark.parametrize("by", BY)
def test_a_request_that_we_cannot_describe_is_sent(
    faulty: TokenMeter, server: Server, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    monkeypatch.setattr("tokenmeter.capture.opening.parse_body", broken)
    monkeypatch.setattr("tokenmeter.capture.opening.Exchange", broken)
    assert BY[by](server, stream=False) == PLAIN
    assert faulty.faults
    assert not events_of(faulty)


def test_boto3_is_handed_its_answer_whatever_breaks(
    faulty: TokenMeter, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Exchange, "response", broken)
    with bedrock.client(server) as aws:
        server.play(bedrock.converse())
        assert aws.converse(**bedrock.ASK)["usage"] == bedrock.USAGE
        server.play(bedrock.converse_stream())
        assert len(list(aws.converse_stream(**bedrock.ASK)["stream"])) == len(wire.WORDS) + 3
    assert faulty.faults
    assert [e.properties["flags"] for e in events_of(faulty)] == ["meter_fault"] * 2


@pytest.mark.parametrize("by", ["requests", "aiohttp"])
def test_an_edit_that_fails_leaves_the_users_request(
    faulty: TokenMeter, server: Server, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    module = f"tokenmeter.capture.taps.{by}"
    if by == "requests":
        monkeypatch.setattr(f"{module}.edited_bytes", broken)
    else:
        monkeypatch.setattr("aiohttp.ClientSession._prepare_headers", _once(broken))
    edited = {**ASK, "stream": True}
    session, player = session_of(wire.chat_stream(usage=False))
    if by == "requests":
        assert session.post(URL, json=edited).content == COMES
        assert b"stream_options" not in player.sent[0].body
    else:
        server.play(wire.chat_stream(usage=False))

        async def send() -> bytes:
            async with (
                aiohttp.ClientSession(proxy=server.url) as made,
                made.post(URL, json=edited) as response,
            ):
                return await response.read()

        assert asyncio.run(send()) == COMES
        assert b"stream_options" not in server.sent[0].body
    assert faulty.faults == 1
    assert only(faulty).properties["usage_source"] == "missing"


def _once(fail: Callable[..., Any]) -> Callable[..., Any]:
    """Let the second call fail: the first reads the headers, the second edits them."""
    real = aiohttp.ClientSession._prepare_headers
    calls: list[int] = []

    def prepare(session: Any, headers: Any) -> Any:
        calls.append(1)
        return fail() if len(calls) == 2 else real(session, headers)

    return prepare
