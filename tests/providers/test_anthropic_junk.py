"""No recording, however mangled, makes the adapter raise or invent a number."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.corpus import CORPUS, load
from tests.providers.fold import as_request
from tests.providers.junk import numbers, settled, spoiled
from tokenmeter.capture.passed import event_data
from tokenmeter.providers import Request
from tokenmeter.providers.anthropic import describe
from tokenmeter.providers.base import COUNT_MAX

pytestmark = pytest.mark.skipif(not CORPUS.is_dir(), reason=f"no corpus at {CORPUS}")


def payloads(body: bytes) -> list[Any]:
    """The JSON values of a body, of a stream, or of JSON lines."""
    raw = [event_data(part) for part in body.split(b"\n\n")] if b"data:" in body else [body]
    return [json.loads(part) for part in raw if part]


def recordings() -> list[tuple[Request, list[Any]]]:
    found: list[tuple[Request, list[Any]]] = []
    for exchange in load("anthropic"):
        request = as_request(exchange)
        if describe(request) is not None:
            found.append((request, payloads(exchange.body)))
    return found


RECORDED = recordings() if CORPUS.is_dir() else []


@st.composite
def mangled(draw: st.DrawFn) -> tuple[Request, list[Any]]:
    request, recorded = draw(st.sampled_from(RECORDED))
    return request, draw(spoiled(recorded))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(mangled())
def test_mangled_answers_never_raise_and_never_turn_junk_into_numbers(
    case: tuple[Request, list[Any]],
) -> None:
    request, recorded = case
    call = describe(request)
    assert call is not None
    reading = settled(call, recorded)
    wire = numbers(recorded)
    for usage in (reading.usage, *(part.usage for part in reading.parts)):
        for metric, number in usage.items():
            assert isinstance(number, int)
            assert 0 <= number <= 5 * COUNT_MAX, metric
        for metric in ("uncached_input_tokens", "cache_read_tokens", "output_tokens"):
            assert usage.get(metric) is None or usage[metric] in wire
    for value in (reading.model, reading.response_id, reading.error_type):
        assert value is None or isinstance(value, str)
    assert all(isinstance(value, str) for value in reading.dimensions.values())


@given(mangled())
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_mangled_request_is_described_without_raising(case: tuple[Request, list[Any]]) -> None:
    request, recorded = case
    body = recorded[0] if isinstance(recorded[0], dict) else {}
    asked = describe(Request(request.method, request.host, request.path, body=body))
    assert asked is not None
    assert all(isinstance(value, str) for value in asked.dimensions.values())
