"""Retry loops of every kind: attempts of one call are grouped, customers never mixed."""

from __future__ import annotations

import asyncio
import contextvars
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anthropic
import httpx2
import openai
import pytest
import tenacity

from tests.capture import wire
from tests.capture.play import Answer, Player
from tests.capture.test_openai_lifecycle import ASK, events_of
from tokenmeter import Event, Policy, TokenMeter

URL = "https://api.openai.com/v1/chat/completions"


def openai_of(*answers: Answer) -> openai.OpenAI:
    http = Player(list(answers)).client()
    return openai.OpenAI(api_key="k", http_client=http, max_retries=0)


def async_openai_of(*answers: Answer) -> openai.AsyncOpenAI:
    http = Player(list(answers)).async_client()
    return openai.AsyncOpenAI(api_key="k", http_client=http, max_retries=0)


def assert_one_call(events: list[Event], attempts: list[int]) -> None:
    assert [event.properties["attempt"] for event in events] == attempts
    assert len({event.properties["call_id"] for event in events}) == 1


def test_a_hand_written_loop_is_one_call(meter: TokenMeter) -> None:
    client = openai_of(wire.failure(500), wire.failure(), wire.chat())
    for _ in range(3):
        try:
            client.chat.completions.create(**ASK)
        except openai.APIStatusError:
            continue
    assert_one_call(events_of(meter), [1, 2, 3])


def test_tenacity_around_an_attributed_call_is_one_call(meter: TokenMeter) -> None:
    client = openai_of(wire.failure(), wire.failure(), wire.chat())

    @tenacity.retry(stop=tenacity.stop_after_attempt(3), wait=tenacity.wait_none())
    def ask() -> None:
        with meter.attribute(customer="acme"):
            client.chat.completions.create(**ASK)

    ask()
    events = events_of(meter)
    assert_one_call(events, [1, 2, 3])
    assert {event.external_customer_id for event in events} == {"acme"}


async def test_wait_for_and_create_task_keep_a_loop_one_call(meter: TokenMeter) -> None:
    client = async_openai_of(wire.failure(), wire.failure(), wire.chat())

    async def ask() -> None:
        await client.chat.completions.create(**ASK)

    with meter.attribute(customer="acme"):
        for make in (lambda: asyncio.wait_for(ask(), 5), lambda: asyncio.create_task(ask()), ask):
            try:
                await make()
            except openai.RateLimitError:
                continue
    assert_one_call(events_of(meter), [1, 2, 3])


async def test_a_timeout_by_wait_for_and_its_repetition_are_one_call(meter: TokenMeter) -> None:
    class FirstHangs(httpx2.AsyncBaseTransport):
        calls = 0

        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            self.calls += 1
            if self.calls == 1:
                await asyncio.sleep(60)
            answer = wire.chat()
            return httpx2.Response(200, headers=answer.headers, content=answer.chunks[0])

    async with httpx2.AsyncClient(transport=FirstHangs()) as client:
        with meter.attribute(customer="acme"):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(client.post(URL, json=ASK), 0.01)
            await asyncio.wait_for(client.post(URL, json=ASK), 5)
    events = events_of(meter)
    assert_one_call(events, [1, 2])
    assert [event.properties["outcome"] for event in events] == ["cancelled", "success"]


def test_threads_of_a_reused_pool_never_join_two_customers(meter: TokenMeter) -> None:
    client = openai_of(wire.failure(), wire.chat())

    def ask(customer: str) -> None:
        with meter.attribute(customer=customer):
            try:
                client.chat.completions.create(**ASK)
            except openai.RateLimitError:
                return

    with ThreadPoolExecutor(1) as pool:
        pool.submit(ask, "acme").result()
        pool.submit(ask, "globex").result()
    first, second = events_of(meter)
    assert (first.external_customer_id, second.external_customer_id) == ("acme", "globex")
    assert first.properties["call_id"] != second.properties["call_id"]
    assert second.properties["attempt"] == 1


def test_a_retry_in_a_thread_that_copied_the_context_is_grouped(meter: TokenMeter) -> None:
    client = openai_of(wire.failure(), wire.chat())

    def ask() -> None:
        client.chat.completions.create(**ASK)

    with meter.attribute(customer="acme"), ThreadPoolExecutor(2) as pool:
        with pytest.raises(openai.RateLimitError):
            pool.submit(contextvars.copy_context().run, ask).result()
        pool.submit(contextvars.copy_context().run, ask).result()
    assert_one_call(events_of(meter), [1, 2])


