"""Media calls played end to end: a submit, its polls, and the event that they give."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2

from tests.capture.play import Answer, Player
from tokenmeter import TokenMeter
from tokenmeter.capture.reader import BodyReader
from tokenmeter.event import Event
from tokenmeter.providers import Call, Reading, Request, find
from tokenmeter.providers.base import COUNT_MAX, NO_READING

Json = dict[str, Any]
_SHARED = Path(__file__).parents[3] / "shared" / "vectors" / "media_samples.json"
SAMPLES = Path(os.environ.get("TOKENMETER_MEDIA_SAMPLES", _SHARED))
# Of our own, written from the facts and the vendors' documents before they were played.
FURTHER_SAMPLES = Path(__file__).with_name("further_samples.json")
CUSTOMER = "acme"
FLUSH_S = 60  # on a machine that does much else
# What a sample's own words for the end of a job mean.
FAILED = ("failed", "expired", "filtered", "cancelled", "moderated")
GOING_ON = ("pending", "queued", "running", "processing", "in_progress", "submitted")


@dataclass(frozen=True)
class Step:
    """One request and its answer: JSON, or a str for server-sent events."""

    method: str
    url: str
    answer: Any
    body: Json | None = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True)
class Played:
    """What a meter made of some steps: its events, and the jobs that still go on."""

    events: list[Event]
    pending: list[Json]

    @property
    def event(self) -> Event:
        (event,) = self.events
        return event


def samples(*providers: str, path: Path = SAMPLES) -> list[Any]:
    """The rows of media_samples.json of these providers; none if the file is missing."""
    if not path.is_file():
        return []
    rows = json.loads(path.read_text(encoding="utf-8"))
    return [row for row in rows if row["provider"] in providers]


def played(*steps: Step) -> Played:
    """Play the steps through an httpx2 client; only the first of them is attributed."""
    meter = TokenMeter(backend="memory:")
    client = meter.wrap(Player([_answer(step) for step in steps]).client(httpx2))
    try:
        for place, step in enumerate(steps):
            with meter.attribute(customer=None if place else CUSTOMER):
                client.request(step.method, step.url, json=step.body, headers=dict(step.headers))
        assert meter.flush(FLUSH_S)
        assert meter.faults == 0
        return Played(list(meter.backend.events), meter.jobs.pending())
    finally:
        meter.shutdown()


def _answer(step: Step) -> Answer:
    streamed = isinstance(step.answer, str)
    kind = "text/event-stream" if streamed else "application/json"
    body = step.answer if streamed else json.dumps(step.answer)
    return Answer(step.status, {"content-type": kind, **step.headers}, [body.encode()])


def departures(sample: Json, made: Played) -> list[str]:
    """Name everything in which the event is not what the sample must yield; [] if nothing."""
    state = sample.get("expected_state", "success")
    if state in GOING_ON:
        return [] if not made.events else ["a job that goes on gave an event"]
    if len(made.events) != 1:
        return [f"{len(made.events)} events instead of one"]
    event = made.event
    outcome = "failed" if state in FAILED else "success"
    pairs: dict[str, tuple[object, object]] = {
        "outcome": (event.properties["outcome"], outcome),
        "provider": (event.properties["provider"], sample["provider"]),
        "model": (event.properties.get("model"), sample["model"]),
        "customer": (event.external_customer_id, CUSTOMER),
        **{
            metric: (Decimal(event.usage.get(metric, 0)), Decimal(str(number)))
            for metric, number in sample["expected"].items()
        },
        **_charges(sample, event.properties),
    }
    return [f"{k}: {got!r}, expected {want!r}" for k, (got, want) in pairs.items() if got != want]


def _charges(sample: Json, properties: Mapping[str, Any]) -> dict[str, tuple[object, object]]:
    """What the provider says it charged: money, or its own units."""
    names = {"provider_cost_usd": "reported_cost_usd"}
    found: Json = sample.get("expected_provider_reported", {})
    return {
        name: (Decimal(properties.get(names.get(name, name), "-1")), Decimal(str(amount)))
        for name, amount in found.items()
    }


def described(method: str, url: str, body: Json | None = None) -> Call | None:
    """What the registered adapter makes of a request."""
    parts = urlsplit(url)
    adapter = find(parts.hostname or "", parts.path)
    if adapter is None:
        return None
    request = Request(method, parts.hostname or "", parts.path, parts.query, {}, body or {})
    return adapter.describe(request)


def asked(method: str, url: str, body: Json | None = None) -> Call:
    """The same, of a request that is a metered call."""
    call = described(method, url, body)
    assert call is not None
    return call


def read(call: Call, body: Any) -> Reading:
    """Read one whole answer and settle it, as capture does."""
    reader = BodyReader(call.api, "application/json")
    reader.feed(json.dumps(body).encode())
    reader.end()
    return call.api.settle(reader.reading, call)


def read_parsed(call: Call, *payloads: Any) -> Reading:
    """Fold payloads that are parsed already; what is no object is passed over."""
    reading = NO_READING
    for payload in payloads:
        if isinstance(payload, dict):
            reading = reading | call.api.read(payload)
    return call.api.settle(reading, call)


def is_clean(reading: Reading) -> bool:
    """Nothing in it is anything but a number that may be or a text."""
    numbers = all(
        type(number) in (int, Decimal) and 0 <= number <= COUNT_MAX
        for number in reading.usage.values()
    )
    texts = (reading.model, reading.response_id, reading.error_type, reading.cost)
    words = all(type(word) in (str, type(None)) for word in texts)
    return numbers and words and {type(v) for v in reading.dimensions.values()} <= {str}
