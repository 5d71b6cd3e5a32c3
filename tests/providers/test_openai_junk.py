"""Recorded answers with junk in any place: nothing is raised, and junk never becomes a number."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.corpus import CORPUS, FREE_APIS, Exchange, load
from tests.providers.fold import as_request
from tests.providers.junk import JUNK, is_sound, places, replaced, settled
from tokenmeter.capture.passed import event_data
from tokenmeter.providers import Reading, Request
from tokenmeter.providers.compatible import describe_compatible
from tokenmeter.providers.openai import describe
from tokenmeter.usage import METRICS

pytestmark = pytest.mark.skipif(not CORPUS.is_dir(), reason=f"no corpus at {CORPUS}")

FOLDERS = (
    *("openai", "azure", "groq", "mistral", "deepseek", "xai", "openrouter", "cerebras"),
    *("perplexity", "together", "huggingface", "zai", "vercel-gateway"),
)
LENGTHS = {"seconds", "prompt_audio_seconds"}  # need not be whole


@cache
def recordings() -> tuple[tuple[Exchange, tuple[dict[str, Any], ...]], ...]:
    """The recorded exchanges that are metered and answer in JSON, with their payloads."""
    found = [(e, payloads(e)) for e in load(*FOLDERS) if e.api not in FREE_APIS]
    return tuple((exchange, parts) for exchange, parts in found if parts)


def payloads(exchange: Exchange) -> tuple[dict[str, Any], ...]:
    """The JSON objects of an answer: its body, or the first and last events of its stream."""
    try:
        found = [json.loads(exchange.body)]
    except ValueError:
        events = [event_data(raw) for raw in re.split(rb"\r?\n\r?\n", exchange.body)]
        found = [json.loads(event) for event in events if event.startswith(b"{")]
    return tuple(p for p in (found if len(found) < 4 else found[:2] + found[-2:]) if p)


def check(reading: Reading) -> None:
    for usage in (reading.usage, *(part.usage for part in reading.parts)):
        assert all(metric in METRICS and is_sound(number) for metric, number in usage.items())
    strings = (reading.model, reading.response_id, reading.error_type, reading.cost)
    assert all(value is None or isinstance(value, str) for value in strings)
    assert all(isinstance(value, str) for value in reading.dimensions.values())
    assert reading.error_type != "prompt text"
    assert reading.cost is None or Decimal(reading.cost) >= 0
    assert not reading.raw


@settings(max_examples=600, deadline=None, derandomize=True)
@given(data=st.data())
def test_junk_anywhere_in_an_answer_is_survived(data: st.DataObject) -> None:
    exchange, parts = data.draw(st.sampled_from(recordings()))
    call = describe(as_request(exchange))
    assert call is not None
    found = list(parts)
    at = data.draw(st.integers(0, len(found) - 1))
    place = data.draw(st.sampled_from(places(found[at])))
    found[at] = replaced(found[at], place, data.draw(st.sampled_from(JUNK)))
    check(settled(call, found))


def usage_places() -> list[Any]:
    """One recording of each API with every place within its usage."""
    found: dict[tuple[str, str], Any] = {}
    for exchange, parts in recordings():
        for payload in parts:
            inside = [place for place in places(payload) if "usage" in place[:-1]]
            if inside:
                found[exchange.provider, exchange.api] = (exchange, payload, inside)
    return list(found.values())


@pytest.mark.parametrize("junk", JUNK, ids=repr)
def test_junk_in_a_count_leaves_the_count_out_or_unchanged(junk: Any) -> None:
    for exchange, payload, inside in usage_places():
        call = describe(as_request(exchange))
        assert call is not None
        before = list(settled(call, [payload]).usage.values())
        for place in inside:
            after = settled(call, [replaced(payload, place, junk)])
            check(after)
            harmless = junk in before or junk in (0, 1) or place[-1] in LENGTHS
            assert harmless or junk not in after.usage.values()


@settings(max_examples=200, deadline=None, derandomize=True)
@given(data=st.data())
def test_junk_anywhere_in_a_request_is_survived(data: st.DataObject) -> None:
    exchange, _ = data.draw(st.sampled_from(recordings()))
    request = as_request(exchange)
    spots = places(request.body)
    body: dict[str, Any] = {}
    if spots:
        place = data.draw(st.sampled_from(spots))
        body = replaced(request.body, place, data.draw(st.sampled_from(JUNK)))
    for host in (request.host, "gateway.test"):
        spoilt = Request(request.method, host, request.path, request.query, {}, body)
        call = describe(spoilt)
        assert call is None or all(isinstance(v, str) for v in call.dimensions.values())
        assert describe_compatible(spoilt, "azure") is not None
