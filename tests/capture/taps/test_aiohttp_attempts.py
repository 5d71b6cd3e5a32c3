"""aiohttp: redirects and retries are told apart: one event per attempt."""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator

import aiohttp
import pytest

from tests.capture import wire
from tests.capture.play import Answer
from tests.capture.taps.server import Server, serving
from tests.capture.taps.test_requests_attempts import moved
from tests.capture.test_openai_lifecycle import ASK, assert_usage, events_of, only
from tokenmeter import TokenMeter

URL = "http://api.openai.com/v1/chat/completions"


@pytest.fixture
def server() -> Generator[Server]:
    with serving() as made:
        yield made


@pytest.fixture
async def session(server: Server) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(proxy=server.url) as made:
        yield made


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
