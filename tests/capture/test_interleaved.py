"""Attribution inside generators that take turns: it ends with its block, and hides no other."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager
from contextvars import copy_context
from typing import Any

import openai

import tokenmeter
from tests.capture import wire
from tests.capture.play import Player
from tests.capture.test_openai_lifecycle import ASK, events_of
from tokenmeter import TokenMeter
from tokenmeter.attribution import NO_ATTRIBUTION, Scope, current_scope


def is_nobodys(scope: Scope | None) -> bool:
    """A context without a block may have a scope all the same: it remembers failed attempts."""
    return scope is None or (scope.outer is None and scope.attribution is NO_ATTRIBUTION)


def call(meter: TokenMeter) -> str:
    """Make a call; return whose it was."""
    http = Player([wire.chat()]).client()
    openai.OpenAI(api_key="k", http_client=http).chat.completions.create(**ASK)
    return events_of(meter)[-1].external_customer_id


def steps(block: AbstractContextManager[Any], number: int) -> Iterator[int]:
    with block:
        yield from range(number)


def test_generators_that_take_turns_leave_nothing_behind(meter: TokenMeter) -> None:
    first = steps(meter.attribute(customer="first"), 2)
    second = steps(meter.attribute(customer="second"), 3)
    next(first)
    next(second)
    assert list(first) == [1]
    assert call(meter) == "second"  # whose block is still open
    assert list(second) == [1, 2]
    assert is_nobodys(current_scope())
    assert call(meter) == "unattributed"


def test_what_is_around_generators_that_take_turns_is_come_back_to(meter: TokenMeter) -> None:
    with meter.attribute(customer="around"):
        turns = [steps(meter.attribute(customer=f"c{n}"), 2) for n in range(4)]
        for _ in range(2):
            for turn in turns:
                next(turn)
        for turn in turns:
            assert list(turn) == []
        assert call(meter) == "around"
    assert is_nobodys(current_scope())


async def test_async_generators_that_take_turns_leave_nothing_behind(meter: TokenMeter) -> None:
    async def turns(customer: str) -> AsyncIterator[int]:
        with meter.attribute(customer=customer):
            for number in range(2):
                yield number

    first, second = turns("first"), turns("second")
    for generator in (first, second, first, second):
        await anext(generator)
    assert [number async for number in first] == [number async for number in second] == []
    assert is_nobodys(current_scope())


def test_a_block_within_a_decorated_generator_holds_after_a_yield(meter: TokenMeter) -> None:
    asked = within(meter, lambda step: step())
    assert asked == ["outer", "inner", "inner", "outer"]


def test_it_holds_where_each_step_runs_in_a_context_of_its_own(meter: TokenMeter) -> None:
    asked = within(meter, lambda step: copy_context().run(step))
    assert asked == ["outer", "inner", "inner", "outer"]


def within(meter: TokenMeter, run: Callable[[Callable[[], str | None]], str | None]) -> list[str]:
    @tokenmeter.metered(customer="outer")
    def generator() -> Iterator[str]:
        yield call(meter)
        with tokenmeter.attribute(customer="inner"):
            yield call(meter)
            yield call(meter)
        yield call(meter)

    iterator = generator()
    found: list[str] = []
    while (said := run(lambda: next(iterator, None))) is not None:
        assert is_nobodys(current_scope())
        found.append(said)
    return found
