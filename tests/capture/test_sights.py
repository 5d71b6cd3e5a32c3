"""Repeated sights of one thing in the recordings: one event, in either order."""

from __future__ import annotations

import pytest

from tests.capture.test_corpus import player_of, request_of
from tests.corpus import CORPUS, Exchange, load
from tokenmeter import Event, TokenMeter

PAIR = ("openai-responses-2b546a3d7419", "openai-responses.retrieve-e2709979a73a")

pytestmark = pytest.mark.skipif(not CORPUS.is_dir(), reason="no corpus")


def recorded(identity: str) -> Exchange:
    found = [exchange for exchange in load("openai") if exchange.id == identity]
    if not found:
        pytest.skip(f"{identity} is not in this corpus")
    return found[0]


def play(meter: TokenMeter, identity: str) -> None:
    exchange = recorded(identity)
    with player_of(exchange).client() as client:
        client.request(**request_of(exchange))


@pytest.mark.parametrize("order", [PAIR, PAIR[::-1], (*PAIR, *PAIR, PAIR[1])])
def test_a_background_response_is_one_event_whatever_is_seen_first(
    meter: TokenMeter, order: tuple[str, ...]
) -> None:
    for identity in order:
        play(meter, identity)
    assert meter.flush(30)
    events: list[Event] = meter.backend.events
    expected = recorded(PAIR[1]).expected
    assert len(events) == 1
    assert events[0].properties["input_tokens"] == expected["input_tokens"]
    assert events[0].properties["output_tokens"] == expected["output_tokens"]
    assert not meter.health()["jobs_pending"]
