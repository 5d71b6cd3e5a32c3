"""Anthropic's streams as they end: complete, aborted, failed, refused."""

from __future__ import annotations

from typing import Any

import pytest

from tests.providers.anthropic_wire import (
    OVERLOADED,
    STOP,
    Json,
    delta,
    message,
    read_body,
    read_stream,
    says,
    start,
    tokens,
)
from tokenmeter.providers.anthropic import MESSAGES, read
from tokenmeter.providers.base import NO_READING


def test_a_stream_is_complete_at_message_stop_only() -> None:
    begun = (start(tokens(3, 1)), says("Hi"))
    assert read_stream(*begun).state is None
    assert read_stream(*begun, delta(tokens(3, 4))).state is None
    assert read_stream(*begun, delta(tokens(3, 4)), STOP).state == "success"


def test_an_aborted_stream_has_its_exact_input_and_a_placeholder_for_output() -> None:
    reading = read_stream(start(tokens(600, 3, read=10)), says("Once upon"))
    assert reading.usage.input_tokens == 610
    assert "output_placeholder" in reading.flags
    assert reading.usage.output_count is None


def test_a_message_delta_replaces_the_placeholder() -> None:
    for later in (delta(tokens(600, 40)), delta({"output_tokens": 40}, stop_reason=None)):
        reading = read_stream(start(tokens(600, 3)), later)
        assert reading.usage.output_tokens == 40
        assert reading.flags == frozenset()


def test_a_message_delta_without_output_leaves_the_placeholder() -> None:
    reading = read_stream(start(tokens(600, 3)), delta({}), STOP)
    assert "output_placeholder" in reading.flags


def test_the_text_of_a_stream_event_is_what_the_model_wrote() -> None:
    assert MESSAGES.text is not None
    for name in ("text", "thinking", "partial_json"):
        assert MESSAGES.text({"delta": {"type": f"{name}_delta", name: "words"}}) == "words"
    assert MESSAGES.text({"delta": {"type": "signature_delta", "signature": "abc"}}) == ""
    assert MESSAGES.text({"delta": ["text"]}) == ""


def test_an_error_event_fails_the_stream_and_keeps_its_usage() -> None:
    reading = read_stream(start(tokens(600, 3)), says("Hi"), OVERLOADED)
    assert (reading.state, reading.error_type) == ("failed", "overloaded_error")
    assert reading.usage.input_tokens == 600
    assert "secret" not in repr(reading)


@pytest.mark.parametrize(
    ("body", "error_type"),
    [
        ({"type": "error", "error": {"type": "not_found_error"}}, "not_found_error"),
        ({"error": {"code": 404, "status": "NOT_FOUND", "message": "secret"}}, "NOT_FOUND"),
        ({"error": "secret"}, "error"),
    ],
)
def test_an_error_body_names_its_type_and_never_its_message(body: Json, error_type: str) -> None:
    reading = read_body(body)
    assert (reading.state, reading.error_type) == ("failed", error_type)
    assert dict(reading.usage) == {}
    assert "secret" not in repr(reading)


def test_a_message_without_a_type_is_read_by_its_usage() -> None:
    body = message(tokens(3, 4))
    del body["type"]
    assert read_body(body).usage.input_tokens == 3
    assert read_body({"role": "assistant"}) == NO_READING


@pytest.mark.parametrize("kind", ["ping", "message_begin", 7])
def test_an_event_of_an_unknown_type_says_nothing(kind: object) -> None:
    assert read({"type": kind, "usage": tokens(3, 4)}) == NO_READING


def refused(category: str | None, output: int, **fields: Any) -> Json:
    details = {"type": "refusal", "category": category}
    return message(tokens(106, output), stop_reason="refusal", stop_details=details, **fields)


@pytest.mark.parametrize(
    ("category", "dimension", "free"),
    [("cyber", "cyber", True), (None, "unnamed", True), ("bio", "bio", False)],
)
def test_a_refusal_before_any_output_is_charged_in_some_categories_only(
    category: str | None, dimension: str, *, free: bool
) -> None:
    for body in (refused(category, 1, content=[]), refused(category, 0)):
        reading = read_body(body)
        assert reading.dimensions["refusal"] == dimension
        assert ("unbilled_refusal" in reading.flags) is free
        assert reading.usage.input_tokens == 106


def test_a_refusal_in_mid_stream_is_charged() -> None:
    details = {"type": "refusal", "category": "cyber"}
    last = delta(tokens(106, 40), "refusal", stop_details=details)
    reading = read_stream(start(tokens(106, 1)), says("First,"), last, STOP)
    assert reading.dimensions["refusal"] == "cyber"
    assert reading.flags == frozenset()
