"""SDKs inside other libraries inside `@metered`: one event per attempt, however many layers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anthropic
import httpx2
import pytest
from langchain_core.callbacks import get_usage_metadata_callback
from langchain_openai import ChatOpenAI
from pydantic import SecretStr
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from tests.capture import wire
from tests.capture.taps.server import Server, serving
from tests.capture.test_openai_lifecycle import events_of
from tokenmeter import Event, TokenMeter

pytestmark = pytest.mark.usefixtures("left_open")
OPENAI = "http://api.openai.com/v1"
CLAUDE = "http://api.anthropic.com"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """
    All that goes to a provider goes to the loopback, under its own URL.

    One for all tests: LangChain keeps its HTTP client, and with it the proxy.
    """
    with serving() as made, pytest.MonkeyPatch.context() as patch:
        for name in ("HTTP_PROXY", "http_proxy"):
            patch.setenv(name, made.url)
        patch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")
        yield made


def attempts(events: list[Event]) -> list[tuple[object, object, object]]:
    found = [event.properties for event in events]
    return [(each["attempt"], each["outcome"], each.get("output_tokens")) for each in found]


AGAIN = [(1, "failed", None), (2, "success", 2)]


def chat_model(**options: Any) -> ChatOpenAI:
    return ChatOpenAI(
        model="gpt-4o-mini", api_key=SecretStr("k"), base_url=OPENAI, max_retries=1, **options
    )


def assert_whose(events: list[Event]) -> None:
    assert {event.external_customer_id for event in events} == {"acme"}
    assert len({event.properties["call_id"] for event in events}) == 1
    assert len({event.event_id for event in events}) == len(events)


def test_openai_inside_langchain_inside_metered_is_one_event_per_attempt(
    meter: TokenMeter, server: Server
) -> None:
    model = chat_model(http_client=httpx2.Client())
    meter.wrap(model.root_client)  # as well as instrumented

    @meter.metered(customer="acme")
    def ask() -> Any:
        with get_usage_metadata_callback() as callback:
            answer = model.invoke("Hello")
        return answer.content, sum(u["output_tokens"] for u in callback.usage_metadata.values())

    server.play(wire.failure(), wire.chat())
    assert ask() == ("Hi", 2)
    events = events_of(meter)
    assert attempts(events) == AGAIN
    assert_whose(events)


async def test_a_stream_of_langchain_inside_metered_is_one_event(
    meter: TokenMeter, server: Server
) -> None:
    @meter.metered(customer="acme")
    async def ask() -> str:
        return "".join([str(chunk.content) async for chunk in chat_model().astream("Hello")])

    server.play(wire.chat_stream())
    assert await ask() == "".join(wire.WORDS)
    assert attempts(events_of(meter)) == [(1, "success", 6)]


def test_metered_alone_sees_through_langchain(server: Server) -> None:
    meter = TokenMeter("memory:")
    server.play(wire.failure(), wire.chat())
    assert meter.metered(customer="acme")(lambda: chat_model().invoke("Hello"))().content == "Hi"
    events = events_of(meter)
    assert attempts(events) == AGAIN
    assert_whose(events)
    meter.shutdown()


async def test_an_agent_of_pydantic_ai_is_one_event_per_attempt(
    meter: TokenMeter, server: Server
) -> None:
    model = OpenAIChatModel("gpt-4o-mini", provider=OpenAIProvider(base_url=OPENAI, api_key="k"))

    @meter.metered(customer="acme")
    async def ask() -> tuple[str, int]:
        answer = await Agent(model).run("Hello")
        return answer.output, answer.usage.output_tokens

    server.play(wire.failure(), wire.chat())
    assert await ask() == ("Hi", 2)
    events = events_of(meter)
    assert attempts(events) == AGAIN
    assert_whose(events)


async def test_anthropic_over_aiohttp_is_one_event_per_attempt(
    meter: TokenMeter, server: Server
) -> None:
    server.play(wire.failure(), wire.message())
    async with anthropic.AsyncAnthropic(
        api_key="k",
        base_url=CLAUDE,
        max_retries=1,
        http_client=anthropic.DefaultAioHttpClient(),
    ) as client:
        with meter.attribute(customer="acme"):
            await client.messages.create(model="claude-sonnet-5", max_tokens=8, messages=[])
    events = events_of(meter)
    assert attempts(events) == [(1, "failed", None), (2, "success", 5)]
    assert_whose(events)


@pytest.mark.filterwarnings("ignore")  # LiteLLM's own: it leaves loops and sessions open
@pytest.mark.parametrize("model", ["openai/gpt-4o-mini", "anthropic/claude-sonnet-5"])
@pytest.mark.parametrize("aio", [True, False], ids=["async", "sync"])
async def test_litellm_is_one_event_per_attempt(
    meter: TokenMeter, server: Server, model: str, aio: bool
) -> None:
    import litellm

    openai = model.startswith("openai/")
    server.play(wire.failure(), wire.chat() if openai else wire.message())
    options: dict[str, Any] = {
        "model": model,
        "api_base": OPENAI if openai else CLAUDE,
        "api_key": "k",
        "num_retries": 1,
        "messages": [{"role": "user", "content": "Hello"}],
    }

    @meter.metered(customer="acme")
    async def ask() -> Any:
        return await litellm.acompletion(**options) if aio else litellm.completion(**options)

    answer = await ask()
    assert answer.choices[0].message.content == "Hi"
    events = events_of(meter)
    assert attempts(events) == [(1, "failed", None), (2, "success", 2 if openai else 5)]
    assert_whose(events)
