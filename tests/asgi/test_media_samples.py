"""Media calls through the gateway, submit and poll, give the events that they give directly."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.asgi.driving import ask, scope_of
from tests.asgi.upstream import answering
from tests.capture.play import chunks_of
from tests.providers.media import FLUSH_S, FURTHER_SAMPLES, Json, Step, played, samples
from tests.providers.sample_steps import PROVIDERS, steps
from tokenmeter import Event, TokenMeter
from tokenmeter.asgi import TokenMeterMiddleware
from tokenmeter.providers import adapters, find

ROWS = [*samples(*PROVIDERS), *samples(*PROVIDERS, path=FURTHER_SAMPLES)]
CHUNK_BYTES = 113
# Of one process, one exchange, or the time of the answer; a prefix stands for one region.
OWN = frozenset({"run_id", "call_id", "region", "cost_usd", "cost_note"})


async def through(meter: TokenMeter, step: Step, customer: str | None) -> None:
    """Ask the gateway for what a step asks its provider for; the answer itself is read."""
    url = urlsplit(step.url)
    adapter = find(url.hostname or "", url.path)
    assert adapter is not None
    stream = isinstance(step.answer, str)
    kind = "text/event-stream" if stream else "application/json"
    body = step.answer.encode() if stream else json.dumps(step.answer).encode()
    gateway = TokenMeterMiddleware(
        answering(
            step.status, {"content-type": kind, **step.headers}, chunks_of(body, CHUNK_BYTES)
        ),
        customer=lambda _request: customer,
        prefixes={"/there": prefix_of(step)},
        meter=meter,
    )
    path = f"/there{url.path}" + (f"?{url.query}" if url.query else "")
    sent = b"" if step.body is None else json.dumps(step.body).encode()
    scope = scope_of(
        step.method, path, [("content-type", "application/json"), *step.headers.items()]
    )
    assert (await ask(gateway, scope, sent)).body == body


def prefix_of(step: Step) -> str:
    """The provider's name."""
    url = urlsplit(step.url)
    host = url.hostname or ""
    names = [adapter.name for adapter in adapters() if adapter.owns(host)]
    return "google-vertex" if "aiplatform" in host else names[0]


def told(events: list[Event]) -> list[dict[str, Any]]:
    return [
        {
            "event_name": event.event_name,
            "customer": event.external_customer_id,
            **{k: v for k, v in event.properties.items() if k not in OWN},
        }
        for event in events
    ]


@pytest.mark.parametrize("sample", [pytest.param(row, id=row["id"]) for row in ROWS])
async def test_a_sample_is_metered_at_the_gateway_as_at_the_provider(sample: Json) -> None:
    way = steps(sample)
    directly = played(*way)
    meter = TokenMeter("memory:")
    try:
        for place, step in enumerate(way):
            await through(meter, step, "acme" if place == 0 else None)
        assert meter.flush(FLUSH_S)
        assert told(list(meter.backend.events)) == told(directly.events)
        assert len(meter.jobs.pending()) == len(directly.pending)
    finally:
        meter.shutdown()
