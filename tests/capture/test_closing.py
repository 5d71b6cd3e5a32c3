"""However a stream ends, it closes exactly once."""

from __future__ import annotations

import asyncio
import gc
import threading
from dataclasses import replace
from typing import Any

import httpx2
import openai
import pytest

from tests.capture import wire
from tests.capture.play import LIBRARIES, Answer, Player
from tests.capture.test_openai_lifecycle import ASK, events_of, only
from tokenmeter import Event, Policy, TokenMeter

URL = "https://api.openai.com/v1/chat/completions"


def stream_of(answer: Answer) -> tuple[Any, Player]:
    player = Player([answer])
    client = openai.OpenAI(api_key="k", http_client=player.client(), max_retries=0)
    return client.chat.completions.create(**ASK, stream=True), player


def assert_cancelled_once(meter: TokenMeter) -> None:
    event = only(meter)
    assert event.properties["outcome"] == "cancelled"
    assert event.properties["billable"] == "true"
    assert event.properties["output_tokens"] > 0  # type: ignore[operator]


def test_close_makes_one_event(meter: TokenMeter) -> None:
    stream, player = stream_of(wire.chat_stream())
    next(iter(stream))
    stream.close()
    stream.close()
    assert player.closed == 1
    assert_cancelled_once(meter)


def test_break_and_drop_makes_one_event(meter: TokenMeter) -> None:
    stream, _ = stream_of(wire.chat_stream())
    for _ in stream:
        break
    del stream
    gc.collect()
    assert_cancelled_once(meter)


def test_garbage_collection_inside_a_lock_does_not_block(meter: TokenMeter) -> None:
    stream, _ = stream_of(wire.chat_stream())
    next(iter(stream))
    lock = meter._delivery._journal._writer._lock
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            held.set()
            done.wait(10)

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(10)
    dropped = threading.Event()
    box = [stream]
    del stream

    def drop() -> None:
        box.clear()
        gc.collect()
        dropped.set()

    dropper = threading.Thread(target=drop)
    dropper.start()
    assert dropped.wait(5), "garbage collection waits for the journal's lock"
    done.set()
    holder.join()
    dropper.join()
    assert_cancelled_once(meter)


def test_generator_exit_in_the_users_generator_makes_one_event(meter: TokenMeter) -> None:
    stream, _ = stream_of(wire.chat_stream())

    def words() -> Any:
        with stream:
            for chunk in stream:
                yield chunk.choices[0].delta.content

    generator = words()
    assert next(generator) == wire.WORDS[0]
    generator.close()
    assert_cancelled_once(meter)


