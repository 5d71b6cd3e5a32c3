"""The providers' SDKs through the gateway: each event equals the one metered directly."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anthropic
import httpx2
import openai
import pytest
from gateway.app import create_app
from gateway.replay import Cassettes
from google import genai
from google.genai import types

from tokenmeter import Event, TokenMeter

KEY = "key-of-acme"
TOOL: Any = {
    "type": "function",
    "function": {"name": "water", "parameters": {"type": "object", "properties": {}}},
}
ASKED: Any = [{"role": "user", "content": "My plant arrived dry. What now?"}]


def gateway(meter: TokenMeter) -> httpx2.AsyncClient:
    app = create_app(meter, {KEY: "acme"}, transport=Cassettes())
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app))


def direct(meter: TokenMeter) -> httpx2.AsyncClient:
    """The same providers without a gateway."""
    return meter.wrap(httpx2.AsyncClient(transport=Cassettes()))


async def chat(http: httpx2.AsyncClient, base: str | None) -> None:
    client = openai.AsyncOpenAI(api_key=KEY, base_url=base and f"{base}/v1", http_client=http)
    await client.chat.completions.create(model="gpt-5.4-mini", messages=ASKED)


async def chat_stream(http: httpx2.AsyncClient, base: str | None) -> None:
    client = openai.AsyncOpenAI(api_key=KEY, base_url=base and f"{base}/v1", http_client=http)
    stream = await client.chat.completions.create(
        model="gpt-5.4-mini", messages=ASKED, stream=True
    )
    assert isinstance(stream, openai.AsyncStream)
    chunks = [chunk async for chunk in stream]
    assert all(chunk.usage is None for chunk in chunks)  # we asked for it; the client did not
    assert chunks[-1].choices[0].finish_reason == "stop"


async def chat_with_a_tool(http: httpx2.AsyncClient, base: str | None) -> None:
    client = openai.AsyncOpenAI(api_key=KEY, base_url=base and f"{base}/v1", http_client=http)
    await client.chat.completions.create(model="gpt-5.4-mini", messages=ASKED, tools=[TOOL])


async def image(http: httpx2.AsyncClient, base: str | None) -> None:
    client = openai.AsyncOpenAI(api_key=KEY, base_url=base and f"{base}/v1", http_client=http)
    await client.images.generate(model="gpt-image-1", prompt="a lemon tree", size="1024x1024")


async def message(http: httpx2.AsyncClient, base: str | None) -> None:
    client = anthropic.AsyncAnthropic(api_key=KEY, base_url=base, http_client=http)
    await client.messages.create(model="claude-sonnet-4-6", max_tokens=300, messages=ASKED)


async def message_stream(http: httpx2.AsyncClient, base: str | None) -> None:
    client = anthropic.AsyncAnthropic(api_key=KEY, base_url=base, http_client=http)
    async with client.messages.stream(
        model="claude-sonnet-4-6", max_tokens=300, messages=ASKED
    ) as stream:
        await stream.get_final_message()


async def content(http: httpx2.AsyncClient, base: str | None) -> None:
    options = types.HttpOptions(base_url=base, httpx_async_client=http)
    client = genai.Client(api_key=KEY, http_options=options)
    await client.aio.models.generate_content(model="gemini-3.5-flash", contents="Hello")


CALLS: list[Callable[[httpx2.AsyncClient, str | None], Awaitable[None]]] = [
    chat,
    chat_stream,
    chat_with_a_tool,
    image,
    message,
    message_stream,
    content,
]
# What says where and when it was metered, and not what.
NOT_COMPARED = {"run_id", "call_id", "feature"}


async def metered(
    call: Any, through: Callable[[TokenMeter], httpx2.AsyncClient], base: str | None
) -> Event:
    meter = TokenMeter("memory:")
    async with through(meter) as http:
        await call(http, base)
    meter.shutdown()
    (event,) = meter.backend.events
    found: Event = event
    return found


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.__name__)
async def test_through_the_gateway_is_as_metered_directly(call: Any) -> None:
    ours = await metered(call, gateway, "http://gateway")
    plain = await metered(call, direct, None)
    assert ours.external_customer_id == "acme"
    assert ours.event_name == plain.event_name
    assert {k: v for k, v in ours.properties.items() if k not in NOT_COMPARED} == {
        k: v for k, v in plain.properties.items() if k not in NOT_COMPARED
    }
