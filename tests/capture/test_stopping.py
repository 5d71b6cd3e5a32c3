"""A previewed call stops at the tap: nothing sent, nothing recorded, nothing retried."""

from __future__ import annotations

import asyncio
from typing import Any

import anthropic
import openai
import pytest
from google import genai
from google.genai import types

from tests.capture import wire
from tests.capture.play import Player
from tests.capture.test_openai_lifecycle import ASK, events_of
from tokenmeter import NoCallError, TokenMeter
from tokenmeter.capture.previewing import stopped_call

CLAUDE: dict[str, Any] = {
    "model": "claude-sonnet-5",
    "max_tokens": 64,
    "messages": [{"role": "user", "content": "Hello"}],
}


def calls(player: Player) -> dict[str, Any]:
    options = types.HttpOptions(httpx_client=player.client())
    chat: Any = openai.OpenAI(api_key="k", http_client=player.client()).chat.completions
    claude: Any = anthropic.Anthropic(api_key="k", http_client=player.client()).messages
    gemini: Any = genai.Client(api_key="k", http_options=options).models
    ask: dict[str, Any] = {"model": "gemini-2.5-flash", "contents": "Hello"}
    return {
        "openai": lambda: chat.create(**ASK),
        "openai stream": lambda: chat.create(**ASK, stream=True),
        "openai helper": lambda: chat.stream(**ASK),
        "openai raw": lambda: chat.with_streaming_response.create(**ASK),
        "anthropic": lambda: claude.create(**CLAUDE),
        "anthropic stream": lambda: claude.create(**CLAUDE, stream=True),
        "anthropic helper": lambda: claude.stream(**CLAUDE),
        "gemini": lambda: gemini.generate_content(**ask),
        "gemini stream": lambda: gemini.generate_content_stream(**ask),
    }


@pytest.mark.parametrize("name", list(calls(Player([]))))
def test_a_sync_call_stops_at_the_tap(meter: TokenMeter, name: str) -> None:
    player = Player([wire.chat()])
    stopped = stopped_call(calls(player)[name], meter)
    assert stopped.call.request_model in {"gpt-4o-mini", "claude-sonnet-5", "gemini-2.5-flash"}
    assert stopped.body
    assert not player.sent
    assert not events_of(meter)


@pytest.mark.parametrize(
    "name", ["openai", "openai stream", "anthropic", "gemini", "gemini stream"]
)
async def test_an_async_call_stops_at_the_tap(meter: TokenMeter, name: str) -> None:
    player = Player([wire.chat()])
    options = types.HttpOptions(httpx_async_client=player.async_client())
    chat: Any = openai.AsyncOpenAI(api_key="k", http_client=player.async_client()).chat.completions
    claude: Any = anthropic.AsyncAnthropic(api_key="k", http_client=player.async_client()).messages
    gemini: Any = genai.Client(api_key="k", http_options=options).aio.models
    ask: dict[str, Any] = {"model": "gemini-2.5-flash", "contents": "Hello"}
    made: dict[str, Any] = {
        "openai": lambda: chat.create(**ASK),
        "openai stream": lambda: chat.create(**ASK, stream=True),
        "anthropic": lambda: claude.create(**CLAUDE),
        "gemini": lambda: gemini.generate_content(**ask),
        "gemini stream": lambda: gemini.generate_content_stream(**ask),
    }
    stopped = await stopped_call(made[name], meter)
    assert stopped.call.request_model
    assert not player.sent
    assert not events_of(meter)


async def test_a_stop_comes_out_of_a_task_group(meter: TokenMeter) -> None:
    player = Player([wire.chat()])
    client = openai.AsyncOpenAI(api_key="k", http_client=player.async_client())

    async def ask_twice() -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(2):
                group.create_task(client.chat.completions.create(**ASK))

    stopped = await stopped_call(ask_twice, meter)
    assert stopped.call.request_model == "gpt-4o-mini"
    assert not player.sent


def test_a_function_without_a_call_says_so(meter: TokenMeter) -> None:
    with pytest.raises(NoCallError, match="pass one that does"):
        stopped_call(lambda: "nothing", meter)


def test_calls_after_a_preview_are_made(meter: TokenMeter) -> None:
    player = Player([wire.chat()])
    ask = calls(player)["openai"]
    stopped_call(ask, meter)
    ask()
    assert len(player.sent) == len(events_of(meter)) == 1