@pytest.mark.parametrize("library", LIBRARIES)
async def test_a_cancelled_task_closes_its_stream_once(meter: TokenMeter, library: Any) -> None:
    started = asyncio.Event()

    async def read() -> None:
        async with Player([wire.chat_stream()]).async_client(library) as client:
            body = {**ASK, "stream": True}
            async with client.stream("POST", URL, json=body) as answer:
                async for _ in answer.aiter_bytes():
                    started.set()
                    await asyncio.sleep(0.001)

    task = asyncio.create_task(read())
    await asyncio.wait_for(started.wait(), 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert_cancelled_once(meter)


async def test_a_task_cancelled_before_the_answer_is_recorded(meter: TokenMeter) -> None:
    class Slow(httpx2.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            await asyncio.sleep(60)
            raise AssertionError

    async with httpx2.AsyncClient(transport=Slow()) as client:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.post(URL, json=ASK), 0.01)
    found = only(meter).properties
    assert (found["outcome"], found["usage_source"]) == ("cancelled", "missing")
    assert found["billable"] == "false"


def test_an_error_in_mid_stream_is_a_failed_attempt(meter: TokenMeter) -> None:
    answer = wire.chat_stream()
    answer.chunks = answer.chunks[:2]
    answer.error = httpx2.ReadError("connection reset")
    stream, _ = stream_of(answer)
    with pytest.raises(openai.APIConnectionError):
        list(stream)
    found = only(meter).properties
    assert (found["outcome"], found["error_type"]) == ("failed", "ReadError")


def test_a_transport_error_is_a_failed_attempt(meter: TokenMeter) -> None:
    client = Player([Answer(error=httpx2.ConnectError("refused"))]).client()
    with pytest.raises(httpx2.ConnectError):
        client.post(URL, json=ASK)
    found = only(meter).properties
    assert (found["outcome"], found["error_type"]) == ("failed", "ConnectError")
    assert found["usage_source"] == "missing"


def test_an_error_event_inside_http_200_is_a_failed_attempt(meter: TokenMeter) -> None:
    answer = wire.chat_stream()
    answer.chunks = [*answer.chunks[:1], *wire.sse({"error": {"type": "server_error"}})]
    stream, _ = stream_of(answer)
    with pytest.raises(openai.APIError):
        list(stream)
    found = only(meter).properties
    assert (found["outcome"], found["error_type"]) == ("failed", "server_error")


def test_a_stream_that_never_starts_is_recorded_when_closed(meter: TokenMeter) -> None:
    stream, _ = stream_of(wire.chat_stream())
    stream.close()
    assert only(meter).properties["outcome"] == "cancelled"


def test_partial_policy_estimates_nothing() -> None:
    meter = TokenMeter("memory:", policy=Policy(on_abort="partial"))
    meter.instrument()
    stream, _ = stream_of(wire.chat_stream())
    next(iter(stream))
    stream.close()
    found = only(meter).properties
    assert found["usage_source"] == "missing"
    assert "output_tokens" not in found
    meter.shutdown()


def test_drain_policy_reads_the_exact_usage_in_the_background() -> None:
    meter = TokenMeter("memory:", policy=Policy(on_abort="drain"))
    meter.instrument()
    stream, player = stream_of(wire.chat_stream())
    next(iter(stream))
    stream.close()
    found = wait_for_one(meter).properties
    assert (found["outcome"], found["usage_source"]) == ("cancelled", "reported")
    assert (found["input_tokens"], found["output_tokens"]) == (9, 6)
    assert player.closed == 1
    meter.shutdown()


async def test_drain_policy_works_for_async_streams() -> None:
    meter = TokenMeter("memory:", policy=Policy(on_abort="drain"))
    meter.instrument()
    player = Player([wire.chat_stream()])
    client = openai.AsyncOpenAI(api_key="k", http_client=player.async_client())
    async with await client.chat.completions.create(**ASK, stream=True) as stream:
        async for _ in stream:
            break
    for _ in range(100):
        await asyncio.sleep(0.01)
        if player.closed:
            break
    found = only(meter).properties
    assert (found["outcome"], found["usage_source"]) == ("cancelled", "reported")
    assert found["output_tokens"] == 6
    meter.shutdown()


def wait_for_one(meter: TokenMeter) -> Event:
    import time

    for _ in range(500):
        events = events_of(meter)
        if events:
            return events[0]
        time.sleep(0.01)
    raise AssertionError("no event")


@pytest.mark.parametrize("on_abort", ["estimate", "partial"])
def test_what_a_stream_delivered_before_its_connection_broke_is_estimated(on_abort: Any) -> None:
    meter = TokenMeter("memory:", policy=Policy(on_abort=on_abort))
    meter.instrument()
    try:
        whole = wire.chat_stream()
        broken = replace(whole, chunks=whole.chunks[:4], error=httpx2.ReadError("broke"))
        client = openai.OpenAI(api_key="k", http_client=Player([broken]).client(), max_retries=0)
        with pytest.raises((openai.APIConnectionError, httpx2.ReadError)):
            list(client.chat.completions.create(**ASK, stream=True))
        (event,) = events_of(meter)
    finally:
        meter.shutdown()
    found = event.properties
    assert (found["outcome"], found["billable"]) == ("failed", "false")
    assert found["usage_source"] == ("estimated" if on_abort == "estimate" else "missing")
    assert ("output_tokens" in found) == (on_abort == "estimate")
