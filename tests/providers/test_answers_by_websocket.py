"""Answers that come over a websocket of the Responses API, and live interactions of Gemini's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from openai.types.responses import ResponseCompletedEvent

from tokenmeter import Event, TokenMeter

Json = dict[str, Any]
USED = {
    "input_tokens": 50,
    "output_tokens": 7,
    "total_tokens": 57,
    "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
    "output_tokens_details": {"reasoning_tokens": 0},
}
COUNTED = {"total_input_tokens": 4, "total_output_tokens": 3, "total_tokens": 7}


@pytest.fixture
def meter() -> Iterator[TokenMeter]:
    made = TokenMeter("memory:")
    yield made
    made.shutdown()


def ended(kind: str, response_id: str, **more: Any) -> Json:
    response = {
        "id": response_id,
        "object": "response",
        "created_at": 1_790_000_000,
        "model": "gpt-5-2025-08-07",
        "status": kind.partition(".")[2],
        "output": [],
        "usage": USED,
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        **more,
    }
    return {"type": kind, "sequence_number": 9, "response": response}


def told(event: Event | None) -> tuple[Any, ...] | None:
    if event is None:
        return None
    facts = event.properties
    return facts["operation"], facts["model"], facts["outcome"], event.usage.input_tokens


def test_each_answer_of_a_responses_websocket_is_one_event(meter: TokenMeter) -> None:
    with meter.attribute(customer="acme"):
        begun = {"type": "response.created", "response": {"id": "resp_1", "status": "in_progress"}}
        assert meter.read_event("openai", begun) is None
        event = meter.read_event("openai", json.dumps(ended("response.completed", "resp_1")))
    assert event is not None
    assert told(event) == ("responses", "gpt-5-2025-08-07", "success", 50)
    assert event.external_customer_id == "acme"
    assert meter.read_event("openai", ended("response.completed", "resp_1")) is None
    cut = meter.read_event("openai", ended("response.incomplete", "resp_2"))
    assert told(cut) == ("responses", "gpt-5-2025-08-07", "success", 50)


def test_an_answer_that_failed_says_why(meter: TokenMeter) -> None:
    error = {"code": "server_error", "message": "x"}
    event = meter.read_event("azure", ended("response.failed", "resp_3", error=error))
    assert event is not None
    assert (event.properties["outcome"], event.properties["error_type"]) == (
        "failed",
        "server_error",
    )


def test_the_sdks_own_object_is_read_too(meter: TokenMeter) -> None:
    parsed = ResponseCompletedEvent.model_validate(ended("response.completed", "resp_4"))
    assert told(meter.read_event("openai", parsed)) is not None


def test_a_live_interaction_is_one_event_at_its_end(meter: TokenMeter) -> None:
    for name in ("int_1", "int_2"):
        create = {"event_type": "interaction.create", "model": "gemini-3.8-flash"}
        assert meter.read_event("google", create) is None
        begun = {"event_type": "interaction.created", "interaction_id": name}
        assert meter.read_event("google", begun) is None
        assert meter.read_event("google", {"event_type": "step.delta", "delta": {}}) is None
        done = {"event_type": "interaction.completed", "usage": COUNTED}
        event = meter.read_event("google", done)
        assert told(event) == ("interactions", "gemini-3.8-flash", "success", 4)
        assert meter.read_event("google", done) is None


def test_a_cancelled_interaction_is_billed_once_for_what_it_used(meter: TokenMeter) -> None:
    meter.read_event("google", {"event_type": "interaction.create", "model": "gemini-3.8-flash"})
    meter.read_event("google", {"event_type": "interaction.created", "interaction_id": "int_3"})
    cancelled = {"event_type": "interaction.cancelled", "usage": COUNTED}
    event = meter.read_event("google", cancelled)
    assert told(event) == ("interactions", "gemini-3.8-flash", "cancelled", 4)
    assert event is not None
    assert event.properties["billable"] == "true"
    done = {"event_type": "interaction.completed", "usage": COUNTED}
    assert meter.read_event("google", done) is None


@pytest.mark.parametrize("usage", [None, {}, "many", {"total_tokens": -1}, 7])
def test_an_end_without_usage_is_no_event(meter: TokenMeter, usage: Any) -> None:
    end = {"event_type": "interaction.completed", "interaction": {"usage": usage}, "usage": usage}
    assert meter.read_event("google", end) is None
    assert meter.faults == 0


def test_an_interaction_whose_model_nobody_names_says_so(meter: TokenMeter) -> None:
    event = meter.read_event("google", {"event_type": "interaction.completed", "usage": COUNTED})
    assert event is not None
    assert event.properties["flags"] == "model_unknown"
    whole = {"id": "i", "status": "completed", "model": "gemini-3.8-flash", "usage": COUNTED}
    event = meter.read_event(
        "google", {"event_type": "interaction.completed", "interaction": whole}
    )
    assert told(event) == ("interactions", "gemini-3.8-flash", "success", 4)
