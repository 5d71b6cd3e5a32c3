"""500 streams at once, 100 of them left half way: one event each, and nothing left behind."""

from __future__ import annotations

import asyncio
import json
from collections import Counter

import pytest
from gateway.app import create_app
from starlette.requests import ClientDisconnect

from tests.asgi.driving import ask, scope_of
from tests.asgi.test_lifecycle import CHUNKS, SSE, STREAMED
from tests.capture.play import Answer, Player
from tokenmeter import TokenMeter

STREAMS = 500
LEFT = 100
CUSTOMERS = 20
OUTPUT_TOKENS = 60


@pytest.mark.parametrize("spec", ["2.4", "2.3"], ids=["send raises", "receive tells"])
async def test_many_streams_at_once(spec: str) -> None:
    meter = TokenMeter("memory:")
    player = Player([Answer(200, SSE, CHUNKS)])
    keys = {f"key-{number}": f"customer-{number}" for number in range(CUSTOMERS)}
    app = create_app(meter, keys, transport=player.async_transport())
    before = asyncio.all_tasks()

    async def stream(number: int) -> None:
        headers = [("authorization", f"Bearer key-{number % CUSTOMERS}")]
        scope = scope_of("POST", "/v1/chat/completions", headers)
        scope["asgi"] = {"version": "3.0", "spec_version": spec}
        leaves_after = 5 if number < LEFT else None
        try:
            answered = await ask(app, scope, STREAMED, leaves_after=leaves_after)
        except (ClientDisconnect, ExceptionGroup):
            assert leaves_after is not None
            return
        assert leaves_after is not None or answered.chunks == CHUNKS

    await asyncio.gather(*(stream(number) for number in range(STREAMS)))
    await asyncio.sleep(0.05)
    assert asyncio.all_tasks() == before
    assert meter.open_exchanges == set()
    assert player.closed >= STREAMS
    meter.shutdown()
    events = meter.backend.events
    assert len({event.event_id for event in events}) == len(events) == STREAMS
    outcomes = Counter(event.properties["outcome"] for event in events)
    assert outcomes == {"success": STREAMS - LEFT, "cancelled": LEFT}
    whose = Counter(event.external_customer_id for event in events)
    assert whose == dict.fromkeys(keys.values(), STREAMS // CUSTOMERS)
    done = [event for event in events if event.properties["outcome"] == "success"]
    assert {event.usage.output_tokens for event in done} == {OUTPUT_TOKENS}
    assert all("word" not in json.dumps(event.to_dict()) for event in events)
