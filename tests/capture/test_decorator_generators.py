"""Decorated generators of both kinds: all that can be done to them still can be."""

from __future__ import annotations

import asyncio
import gc
import inspect
import threading
from collections.abc import AsyncGenerator, Generator
from typing import Any

import pytest

from tests.capture.test_decorator import BARE, sends
from tests.capture.test_decorator import quiet as quiet  # the fixture
from tests.capture.test_openai_lifecycle import events_of, only
from tokenmeter import TokenMeter
from tokenmeter.attribution import current_scope


def steps() -> Generator[str, Any, str]:
    """A generator that shows everything that is done to it."""
    got: Any = yield "first"
    while got != "stop":
        try:
            got = yield f"got {got}"
        except KeyError as error:
            got = f"caught {error.args[0]}"
    return "returned"


def test_send_throw_and_the_return_value_of_a_generator_are_kept(quiet: TokenMeter) -> None:
    decorated: Any = quiet.metered(customer="acme")(steps)
    assert inspect.isgeneratorfunction(decorated)
    assert inspect.isgenerator(decorated())
    running: Any = decorated()
    assert next(running) == "first"
    assert running.send(1) == "got 1"
    assert running.throw(KeyError("k")) == "got caught k"
    with pytest.raises(StopIteration) as stopped:
        running.send("stop")
    assert stopped.value.value == "returned"
    assert only(quiet).properties["outcome"] == "success"

    def delegating() -> Generator[str, Any, Any]:
        return (yield from decorated())

    outer = delegating()
    next(outer)
    with pytest.raises(StopIteration, match="returned"):
        outer.send("stop")


@pytest.mark.parametrize("how", ["close", "drop", "throw", "GeneratorExit"])
def test_a_generator_that_is_left_early_cleans_up_and_is_recorded_once(
    quiet: TokenMeter, how: str
) -> None:
    cleaned: list[Any] = []

    @quiet.metered(customer="acme")
    def words() -> Generator[str]:
        try:
            yield "one"
            yield "two"
        finally:
            cleaned.append(current_scope())

    running: Any = words()
    assert next(running) == "one"
    if how == "close":
        running.close()
    elif how == "drop":
        del running
        gc.collect()
    else:
        error = ValueError("mine") if how == "throw" else GeneratorExit()
        with pytest.raises(type(error)):
            running.throw(error)
    assert len(cleaned) == 1
    assert cleaned[0].attribution.customer == "acme", "it cleans up inside its scope"
    wanted = "failed" if how == "throw" else "cancelled"
    assert only(quiet).properties["outcome"] == wanted
    assert sends() == BARE


def test_a_generator_that_never_started_did_nothing(quiet: TokenMeter) -> None:
    quiet.metered(steps)().close()
    assert events_of(quiet) == []


def test_dropping_a_generator_inside_a_lock_does_not_block(quiet: TokenMeter) -> None:
    running: Any = quiet.metered(steps)()
    next(running)
    lock = quiet._delivery._journal._writer._lock
    held, done, dropped = threading.Event(), threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            held.set()
            done.wait(10)

    box = [running]
    del running

    def drop() -> None:
        box.clear()
        gc.collect()
        dropped.set()

    threads = [threading.Thread(target=hold), threading.Thread(target=drop)]
    threads[0].start()
    held.wait(10)
    threads[1].start()
    assert dropped.wait(5), "garbage collection waits for the journal's lock"
    done.set()
    for thread in threads:
        thread.join()
    assert only(quiet).properties["outcome"] == "cancelled"


async def test_an_async_generator_keeps_asend_athrow_and_aclose(quiet: TokenMeter) -> None:
    cleaned: list[str] = []

    @quiet.metered(customer="acme")
    async def words() -> AsyncGenerator[str, Any]:
        try:
            got: Any = yield "first"
            while True:
                try:
                    await asyncio.sleep(0)
                    got = yield f"got {got}"
                except KeyError:
                    got = "caught"
        finally:
            await asyncio.sleep(0)
            cleaned.append("yes")

    assert inspect.isasyncgenfunction(words)
    assert inspect.isasyncgen(words())
    running: Any = words()
    assert await anext(running) == "first"
    assert await running.asend(1) == "got 1"
    assert await running.athrow(KeyError("k")) == "got caught"
    await running.aclose()
    assert cleaned == ["yes"]
    assert only(quiet).properties["outcome"] == "cancelled"
    again: Any = words()
    await anext(again)
    with pytest.raises(ValueError, match="mine"):
        await again.athrow(ValueError("mine"))
    assert [e.properties["outcome"] for e in events_of(quiet)] == ["cancelled", "failed"]
