"""lm15, on which DSPy is built: it speaks HTTP by itself, and every attempt of it is an event."""

from __future__ import annotations

import asyncio
import gc
import json
import sys
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from tests.capture import wire
from tests.capture.play import Answer, Player
from tests.capture.taps import transports
from tests.capture.taps.test_libraries import AGAIN, assert_whose, attempts
from tests.capture.test_closing import assert_cancelled_once, wait_for_one
from tests.capture.test_openai_lifecycle import ASK, assert_usage, events_of, only
from tokenmeter import Policy, TokenMeter
from tokenmeter.capture.previewing import stopped_call
from tokenmeter.capture.refusal import Refusal

URL = "https://api.openai.com/v1/chat/completions"
STREAM = {**ASK, "stream": True}
Read = Callable[..., Awaitable[tuple[int, bytes]]]


@pytest.fixture(autouse=True, params=["lm15.transports", "dspy._vendor.lm15.transports"])
def package(request: pytest.FixtureRequest) -> Iterator[str]:
    """The package is imported already, by the one name or by the other."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, request.param, transports)
        yield request.param


@pytest.fixture
def meter(package: str) -> Iterator[TokenMeter]:  # once the package is there
    assert package in sys.modules
    yield from instrumented()


def instrumented(**options: Any) -> Iterator[TokenMeter]:
    made = TokenMeter("memory:", **options)
    made.instrument()
    yield made
    made.shutdown()
    assert not made.faults


def asked(body: Any) -> transports.TransportRequest:
    headers = [("Content-Type", "application/json"), ("Accept-Encoding", "gzip")]
    return transports.TransportRequest("POST", URL, headers, json.dumps(body).encode())


async def at_once(player: Player, body: Any, stop_at: int | None = None) -> tuple[int, bytes]:
    found: list[bytes] = []
    with transports.StdlibTransport(player).stream(asked(body)) as response:
        for chunk in response:
            found.append(chunk)
            if len(found) == stop_at:
                break
    return response.status, b"".join(found)


async def awaited(player: Player, body: Any, stop_at: int | None = None) -> tuple[int, bytes]:
    found: list[bytes] = []
    async with transports.StdlibAsyncTransport(player).stream(asked(body)) as response:
        async for chunk in response:
            found.append(chunk)
            if len(found) == stop_at:
                break
    return response.status, b"".join(found)


both = pytest.mark.parametrize("read", [at_once, awaited])


@both
async def test_each_attempt_is_an_event(meter: TokenMeter, read: Read) -> None:
    player = Player([wire.failure(), wire.chat()])
    with meter.attribute(customer="acme"):
        assert (await read(player, ASK))[0] == 429
        assert await read(player, ASK) == (200, wire.chat().chunks[0])
    assert attempts(events_of(meter)) == AGAIN
    assert_whose(events_of(meter))
    assert player.closed == 2


@both
async def test_a_stream_is_asked_for_its_usage_which_the_reader_does_not_see(
    meter: TokenMeter, read: Read
) -> None:
    player = Player([wire.chat_stream()])
    _, found = await read(player, STREAM)
    sent = player.sent[0]
    assert json.loads(sent.body)["stream_options"] == {"include_usage": True}
    assert sent.headers == [("Content-Type", "application/json")]
    assert b'"choices": []' not in found
    assert found.endswith(b"data: [DONE]\n\n")
    assert_usage(only(meter), input_tokens=9, output_tokens=6)


@both
async def test_a_stream_left_early_makes_one_event(meter: TokenMeter, read: Read) -> None:
    player = Player([wire.chat_stream()])
    await read(player, STREAM, stop_at=2)
    gc.collect()
    assert_cancelled_once(meter)
    assert player.closed == 1


@both
async def test_a_stream_that_breaks_off_is_a_failed_attempt(meter: TokenMeter, read: Read) -> None:
    answer = wire.chat_stream()
    answer.chunks, answer.error = answer.chunks[:3], ConnectionError("gone")
    with pytest.raises(ConnectionError, match="gone"):
        await read(Player([answer]), STREAM)
    found = only(meter).properties
    assert (found["outcome"], found["error_type"]) == ("failed", "ConnectionError")


@both
async def test_a_call_that_is_never_answered_is_a_failed_attempt(
    meter: TokenMeter, read: Read
) -> None:
    with pytest.raises(ConnectionError):
        await read(Player([Answer(error=ConnectionError("refused"))]), ASK)
    assert only(meter).properties["outcome"] == "failed"


@both
async def test_drain_policy_reads_on_and_then_gives_the_connection_back(read: Read) -> None:
    for meter in instrumented(policy=Policy(on_abort="drain")):
        player = Player([wire.chat_stream()])
        await read(player, STREAM, stop_at=2)
        await asyncio.sleep(0.02)
        found = wait_for_one(meter).properties
        assert (found["outcome"], found["output_tokens"]) == ("cancelled", 6)
        assert player.closed == 1


@both
async def test_a_call_that_is_refused_is_answered_and_not_sent(
    meter: TokenMeter, read: Read
) -> None:
    player = Player([wire.chat()])
    with meter.attribute(customer="acme", enforce=lambda _ask: Refusal(429, "Slowly.", 7)):
        status, body = await read(player, ASK)
    assert (status, json.loads(body)["error"]["message"]) == (429, "Slowly.")
    assert not player.sent
    assert not events_of(meter)


async def test_a_response_that_is_awaited_is_metered(meter: TokenMeter) -> None:
    transport = transports.StdlibAsyncTransport(Player([wire.chat()]))
    response = await transport.stream(asked(ASK))
    assert b"".join([chunk async for chunk in response]) == wire.chat().chunks[0]
    assert_usage(only(meter), input_tokens=9, output_tokens=2)


def test_a_response_that_is_dropped_unread_makes_one_event(meter: TokenMeter) -> None:
    transports.StdlibTransport(Player([wire.chat_stream()])).stream(asked(STREAM))
    gc.collect()
    assert only(meter).properties["outcome"] == "cancelled"


def test_a_preview_stops_before_anything_is_sent(meter: TokenMeter) -> None:
    player = Player([wire.chat()])
    transport = transports.StdlibTransport(player)
    stopped = stopped_call(lambda: transport.stream(asked(ASK)), meter)
    assert stopped.call.provider == "openai"
    assert not player.sent


async def test_what_no_provider_answers_passes_untouched(meter: TokenMeter) -> None:
    player = Player([wire.chat()])
    request = transports.TransportRequest("GET", "https://pypi.org/simple")
    with transports.StdlibTransport(player).stream(request) as response:
        assert b"".join(response) == wire.chat().chunks[0]
    async with transports.StdlibAsyncTransport(player).stream(request) as later:
        assert later.status == 200
    assert all(sent is request for sent in player.sent)
    assert not events_of(meter)


async def test_after_the_shutdown_nothing_is_left_of_the_tap() -> None:
    before = transports.StdlibTransport.stream, transports.StdlibAsyncTransport.stream
    for _ in instrumented():
        assert transports.StdlibTransport.stream is not before[0]
    assert (transports.StdlibTransport.stream, transports.StdlibAsyncTransport.stream) == before
    await awaited(Player([wire.chat()]), ASK)
