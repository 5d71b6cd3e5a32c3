"""No recording, however mangled, makes the adapter raise or invent a number."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.corpus import CORPUS, load
from tests.providers.fold import as_request
from tokenmeter.capture.passed import event_data
from tokenmeter.providers import Reading, Request
from tokenmeter.providers.anthropic import describe
from tokenmeter.providers.base import COUNT_MAX

pytestmark = pytest.mark.skipif(not CORPUS.is_dir(), reason=f"no corpus at {CORPUS}")

JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([-1, 1.5, float("nan"), float("inf"), 10**30, "", "12", "x" * 5000]),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=3), st.none() | st.integers(), max_size=2),
)


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


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a JSON value, itself included."""
    if not isinstance(value, dict | list):
        return [path]
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    return [path, *(place for key, item in inner for place in places(item, (*path, key)))]


def replaced(value: Any, path: tuple[Any, ...], by: Any) -> Any:
    if not path:
        return by
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(value[path[0]], path[1:], by)
    return copy


@st.composite
def mangled(draw: st.DrawFn) -> tuple[Request, list[Any]]:
    request, recorded = draw(st.sampled_from(RECORDED))
    recorded = list(recorded)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(recorded) - 1))
        place = draw(st.sampled_from(places(recorded[at])))
        recorded[at] = replaced(recorded[at], place, draw(JUNK))
    return request, recorded


def read_all(request: Request, recorded: list[Any]) -> Reading:
    call = describe(request)
    assert call is not None
    reading = Reading()
    for payload in recorded:
        if isinstance(payload, dict):
            read = call.api.read(payload)
            reading = reading.plus(read) if call.api.adds else reading | read
            assert call.api.text is None or isinstance(call.api.text(payload), str)
    return call.api.settle(reading, call)


def numbers(value: Any) -> set[int]:
    """Every whole number on the wire."""
    if isinstance(value, dict):
        return set().union(*(numbers(item) for item in value.values()))
    if isinstance(value, list):
        return set().union(*(numbers(item) for item in value))
    return {value} if isinstance(value, int) and not isinstance(value, bool) else set()


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(mangled())
def test_mangled_answers_never_raise_and_never_turn_junk_into_numbers(
    case: tuple[Request, list[Any]],
) -> None:
    request, recorded = case
    reading = read_all(request, recorded)
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
