"""`@metered`: whose call it is, and a function that stays the function it was."""

from __future__ import annotations

import asyncio
import functools
import inspect
from typing import Any

import httpx
import httpx2
import openai
import pytest

import tokenmeter
from tests.capture import wire
from tests.capture.play import LIBRARIES, Player
from tests.capture.test_openai_lifecycle import ASK, only
from tokenmeter import ConfigurationError, Event, TokenMeter
from tokenmeter.capture import taps


@pytest.fixture
def quiet() -> Any:
    """A meter that is not instrumented."""
    made = TokenMeter("memory:")
    yield made
    made.shutdown()
    assert not made.faults, "tokenmeter reported a fault of its own"


def client_of(*answers: Any) -> openai.OpenAI:
    return openai.OpenAI(api_key="k", http_client=Player(list(answers)).client(), max_retries=0)


def async_client_of(*answers: Any) -> openai.AsyncOpenAI:
    http = Player(list(answers)).async_client()
    return openai.AsyncOpenAI(api_key="k", http_client=http, max_retries=0)


def sends() -> list[int]:
    """Which functions the HTTP libraries send with; a wrapper equals what it wraps, so ids."""
    return [id(vars(c)["send"]) for lib in (httpx, httpx2) for c in (lib.Client, lib.AsyncClient)]


BARE = sends()


def assert_success(event: Event, customer: str = "acme") -> None:
    assert event.external_customer_id == customer
    assert (event.properties["outcome"], event.properties["input_tokens"]) == ("success", 9)


@pytest.mark.parametrize("library", LIBRARIES, ids=["httpx2", "httpx"])
def test_a_function_that_returns_plain_text_is_metered_with_nothing_instrumented(
    quiet: TokenMeter, library: Any
) -> None:
    http = Player([wire.chat()]).client(library)

    @quiet.metered(customer="acme", feature="chat", environment="prod", tags={"team": "a"})
    def ask(question: str) -> str:
        assert sends() != BARE
        answer = http.post("https://api.openai.com/v1/chat/completions", json=ASK).json()
        return f"{question} {answer['choices'][0]['message']['content']}"

    assert ask("Say") == "Say Hi"
    assert sends() == BARE, "the patches are still there"
    event = only(quiet)
    assert_success(event)
    wanted = {"feature": "chat", "environment": "prod", "tag_team": "a"}
    assert {name: event.properties[name] for name in wanted} == wanted
    assert "function" not in event.properties, "the exchange was seen, not the return value"


async def test_an_async_function_is_metered_with_nothing_instrumented(quiet: TokenMeter) -> None:
    client = async_client_of(wire.chat())

    @quiet.metered(customer="acme")
    async def ask() -> str:
        answer = await client.chat.completions.create(**ASK)
        return str(answer.choices[0].message.content)

    assert await ask() == "Hi"
    assert sends() == BARE
    assert_success(only(quiet))


def test_the_patches_go_also_when_the_function_raises(quiet: TokenMeter) -> None:
    @quiet.metered
    def broken() -> None:
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        broken()
    assert sends() == BARE
    event = only(quiet)
    assert (event.properties["outcome"], event.properties["error_type"]) == (
        "failed",
        "ZeroDivisionError",
    )
    assert event.properties["billable"] == "false"
    assert event.properties["function"].endswith("broken")  # type: ignore[union-attr]


@pytest.mark.parametrize("error", [ValueError("x"), StopIteration("x"), StopAsyncIteration("x")])
def test_whatever_a_function_raises_is_raised_and_recorded_once(
    quiet: TokenMeter, error: Exception
) -> None:
    @quiet.metered
    def broken() -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        broken()
    assert caught.value is error
    assert only(quiet).properties["error_type"] == type(error).__name__


async def test_a_cancelled_coroutine_is_cancelled_and_recorded(quiet: TokenMeter) -> None:
    started = asyncio.Event()

    @quiet.metered(customer="acme")
    async def slow() -> None:
        started.set()
        await asyncio.sleep(60)

    task = asyncio.create_task(slow())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    event = only(quiet)
    assert (event.properties["outcome"], event.properties["usage_source"]) == (
        "cancelled",
        "missing",
    )
    assert sends() == BARE


async def test_signature_kind_name_and_pickled_place_are_those_of_the_function() -> None:
    @tokenmeter.metered(customer="acme")
    def plain(a: int, *, b: str = "x") -> str:
        """Say b."""
        return b * a

    @tokenmeter.metered
    async def later(a: int) -> int:
        return a

    assert str(inspect.signature(plain)) == "(a: 'int', *, b: 'str' = 'x') -> 'str'"
    assert (plain.__name__, plain.__doc__, plain.__module__) == ("plain", "Say b.", __name__)
    assert inspect.isfunction(plain)
    assert not inspect.iscoroutinefunction(plain)
    assert inspect.iscoroutinefunction(later)
    assert functools.wraps(plain)(lambda: 1).__name__ == "plain"
    pending = later(3)
    assert inspect.iscoroutine(pending)
    pending.close()


def test_wrong_use_is_one_sentence_when_decorating(quiet: TokenMeter) -> None:
    wrong: Any = quiet.metered

    async def later() -> str:
        return "acme"

    for positional, options in (
        (["acme"], {}),
        ([], {"customer": later}),
        ([], {"extract": later}),
    ):
        with pytest.raises(ConfigurationError) as caught:
            wrong(*positional, **options)
        assert "\n" not in str(caught.value)
    with pytest.raises(TypeError, match="custmer"):
        wrong(custmer="acme")
    assert taps.PATCHES._holders == 0
