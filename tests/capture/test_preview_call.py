"""preview_call: the same request, not sent; its quote instead."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import anthropic
import openai
import pytest
from google import genai
from google.genai import types

import tokenmeter
from tests.capture import wire
from tests.capture.play import Player
from tests.capture.test_openai_lifecycle import ASK, events_of
from tests.capture.test_stopping import CLAUDE, calls
from tokenmeter import Money, NoCallError, Quote, TokenMeter


def check_stopped(quote: Quote, player: Player, meter: TokenMeter) -> Quote:
    assert isinstance(quote, Quote)
    assert quote.cost is not None, quote.notes
    assert quote.cost.low < quote.cost.high
    assert not player.sent  # no attempt left, none was tried again
    assert not events_of(meter)
    assert meter.faults == 0
    return quote


def quoted(meter: TokenMeter, call: Callable[[], Any], **named: str) -> Quote:
    found: Any = meter.preview_call(call, **named)
    assert isinstance(found, Quote)
    return found


@pytest.mark.parametrize("name", list(calls(Player([]))))
def test_a_sync_call_is_quoted_and_not_made(meter: TokenMeter, name: str) -> None:
    player = Player([wire.chat()])
    quote = check_stopped(quoted(meter, calls(player)[name], customer="cust_7"), player, meter)
    assert quote.customer == "cust_7"
    assert "token" in quote.basis


def async_calls(player: Player) -> dict[str, Any]:
    options = types.HttpOptions(httpx_async_client=player.async_client())
    chat: Any = openai.AsyncOpenAI(api_key="k", http_client=player.async_client()).chat.completions
    claude: Any = anthropic.AsyncAnthropic(api_key="k", http_client=player.async_client()).messages
    gemini: Any = genai.Client(api_key="k", http_options=options).aio.models
    ask: dict[str, Any] = {"model": "gemini-2.5-flash", "contents": "Hello"}

    async def iterated() -> Any:
        async for chunk in await chat.create(**ASK, stream=True):
            yield chunk

    return {
        "openai": lambda: chat.create(**ASK),
        "openai stream": lambda: chat.create(**ASK, stream=True),
        "openai helper": lambda: chat.stream(**ASK),
        "openai iterator": iterated,
        "anthropic": lambda: claude.create(**CLAUDE),
        "anthropic stream": lambda: claude.create(**CLAUDE, stream=True),
        "anthropic helper": lambda: claude.stream(**CLAUDE),
        "gemini": lambda: gemini.generate_content(**ask),
        "gemini stream": lambda: gemini.generate_content_stream(**ask),
    }


@pytest.mark.parametrize("name", list(async_calls(Player([]))))
async def test_an_async_call_is_quoted_and_not_made(meter: TokenMeter, name: str) -> None:
    player = Player([wire.chat()])
    check_stopped(await meter.preview_call(async_calls(player)[name]), player, meter)


async def test_of_a_task_group_the_first_call_is_quoted(meter: TokenMeter) -> None:
    player = Player([wire.chat()])
    client = openai.AsyncOpenAI(api_key="k", http_client=player.async_client())

    async def ask_twice() -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(2):
                group.create_task(client.chat.completions.create(**ASK))

    check_stopped(await meter.preview_call(ask_twice), player, meter)


def test_the_quote_is_that_of_the_event_which_the_call_becomes(meter: TokenMeter) -> None:
    player = Player([wire.chat()])
    ask = calls(player)["openai"]
    quote = quoted(meter, ask)
    ask()
    event = events_of(meter)[0]
    assert quote.provider == event.properties["provider"]
    assert quote.model == event.properties["request_model"]
    # The recorded usage is made up; the quote priced at it is the event's own cost.
    facts: dict[str, Any] = {**event.usage}
    again = meter.preview(provider="openai", model=str(quote.model), **facts)
    assert again.expected == Money(Decimal(str(event.properties["cost_usd"])))


def test_images_are_quoted_by_size_quality_and_number(meter: TokenMeter) -> None:
    player = Player([])
    client = openai.OpenAI(api_key="k", http_client=player.client())
    quote = quoted(
        meter,
        lambda: client.images.generate(
            model="dall-e-3", prompt="a cat", size="1024x1024", quality="hd", n=2
        ),
    )
    assert quote.exact
    assert quote.expected == Money(Decimal("0.16"))
    assert "exact rule" in quote.basis
    assert not player.sent


def test_an_edit_with_files_is_quoted_without_reading_them(meter: TokenMeter) -> None:
    player = Player([])
    client = openai.OpenAI(api_key="k", http_client=player.client())
    quote = quoted(
        meter,
        lambda: client.images.edit(
            model="gpt-image-1", image=b"\x89PNG", prompt="a cat", size="1024x1024", quality="low"
        ),
    )
    assert quote.usage.output_image_tokens == 272
    assert not player.sent


def test_the_customer_is_that_of_the_scope_in_which_the_call_is_made(meter: TokenMeter) -> None:
    player = Player([])
    client = openai.OpenAI(api_key="k", http_client=player.client())

    def ask() -> None:
        with tokenmeter.attribute(customer="inside"):
            client.chat.completions.create(**ASK)

    with meter.attribute(customer="around"):
        assert quoted(meter, calls(player)["openai"]).customer == "around"
        assert quoted(meter, ask).customer == "inside"
        assert quoted(meter, ask, customer="named").customer == "named"


def test_a_function_without_a_call_raises(meter: TokenMeter) -> None:
    with pytest.raises(NoCallError):
        meter.preview_call(lambda: 1)


def test_a_mistake_of_the_function_comes_out_as_it_is(meter: TokenMeter) -> None:
    def broken() -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        meter.preview_call(broken)


def test_a_call_to_a_model_without_a_price_says_so(meter: TokenMeter) -> None:
    player = Player([])
    client: Any = openai.OpenAI(api_key="k", http_client=player.client())
    ask: dict[str, Any] = {**ASK, "model": "no-such-model"}
    quote = quoted(meter, lambda: client.chat.completions.create(**ask))
    assert quote.cost is None
    assert quote.expected is None
    assert "no-such-model" in quote.notes[0]
