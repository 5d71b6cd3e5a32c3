"""Jobs of every family of media: submitted by one meter, seen ten times to end by another."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.capture.play import Answer, Player
from tests.providers.media import CUSTOMER, GOING_ON, Json, Step, played, samples
from tests.providers.sample_steps import PROVIDERS, steps
from tokenmeter import TokenMeter
from tokenmeter.event import Event

POLLS = 10


# What proxies, gateways and busy providers answer to a poll.
NOISE: list[tuple[int, Any]] = [
    (500, {"error": {"code": "internal", "message": "x"}}),
    (429, {"error": {"code": "rate_limit", "message": "x"}}),
    (404, {"detail": "not found"}),
    (403, {"code": "AccessDenied", "message": "m", "request_id": "r"}),
    (502, {"status": "failed"}),
    (503, "<html>bad gateway</html>"),
    (200, {}),
    (200, []),
    (200, None),
    (200, {"message": "ok"}),
    (200, {"code": 0, "data": None}),
    (200, {"base_resp": {"status_code": 1002, "status_msg": "rate limit"}}),
]


def is_job(sample: Json) -> bool:
    """Whether its end is seen by another request than its submit."""
    return len(steps(sample)) > 1 and sample.get("expected_state") not in GOING_ON


JOBS = [sample for sample in samples(*PROVIDERS) if is_job(sample)]
NAMELESS = ("fal",)  # a result names no request; its webhooks hold it in an envelope
NAMED = [sample for sample in JOBS if sample["provider"] not in NAMELESS]


def play(home: Path, exchanges: Iterable[Step], customer: str | None) -> list[Event]:
    """Play them through a meter of its own on one state directory; all events there are."""
    meter = TokenMeter(f"sqlite:///{home / 'usage.db'}", state_dir=home)
    try:
        for step in exchanges:
            answer = Answer(
                step.status,
                {"content-type": "application/json", **step.headers},
                [json.dumps(step.answer).encode()],
            )
            client = meter.wrap(Player([answer]).client(httpx2))
            with meter.attribute(customer=customer):
                client.request(step.method, step.url, json=step.body, headers=dict(step.headers))
        assert meter.flush(30)
        assert meter.faults == 0
        return list(meter.engine.events().events)
    finally:
        meter.shutdown()


def told(home: Path, sample: Json, bodies: Iterable[Json]) -> list[Event]:
    """Settle the bodies as webhooks; all events that there are."""
    meter = TokenMeter(f"sqlite:///{home / 'usage.db'}", state_dir=home)
    try:
        for body in bodies:
            meter.settle_job(sample["provider"], body)
        assert meter.flush(30)
        assert meter.jobs.pending() == []
        return list(meter.engine.events().events)
    finally:
        meter.shutdown()


@pytest.mark.skipif(not JOBS, reason="no media samples")
@pytest.mark.parametrize("sample", [pytest.param(row, id=row["id"]) for row in JOBS])
def test_ten_polls_of_another_process_and_a_webhook_are_one_event(
    tmp_path: Path, sample: Json
) -> None:
    submit, *polls = steps(sample)
    assert play(tmp_path, [submit], CUSTOMER) == []
    (event,) = play(tmp_path, polls * POLLS, None)
    assert event.external_customer_id == CUSTOMER
    assert event.properties["provider"] == sample["provider"]
    assert_yields(event, sample)
    if sample["provider"] not in NAMELESS:
        assert told(tmp_path, sample, [polls[-1].answer]) == [event]


def assert_yields(event: Event, sample: Json) -> None:
    found = {name: Decimal(event.usage.get(name, 0)) for name in sample["expected"]}
    assert found == {name: Decimal(str(n)) for name, n in sample["expected"].items()}


@pytest.mark.skipif(not JOBS, reason="no media samples")
@pytest.mark.parametrize("sample", [pytest.param(row, id=row["id"]) for row in JOBS])
def test_answers_that_say_nothing_of_a_job_do_not_end_it(sample: Json) -> None:
    *before, last = steps(sample)
    noise = [replace(last, status=status, answer=body) for status, body in NOISE]
    event = played(*before, *noise, last).event
    assert (event.external_customer_id, event.usage) == (
        CUSTOMER,
        played(*before, last).event.usage,
    )
    assert_yields(event, sample)


@pytest.mark.skipif(not NAMED, reason="no media samples")
@pytest.mark.parametrize("sample", [pytest.param(row, id=row["id"]) for row in NAMED])
def test_a_webhook_alone_gives_the_submits_customer_the_event(
    tmp_path: Path, sample: Json
) -> None:
    submit, *polls = steps(sample)
    play(tmp_path, [submit], CUSTOMER)
    (event,) = told(tmp_path, sample, [polls[-1].answer] * 2)
    assert event.external_customer_id == CUSTOMER
    assert_yields(event, sample)
