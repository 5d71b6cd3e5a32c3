"""The default meter is set after its clients: what was watched goes over to the new one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

import tokenmeter
from tests.capture import wire
from tests.capture.play import Player
from tests.capture.test_openai_lifecycle import ASK, events_of
from tokenmeter import TokenMeter
from tokenmeter.capture import taps

if TYPE_CHECKING:
    import httpx2

URL = "https://api.openai.com/v1/chat/completions"


@pytest.fixture(autouse=True)
def nothing_before() -> Iterator[None]:
    """No default meter, before and after."""
    tokenmeter.shutdown()
    yield
    tokenmeter.shutdown()
    assert taps.active_sink() is None


def client() -> httpx2.Client:
    made: httpx2.Client = Player([wire.chat()]).client()
    return made


def called(through: httpx2.Client, meter: TokenMeter) -> int:
    """How many events a call leaves with a meter."""
    before = len(events_of(meter))
    through.post(URL, json=ASK)
    return len(events_of(meter)) - before


@pytest.mark.parametrize("times", [1, 3])
def test_configure_after_instrument_meters_everything(times: int) -> None:
    """Nothing was metered any more, and nothing said so."""
    meter = tokenmeter.configure("memory:")
    tokenmeter.instrument()
    for _ in range(times):
        meter = tokenmeter.configure("memory:")
    assert called(client(), meter) == 1


def test_configure_after_wrap_meters_the_client() -> None:
    tokenmeter.configure("memory:")
    wrapped = tokenmeter.wrap(client())
    assert called(wrapped, tokenmeter.configure("memory:")) == 1
    assert called(client(), tokenmeter.configure("memory:")) == 0, "nobody said everything"


def test_a_shutdown_is_an_end_until_the_next_configure() -> None:
    first = tokenmeter.configure("memory:")
    wrapped = tokenmeter.wrap(client())
    tokenmeter.instrument()
    tokenmeter.shutdown()
    assert called(wrapped, first) == 0
    meter = tokenmeter.configure("memory:")
    assert called(client(), meter) == 0
    assert called(wrapped, meter) == 1


def test_instrument_and_uninstrument_are_pairs_also_after_configure() -> None:
    meter = tokenmeter.configure("memory:")
    tokenmeter.instrument()
    for instrumented_again in (True, False):
        meter = tokenmeter.configure("memory:")
        if instrumented_again:
            tokenmeter.instrument()
        assert called(client(), meter) == 1
    tokenmeter.uninstrument()
    assert taps.active_sink() is None
    tokenmeter.instrument()
    assert called(client(), meter) == 1


def test_an_explicit_meter_keeps_what_it_wrapped() -> None:
    explicit = TokenMeter("memory:")
    wrapped = explicit.wrap(client())
    assert called(wrapped, tokenmeter.configure("memory:")) == 0
    assert len(events_of(explicit)) == 1
    explicit.shutdown()
