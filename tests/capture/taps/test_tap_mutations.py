"""Damaged recordings through requests, aiohttp and boto3: the user gets what they would get."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import aiohttp
import pytest
from hypothesis import given, settings

from tests.capture.alike import assert_sound, came_of
from tests.capture.play import Answer, Player, chunks_of
from tests.capture.taps import bedrock
from tests.capture.taps.server import Server, serving
from tests.capture.taps.sessions import playing
from tests.capture.taps.test_corpus_boto3 import OPERATIONS, call
from tests.capture.taps.test_corpus_requests import headers_of
from tests.capture.test_mutations import EXCHANGES, assert_nothing_invented, damaged
from tests.corpus import CORPUS, Exchange
from tokenmeter import Event, TokenMeter

pytestmark = pytest.mark.skipif(not EXCHANGES, reason=f"no corpus at {CORPUS}")
FOUND = tuple[Exchange, bytes, int]
BY_BOTO3 = [exchange for exchange in EXCHANGES if exchange.api in OPERATIONS] or EXCHANGES[:1]


class Both:
    """Makes a call without us and with us, and compares what the user gets."""

    def __init__(self) -> None:
        self.meter = TokenMeter("memory:")
        self.server: Server
        self.aws: Any

    def check(self, found: FOUND, make: Callable[[], Any]) -> None:
        self.compared(make, found[1])

    def compared(self, make: Callable[[], Any], body: bytes) -> list[Event]:
        """Return the events, in which nothing may stand that `body` does not say."""
        bare = came_of(lambda _: make(), None)
        self.meter.instrument()
        try:
            with self.meter.run() as run:
                assert came_of(lambda _: make(), None) == bare
        finally:
            self.meter.uninstrument()
        assert not self.meter.faults, "tokenmeter was at fault"
        assert len({e.event_id for e in run.events}) == len(run.events)
        for event in run.events:
            assert_sound(event)
            assert_nothing_invented(event, body)
        return list(run.events)


@pytest.fixture(scope="module")
def both() -> Iterator[Both]:
    made = Both()
    with serving() as made.server, bedrock.client(made.server) as made.aws:
        yield made
    made.meter.shutdown()


def answer_of(found: FOUND, least: int = 1) -> Answer:
    exchange, body, size = found
    chunks = chunks_of(body, max(size, least, len(body) // 50))
    return Answer(exchange.response["status"], exchange.response["headers"], chunks)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(damaged())
def test_damaged_recordings_through_requests(both: Both, found: FOUND) -> None:
    exchange = found[0]

    def make() -> Any:
        with (
            playing(Player([answer_of(found)])) as session,
            session.request(
                exchange.request["method"],
                exchange.url,
                headers=headers_of(exchange),
                data=exchange.request_body,
                stream=True,
            ) as response,
        ):
            return response.status_code, b"".join(response.iter_content(97))

    both.check(found, make)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(damaged())
def test_damaged_recordings_through_aiohttp(both: Both, found: FOUND) -> None:
    import asyncio

    exchange = found[0]

    async def send() -> Any:
        both.server.play(answer_of(found, 61))
        async with (
            aiohttp.ClientSession(proxy=both.server.url) as session,
            session.request(
                exchange.request["method"],
                exchange.url.replace("https://", "http://"),
                headers=headers_of(exchange),
                data=exchange.request_body or None,
            ) as response,
        ):
            return response.status, await response.read()

    both.check(found, lambda: asyncio.run(send()))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(damaged(BY_BOTO3))
def test_damaged_recordings_through_boto3(both: Both, found: FOUND) -> None:
    def make() -> Any:
        both.server.play(answer_of(found, 61))
        return call(both.aws, found[0])

    both.check(found, make)
