"""Whose call is this: across tasks, threads and generators; and one event for nested taps."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anthropic
import httpx
import httpx2
import openai
import pytest
from google import genai
from google.genai import types

import tokenmeter
from tests.capture import wire
from tests.capture.play import LIBRARIES, Player
from tests.capture.test_openai_lifecycle import ASK, events_of, only
from tokenmeter import TokenMeter, UnknownClientError
from tokenmeter.attribution import current_scope

STREAMS = 200
CUSTOMERS = 20


async def test_200_concurrent_streams_of_one_fixture_belong_to_their_customers(
    meter: TokenMeter,
) -> None:
    http = Player([wire.chat_stream()]).async_client()
    client = openai.AsyncOpenAI(api_key="k", http_client=http)

    async def read(number: int) -> None:
        with meter.attribute(customer=f"cust_{number % CUSTOMERS}", feature=f"f{number}"):
            stream = await client.chat.completions.create(**ASK, stream=True)
        async for _ in stream:
            await asyncio.sleep(0)

    await asyncio.gather(*(read(number) for number in range(STREAMS)))
    events = events_of(meter)
    assert len(events) == len({event.event_id for event in events}) == STREAMS
    per_customer = Counter(event.external_customer_id for event in events)
    assert set(per_customer.values()) == {STREAMS // CUSTOMERS}
    for event in events:
        number = int(str(event.properties["feature"])[1:])
        assert event.external_customer_id == f"cust_{number % CUSTOMERS}"
        assert event.properties["output_tokens"] == 6
    assert sum("id_reused" in event.properties for event in events) == STREAMS - 1


def test_everything_on_at_once_makes_one_event(meter: TokenMeter) -> None:
    client = openai.OpenAI(api_key="k", http_client=Player([wire.chat()]).client())
    meter.instrument()
    meter.wrap(meter.wrap(client))

    @meter.metered(customer="acme")
    def ask() -> Any:
        return client.with_options(timeout=3).chat.completions.create(**ASK)

    ask()
    assert only(meter).external_customer_id == "acme"
    meter.uninstrument()


def test_a_wrapped_client_is_metered_and_others_are_not() -> None:
    meter = TokenMeter("memory:")
    wrapped = openai.OpenAI(api_key="k", http_client=Player([wire.chat()]).client())
    other = openai.OpenAI(api_key="k", http_client=Player([wire.chat("x")]).client())
    assert meter.wrap(wrapped) is wrapped
    wrapped.chat.completions.create(**ASK)
    wrapped.with_options(max_retries=0).chat.completions.create(**ASK)
    other.chat.completions.create(**ASK)
    assert len(events_of(meter)) == 2
    meter.shutdown()


async def test_every_kind_of_client_can_be_wrapped() -> None:
    meter = TokenMeter("memory:")
    ask: Any = {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": "x"}]}
    player = Player([wire.chat()])
    meter.wrap(openai.AsyncOpenAI(api_key="k", http_client=player.async_client()))
    chat = meter.wrap(openai.OpenAI(api_key="k", http_client=Player([wire.chat("a")]).client()))
    chat.chat.completions.create(**ASK)
    http = Player([wire.message("b")]).client()
    meter.wrap(anthropic.Anthropic(api_key="k", http_client=http)).messages.create(**ask)
    async_openai = meter.wrap(
        openai.AsyncOpenAI(api_key="k", http_client=Player([wire.chat("c")]).async_client())
    )
    await async_openai.chat.completions.create(**ASK)
    async_http = Player([wire.message("d")]).async_client()
    async_claude = meter.wrap(anthropic.AsyncAnthropic(api_key="k", http_client=async_http))
    await async_claude.messages.create(**ask)
    player = Player([wire.gemini()])
    options = types.HttpOptions(
        httpx_client=player.client(), httpx_async_client=player.async_client()
    )
    gemini = meter.wrap(genai.Client(api_key="k", http_options=options))
    gemini.models.generate_content(model="gemini-2.5-flash", contents="Hi")
    await gemini.aio.models.generate_content(model="gemini-2.5-flash", contents="Hi")
    for library in LIBRARIES:
        meter.wrap(Player([wire.chat("e")]).client(library)).post(
            "https://api.openai.com/v1/chat/completions", json=ASK
        )
    assert len(events_of(meter)) == 8
    meter.shutdown()


def test_an_unknown_client_is_refused_in_one_sentence(meter: TokenMeter) -> None:
    with pytest.raises(UnknownClientError, match=r"cannot wrap a builtins\.dict; pass a client"):
        meter.wrap({})


def test_uninstrument_restores_what_was() -> None:
    before = [
        vars(cls)["send"] for lib in (httpx, httpx2) for cls in (lib.Client, lib.AsyncClient)
    ]
    meter = TokenMeter("memory:")
    meter.instrument()
    assert vars(httpx2.Client)["send"] is not before[2]
    meter.uninstrument()
    after = [vars(cls)["send"] for lib in (httpx, httpx2) for cls in (lib.Client, lib.AsyncClient)]
    assert before == after
    meter.shutdown()


def test_a_generator_leaks_no_attribution_between_its_yields(meter: TokenMeter) -> None:
    client = openai.OpenAI(api_key="k", http_client=Player([wire.chat()]).client())

    @meter.metered(customer="acme")
    def words() -> Iterator[str]:
        for _ in range(2):
            client.chat.completions.create(**ASK)
            yield "word"

    outside = current_scope()
    for _ in words():
        assert current_scope() is outside
        client.chat.completions.create(**ASK)
    customers = [event.external_customer_id for event in events_of(meter)]
    assert customers == ["acme", "unattributed", "acme", "unattributed"]


async def test_an_async_generator_leaks_no_attribution_between_its_yields(
    meter: TokenMeter,
) -> None:
    http = Player([wire.chat()]).async_client()
    client = openai.AsyncOpenAI(api_key="k", http_client=http)

    @meter.metered(customer="acme")
    async def words() -> AsyncIterator[str]:
        for _ in range(2):
            await client.chat.completions.create(**ASK)
            yield "word"

    outside = current_scope()
    async for _ in words():
        assert current_scope() is outside
        await client.chat.completions.create(**ASK)
    customers = [event.external_customer_id for event in events_of(meter)]
    assert customers == ["acme", "unattributed", "acme", "unattributed"]


async def test_child_tasks_inherit_and_siblings_do_not_mix(meter: TokenMeter) -> None:
    http = Player([wire.chat()]).async_client()
    client = openai.AsyncOpenAI(api_key="k", http_client=http)

    async def serve(customer: str) -> None:
        with meter.attribute(customer=customer):
            await asyncio.create_task(client.chat.completions.create(**ASK))

    await asyncio.gather(*(serve(f"c{n}") for n in range(5)))
    assert {event.external_customer_id for event in events_of(meter)} == {
        f"c{n}" for n in range(5)
    }


def test_inner_attribution_lies_over_the_outer(meter: TokenMeter) -> None:
    client = openai.OpenAI(api_key="k", http_client=Player([wire.chat()]).client())
    with (
        tokenmeter.attribute(customer="acme", environment="prod", tags={"team": "a", "tier": "x"}),
        tokenmeter.attribute(feature="chat", tags={"team": "b"}),
        tokenmeter.run("req-42") as run,
    ):
        client.chat.completions.create(**ASK)
    event = only(meter)
    assert event.external_customer_id == "acme"
    wanted = {"environment": "prod", "feature": "chat", "tag_team": "b", "tag_tier": "x"}
    assert {name: event.properties[name] for name in wanted} == wanted
    assert event.properties["run_id"] == "req-42"
    assert run.events[0].event_id == event.event_id
    assert run.usage.input_tokens == 9
    assert run.cost is not None
    assert str(run.cost) == f"{event.properties['cost_usd']} USD"