def test_two_runs_with_equal_requests_stay_apart_when_customers_differ(
    meter: TokenMeter,
) -> None:
    client = openai_of(wire.failure(), wire.failure(), wire.chat("a"), wire.chat("b"))
    for customer in ("acme", "globex", "acme", "globex"):
        with meter.attribute(customer=customer):
            try:
                client.chat.completions.create(**ASK)
            except openai.RateLimitError:
                continue
    by_customer: dict[str, list[Event]] = {}
    for event in events_of(meter):
        by_customer.setdefault(event.external_customer_id, []).append(event)
    for events in by_customer.values():
        assert_one_call(events, [1, 2])


def test_a_different_request_is_a_call_of_its_own(meter: TokenMeter) -> None:
    client = openai_of(wire.failure(), wire.chat())
    with meter.attribute(customer="acme"):
        with pytest.raises(openai.RateLimitError):
            client.chat.completions.create(**ASK)
        client.chat.completions.create(**ASK, temperature=0.5)
    first, second = events_of(meter)
    assert first.properties["call_id"] != second.properties["call_id"]


def test_a_failure_older_than_the_retry_window_is_forgotten() -> None:
    meter = TokenMeter("memory:", policy=Policy(retry_window_s=0))
    meter.instrument()
    client = openai_of(wire.failure(), wire.chat())
    with meter.attribute(customer="acme"):
        with pytest.raises(openai.RateLimitError):
            client.chat.completions.create(**ASK)
        client.chat.completions.create(**ASK)
    assert [event.properties["attempt"] for event in events_of(meter)] == [1, 1]
    meter.shutdown()


def test_a_note_is_claimed_once(meter: TokenMeter) -> None:
    client = openai_of(wire.failure(), wire.chat("a"), wire.chat("b"))
    with meter.attribute(customer="acme"):
        with pytest.raises(openai.RateLimitError):
            client.chat.completions.create(**ASK)
        client.chat.completions.create(**ASK)
        client.chat.completions.create(**ASK)
    assert [event.properties["attempt"] for event in events_of(meter)] == [1, 2, 1]


def test_a_repeated_upload_is_a_retry_although_its_boundary_differs(meter: TokenMeter) -> None:
    client = openai_of(wire.failure(500), wire.image())
    ask: dict[str, Any] = {"model": "gpt-image-1", "prompt": "a lamp"}
    with meter.attribute(customer="acme"):
        with pytest.raises(openai.InternalServerError):
            client.images.edit(image=("a.png", b"bytes"), **ask)
        client.images.edit(image=("a.png", b"bytes"), **ask)
    assert_one_call(events_of(meter), [1, 2])


def test_the_sdks_own_retries_inside_a_hand_written_loop_go_on_counting(
    meter: TokenMeter,
) -> None:
    answers = [wire.failure(), wire.failure(), wire.failure(), wire.message()]
    http = Player(answers).client()
    client = anthropic.Anthropic(api_key="k", http_client=http, max_retries=1)
    ask: Any = {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": "x"}]}
    with meter.attribute(customer="acme"):
        with pytest.raises(anthropic.RateLimitError):
            client.messages.create(**ask)
        client.messages.create(**ask)
    assert_one_call(events_of(meter), [1, 2, 3, 4])


async def test_concurrent_equal_calls_lose_and_double_nothing(meter: TokenMeter) -> None:
    client = async_openai_of(*(wire.failure() for _ in range(10)), wire.chat())

    async def ask() -> None:
        for _ in range(3):
            try:
                await client.chat.completions.create(**ASK)
            except openai.RateLimitError:
                await asyncio.sleep(0)
            else:
                return

    with meter.attribute(customer="acme"):
        await asyncio.gather(*(ask() for _ in range(10)))
    events = events_of(meter)
    failed = [event for event in events if event.properties["outcome"] == "failed"]
    assert (len(events), len(failed)) == (20, 10)
    pairs = {(event.properties["call_id"], event.properties["attempt"]) for event in events}
    assert len(pairs) == 20
