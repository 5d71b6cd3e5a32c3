"""Anthropic's usage: totals, streams, cache writes, refusals, odd fields."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.providers.anthropic_wire import (
    STOP,
    Json,
    call,
    delta,
    lifetimes,
    message,
    read_body,
    read_stream,
    says,
    start,
    tokens,
)
from tokenmeter.providers.anthropic import read, settle
from tokenmeter.providers.base import NO_READING

some_tokens = st.integers(0, 10**9)


def test_trap_01_anthropic_input_is_the_sum_never_input_tokens_alone() -> None:
    usage = read_body(message(tokens(17, 100, read=2000, write=56))).usage
    assert usage.input_tokens == 2073
    assert usage.uncached_input_tokens == 17
    assert (usage.cache_read_tokens, usage.cache_write_tokens) == (2000, 56)
    assert (usage.output_tokens, usage.total_tokens) == (100, 2173)


def test_trap_06_anthropic_delta_overwrites_and_never_adds() -> None:
    first, last = tokens(600, 5, read=10), tokens(5500, 500, read=20, write=0)
    reading = read_stream(start(first), says("Hi"), delta({**last}), STOP)
    assert reading.usage.uncached_input_tokens == 5500
    assert reading.usage.input_tokens == 5520
    assert reading.usage.output_tokens == 500


def test_a_null_in_message_delta_keeps_what_message_start_said() -> None:
    later = {"input_tokens": None, "output_tokens": 7, "cache_read_input_tokens": None}
    usage = read_stream(start(tokens(3, 1, read=40)), delta(later), STOP).usage
    assert (usage.input_tokens, usage.output_tokens) == (43, 7)


def test_trap_14_the_served_tier_beats_the_requested_one() -> None:
    asked = call(service_tier="auto", inference_geo="us")
    served = tokens(1, 1, service_tier="priority", speed="fast", inference_geo="global")
    dimensions = {**asked.dimensions, **read_body(message(served), asked).dimensions}
    assert dimensions == {"service_tier": "priority", "speed": "fast", "inference_geo": "global"}


def test_a_stream_keeps_tier_and_split_of_message_start() -> None:
    first = tokens(3, 1, write=300, cache_creation=lifetimes(100, 200), service_tier="standard")
    reading = read_stream(start(first), delta(tokens(3, 9, write=300)), STOP)
    assert reading.dimensions["service_tier"] == "standard"
    assert reading.usage.cache_write_5m_tokens == 100
    assert reading.usage.cache_write_1h_tokens == 200
    assert reading.flags == frozenset()


def test_trap_16_an_explicit_zero_is_not_missing() -> None:
    usage = read_body(message(tokens(0, 0))).usage
    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (0, 0, 0)
    assert usage.cache_read_tokens == 0
    assert usage.reasoning_tokens is None


def test_trap_18_a_cache_split_smaller_than_the_total_is_filled_up_and_flagged() -> None:
    usage = tokens(10, 188, read=12016, write=20718, cache_creation=lifetimes(12016, 0))
    reading = read_body(message(usage))
    assert reading.usage.cache_write_5m_tokens == 20718
    assert reading.usage.cache_write_1h_tokens == 0
    assert reading.flags == {"cache_split_short"}


def test_the_rest_of_a_short_split_keeps_its_long_lived_part() -> None:
    split = {"ephemeral_1h_input_tokens": 30}
    usage = read_body(message(tokens(1, 1, write=100, cache_creation=split))).usage
    assert (usage.cache_write_5m_tokens, usage.cache_write_1h_tokens) == (70, 30)


def test_cache_writes_that_grow_in_mid_stream_have_no_known_lifetime() -> None:
    first = tokens(3, 1, write=2474, cache_creation=lifetimes(2474, 0))
    reading = read_stream(start(first), delta(tokens(17, 594, write=24164)), STOP)
    assert reading.usage.cache_write_tokens == 24164
    assert reading.usage.cache_write_5m_tokens == 2474
    assert reading.usage.input_tokens == 17 + 24164
    assert reading.flags == {"cache_growth_ttl_unknown"}


def test_a_short_split_that_grows_is_both() -> None:
    first = tokens(3, 1, write=100, cache_creation=lifetimes(60, 0))
    reading = read_stream(start(first), delta(tokens(3, 5, write=150)), STOP)
    assert reading.usage.cache_write_5m_tokens == 100
    assert reading.flags == {"cache_split_short", "cache_growth_ttl_unknown"}


def test_a_split_larger_than_the_total_is_not_believed() -> None:
    reading = read_body(message(tokens(1, 1, write=10, cache_creation=lifetimes(8, 8))))
    assert reading.usage.cache_write_tokens == 10
    assert reading.usage.cache_write_5m_tokens is None
    assert reading.flags == {"cache_split_excess"}


def test_a_split_without_a_total_is_the_total() -> None:
    usage: Json = {"input_tokens": 5, "output_tokens": 1, "cache_creation": lifetimes(8, 2)}
    reading = read_body(message(usage))
    assert (reading.usage.cache_write_tokens, reading.usage.input_tokens) == (10, 15)
    assert reading.flags == frozenset()


@given(some_tokens, some_tokens, some_tokens, some_tokens, some_tokens)
def test_parts_are_disjoint_and_make_up_their_total(
    uncached: int, output: int, read_: int, short: int, long: int
) -> None:
    usage = tokens(uncached, output, read_, short + long, cache_creation=lifetimes(short, long))
    found = settle(read(message(usage)), call()).usage
    parts = ("uncached_input_tokens", "cache_read_tokens", "cache_write_tokens")
    assert found["input_tokens"] == sum(found[part] for part in parts)
    split = found["cache_write_5m_tokens"] + found["cache_write_1h_tokens"]
    assert split == found["cache_write_tokens"]
    assert found["total_tokens"] == found["input_tokens"] + found["output_tokens"]


def test_thinking_lies_within_the_output() -> None:
    usage = tokens(3, 215, output_tokens_details={"thinking_tokens": 84})
    found = read_body(message(usage)).usage
    assert (found.output_tokens, found.reasoning_tokens) == (215, 84)


def test_server_tools_are_counted() -> None:
    tools = {"web_search_requests": 2, "web_fetch_requests": 1, "code_execution_requests": 3}
    reading = read_body(message(tokens(3, 4, server_tool_use=tools)))
    assert (reading.usage.web_search_count, reading.usage.web_fetch_count) == (2, 1)
    assert reading.dimensions["code_execution_requests"] == "3"
    assert reading.flags == frozenset()


def test_code_that_ran_in_a_container_is_a_dimension() -> None:
    container = {"id": "container_1", "expires_at": "2026-11-21T10:00:00Z"}
    body = read_body(message(tokens(3, 4), container=container))
    stream = read_stream(start(tokens(3, 1)), delta(tokens(3, 4), container=container), STOP)
    for reading in (body, stream):
        assert reading.dimensions["code_execution"] == "true"
        assert reading.dimensions["container_id"] == "container_1"


@pytest.mark.parametrize("status", [{"type": "redeemed"}, "redeemed"])
def test_the_outcome_of_a_fallback_credit_is_a_dimension(status: object) -> None:
    reading = read_body(message(tokens(3, 4, fallback_credit={"status": status})))
    assert reading.dimensions["fallback_credit"] == "redeemed"
    assert reading.flags == frozenset()


@pytest.mark.parametrize(
    ("usage", "flag"),
    [
        ({"thought_tokens": 5}, "unknown:thought_tokens"),
        ({"server_tool_use": {"image_requests": 1}}, "unknown:image_requests"),
        (
            {"cache_creation": {"ephemeral_12h_input_tokens": 1}},
            "unknown:ephemeral_12h_input_tokens",
        ),
        ({"output_tokens_details": 5}, "invalid:output_tokens_details"),
        ({"service_tier": 5}, "invalid:service_tier"),
        ({"speed": "x" * 201}, "invalid:speed"),
        ({"fallback_credit": []}, "invalid:fallback_credit"),
    ],
)
def test_unknown_and_odd_usage_fields_are_flagged(usage: Json, flag: str) -> None:
    reading = read_body(message({**tokens(3, 4), **usage}))
    assert flag in reading.flags
    assert reading.usage.input_tokens == 3


@pytest.mark.parametrize("junk", [-1, "12", 1.5, True, [], 10**13])
@pytest.mark.parametrize(
    "field", ["input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"]
)
def test_a_total_with_a_part_that_is_no_number_is_left_out(field: str, junk: object) -> None:
    reading = read_body(message({**tokens(3, 4, read=5, write=6), field: junk}))
    assert f"invalid:{field}" in reading.flags
    assert reading.usage.input_tokens is None
    assert reading.usage.total_tokens is None
    assert reading.usage.output_tokens == 4


def test_a_later_good_number_mends_a_bad_one() -> None:
    usage = {**tokens(3, 1), "cache_read_input_tokens": "many"}
    reading = read_stream(start(usage), delta(tokens(3, 4, read=5)), STOP)
    assert reading.usage.input_tokens == 8


def test_an_output_without_an_input_makes_no_total() -> None:
    usage = read_stream(delta({"output_tokens": 9}), STOP).usage
    assert dict(usage) == {"output_tokens": 9, "output_count": 1}


def test_an_input_without_an_output_makes_no_total() -> None:
    usage = read_body(message({"input_tokens": 9})).usage
    assert usage.input_tokens == 9
    assert usage.total_tokens is None


@pytest.mark.parametrize("usage", [None, {}])
def test_a_message_without_usage_has_none(usage: Any) -> None:
    reading = read_body(message(usage))
    assert dict(reading.usage) == {}
    assert reading.state == "success"


def test_usage_that_is_no_object_is_flagged() -> None:
    reading = read_body(message([1, 2]))
    assert dict(reading.usage) == {}
    assert reading.flags == {"invalid:usage"}


def test_nothing_reported_settles_to_nothing() -> None:
    settled = settle(NO_READING, call())
    assert (dict(settled.usage), settled.flags, settled.state) == ({}, frozenset(), None)
