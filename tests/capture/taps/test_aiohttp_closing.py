"""However a streamed aiohttp answer ends, its exchange closes exactly once."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import aiohttp
import pytest

from tests.capture import wire
from tests.capture.play import Answer
from tests.capture.taps.server import Server, serving
from tests.capture.test_closing import assert_cancelled_once
from tests.capture.test_openai_lifecycle import ASK, assert_usage, events_of, only
from tokenmeter import Policy, TokenMeter

URL = "http://api.openai.com/v1/chat/completions"
STREAM = {**ASK, "stream": True, "stream_options": {"include_usage": True}}  # never edited


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as made:
        yield made


@pytest.fixture
async def session(server: Server) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(proxy=server.url) as made:
        yield made


def held(server: Server, *answers: Answer) -> None:
    """The server sends two chunks and waits."""
    server.hold_after = 2
    server.play(*(answers or (wire.chat_stream(),)))


async def first_event(response: aiohttp.ClientResponse) -> None:
    assert (await response.content.readuntil(b"\n\n")).startswith(b"data: {")


ENDS: dict[str, Callable[[aiohttp.ClientResponse], Any]] = {
    "close": lambda response: response.close(),
    "release": lambda response: response.release(),
    "twice": lambda response: [end(response) for end in (ENDS["close"], ENDS["release"])],
}


@pytest.mark.parametrize("how", ENDS)
async def test_ending_early_makes_one_event(
    meter: TokenMeter, server: Server, session: aiohttp.ClientSession, how: str
) -> None:
    held(server)
    response = await session.post(URL, json=STREAM)
    await first_event(response)
    ENDS[how](response)
    assert_cancelled_once(meter)
    with pytest.raises(aiohttp.ClientConnectionError, match="Connection closed"):
        await response.content.read()
    assert len(events_of(meter)) == 1


async def test_leaving_the_context_makes_one_event(
    meter: TokenMeter, server: Server, session: aiohttp.ClientSession
) -> None:
    held(server)
    async with session.post(URL, json=STREAM) as response:
        await first_event(response)
    assert_cancelled_once(meter)


async def test_a_dropped_response_makes_one_event(
    meter: TokenMeter, server: Server, session: aiohttp.ClientSession
) -> None:
    server.play(wire.chat_stream())
    response = await session.post(URL, json=STREAM)
    await first_event(response)
    await response.content.wait_eof()
    del response
    gc.collect()
    assert_cancelled_once(meter)


async def test_the_event_is_there_when_the_user_has_read_the_end(
    meter: TokenMeter, server: Server, session: aiohttp.ClientSession
) -> None:
    server.play(wire.chat())
    async with session.post(URL, json=ASK) as response:
        await response.content.wait_eof()
        while not response.content.at_eof():
            await response.content.readany()
        assert_usage(only(meter), input_tokens=9, output_tokens=2)
    assert len(events_of(meter)) == 1


async def test_an_answer_that_nobody_reads_is_seen_if_it_has_arrived(
    meter: TokenMeter, server: Server, session: aiohttp.ClientSession
) -> None:
    server.play(wire.chat())
    async with session.post(URL, json=ASK) as response:
        await response.content.wait_eof()
    assert_usage(only(meter), input_tokens=9, output_tokens=2)


async def test_a_cancelled_task_closes_its_stream_once(
    meter: TokenMeter, server: Server, session: aiohttp.ClientSession
) -> None:
    held(server)
    started = asyncio.Event()

    async def read() -> None:
        async with session.post(URL, json=STREAM) as response:
            await first_event(response)
            started.set()
            await response.read()

    task = asyncio.create_task(read())
    await asyncio.wait_for(started.wait(), 5)
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert_cancelled_once(meter)


async def test_a_read_that_timed_out_may_be_repeated(
    meter: TokenMeter, server: Server, session: aiohttp.ClientSession
) -> None:
    held(server)
    async with session.post(URL, json=STREAM) as response:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await response.content.readuntil(b"[DONE]")
        assert not events_of(meter)
        server.release()
        await response.content.read()
    assert_usage(only(meter), input_tokens=9, output_tokens=6)


async def test_a_task_cancelled_before_the_answer_is_recorded(
    meter: TokenMeter, server: Server, session: aiohttp.ClientSession
) -> None:
    server.hold_after = -1
    server.play(wire.chat())
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await session.post(URL, json=ASK)
    found = only(meter).properties
    assert (found["outcome"], found["usage_source"]) == ("cancelled", "missing")


async def test_an_error_in_mid_stream_is_a_failed_attempt(
    meter: TokenMeter, server: Server, session: aiohttp.ClientSession
) -> None:
    answer = wire.chat_stream()
    answer.chunks, answer.error = answer.chunks[:2], ConnectionError()
    server.play(answer)
    async with session.post(URL, json=STREAM) as response:
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()
    found = only(meter).properties
    assert (found["outcome"], found["error_type"]) == ("failed", "ClientPayloadError")


async def test_two_tasks_cannot_read_at_once_and_the_first_goes_on(
    meter: TokenMeter, server: Server, session: aiohttp.ClientSession
) -> None:
    held(server)
    async with session.post(URL, json=STREAM) as response:
        await first_event(response)
        reading = asyncio.create_task(response.content.read())
        await asyncio.sleep(0.02)
        with pytest.raises(RuntimeError, match="another coroutine"):
            await response.content.readany()
        server.release()
        assert (await reading).endswith(b"[DONE]\n\n")
    assert_usage(only(meter), input_tokens=9, output_tokens=6)


async def test_an_answer_without_a_body_is_closed_at_once(
    meter: TokenMeter, server: Server, session: aiohttp.ClientSession
) -> None:
    server.with_length = True
    server.play(Answer(500, {}, []))
    response = await session.post(URL, json=ASK)
    assert only(meter).properties["http_status"] == "500"
    assert await response.read() == b""


@pytest.fixture
def draining() -> Iterator[TokenMeter]:
    meter = TokenMeter("memory:", policy=Policy(on_abort="drain"))
    meter.instrument()
    yield meter
    meter.shutdown()
    assert not meter.faults


@pytest.mark.parametrize("body", [STREAM, {**ASK, "stream": True}], ids=["plain", "edited"])
@pytest.mark.parametrize("how", ENDS)
async def test_drain_policy_reads_on(
    draining: TokenMeter, server: Server, session: aiohttp.ClientSession, body: Any, how: str
) -> None:
    held(server)
    response = await session.post(URL, json=body)
    await first_event(response)
    ENDS[how](response)
    del response
    gc.collect()
    assert not events_of(draining)
    server.release()
    found = (await _one(draining)).properties
    assert (found["outcome"], found["usage_source"]) == ("cancelled", "reported")
    assert (found["input_tokens"], found["output_tokens"]) == (9, 6)


async def test_a_drained_connection_is_used_again(
    draining: TokenMeter, server: Server, session: aiohttp.ClientSession
) -> None:
    server.play(wire.chat_stream())
    async with session.post(URL, json=STREAM) as response:
        await first_event(response)
    await _one(draining)
    await asyncio.sleep(0)
    connector = session.connector
    assert connector is not None
    assert not connector._acquired


async def test_a_session_closed_while_it_drains_leaves_an_estimate(
    draining: TokenMeter, server: Server
) -> None:
    held(server)
    async with aiohttp.ClientSession(proxy=server.url) as session:
        async with session.post(URL, json=STREAM) as response:
            await first_event(response)
        await asyncio.sleep(0)
    found = (await _one(draining)).properties
    assert (found["outcome"], found["usage_source"]) == ("cancelled", "estimated")


async def _one(meter: TokenMeter) -> Any:
    for _ in range(500):
        if events_of(meter):
            return only(meter)
        await asyncio.sleep(0.01)
    raise AssertionError("no event")
