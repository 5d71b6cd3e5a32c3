"""The Responses API: bodies, events, background jobs, hosted tools."""

from __future__ import annotations

from typing import Any

import pytest

from tests.providers.openai_wire import (
    RESPONSES,
    body_of,
    call,
    get,
    response,
    response_tokens,
    stream_of,
)
from tokenmeter.providers import Reading
from tokenmeter.providers.openai_responses import delta_text
from tokenmeter.providers.openai_tools import IMAGE_TOOL_MODEL


def read(**fields: Any) -> Reading:
    return body_of(call(RESPONSES, {"model": "gpt-5"}), response(**fields))


def event(kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": f"response.{kind}", "response": response(**fields), "sequence_number": 1}


def test_a_response_reports_totals_and_parts() -> None:
    usage = response_tokens(
        100,
        40,
        input_tokens_details={"cached_tokens": 30, "cache_write_tokens": 20},
        output_tokens_details={"reasoning_tokens": 25},
    )
    reading = read(usage=usage, service_tier="flex")
    assert dict(reading.usage) == {
        "input_tokens": 100,
        "output_tokens": 40,
        "total_tokens": 140,
        "cache_read_tokens": 30,
        "cache_write_tokens": 20,
        "reasoning_tokens": 25,
        "uncached_input_tokens": 50,
    }
    assert reading.created == 1_790_000_000
    assert reading.dimensions == {"service_tier": "flex"}
    assert reading.flags == frozenset()


@pytest.mark.parametrize(
    ("status", "state", "error"),
    [
        ("completed", "success", None),
        ("incomplete", "success", None),
        ("failed", "failed", "failed"),
        ("cancelled", "failed", "cancelled"),
        ("queued", "pending", None),
        ("in_progress", "pending", None),
    ],
)
def test_the_state_of_a_body_is_its_status(status: str, state: str, error: str | None) -> None:
    reading = read(status=status)
    assert (reading.state, reading.error_type) == (state, error)


def test_a_failed_response_names_its_error() -> None:
    error = {"code": "server_error", "message": "secret words"}
    assert read(status="failed", error=error).error_type == "server_error"


@pytest.mark.parametrize("last", ["completed", "incomplete"])
def test_a_stream_reports_its_usage_in_its_last_event(last: str) -> None:
    asked = call(RESPONSES, {"stream": True})
    usage = response_tokens(9, 3)
    reading = stream_of(
        asked,
        event("created", status="in_progress", service_tier="auto"),
        event("in_progress", status="in_progress"),
        {"type": "response.output_text.delta", "delta": "Hi"},
        {"type": "response.output_text.delta", "delta": '"usage" in a text'},
        event(last, status=last, usage=usage, service_tier="default"),
    )
    assert (reading.state, reading.usage.input_tokens) == ("success", 9)
    assert reading.dimensions == {"service_tier": "default"}


def test_a_stream_that_has_only_begun_has_an_id_and_no_state() -> None:
    asked = call(RESPONSES, {"stream": True})
    reading = stream_of(asked, event("created", status="in_progress"))
    assert (reading.state, reading.response_id) == (None, response()["id"])


def test_events_that_carry_no_response_report_nothing() -> None:
    delta = {"type": "response.output_text.delta", "delta": "Hi"}
    reading = stream_of(call(RESPONSES, {"stream": True}), delta)
    assert reading == Reading(flags=frozenset({"cut_short"}))


def test_a_background_stream_that_breaks_off_is_a_job_that_goes_on() -> None:
    asked = call(RESPONSES, {"stream": True, "background": True})
    reading = stream_of(asked, event("created", status="queued", background=True))
    assert (reading.state, reading.response_id) == ("pending", response()["id"])


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        ({"type": "error", "code": "rate_limit", "message": "secret words"}, "rate_limit"),
        ({"type": "error", "error": {"code": "overloaded", "message": "m"}}, "overloaded"),
        ({"type": "error", "message": "secret words"}, "error"),
        (
            event("failed", status="failed", error={"code": "server_error", "message": "m"}),
            "server_error",
        ),
        (event("failed", status="failed"), "failed"),
    ],
)
def test_a_stream_may_fail(failure: dict[str, Any], code: str) -> None:
    reading = stream_of(call(RESPONSES), event("created", status="in_progress"), failure)
    assert (reading.state, reading.error_type) == ("failed", code)


def test_trap_07_a_retrieve_reports_the_same_thing_under_the_same_id() -> None:
    usage = response_tokens(51, 15)
    created = read(status="queued")
    seen = body_of(get(f"/v1/responses/{created.response_id}"), response(usage=usage))
    assert created.state == "pending"
    assert seen.response_id == created.response_id
    assert seen.created == created.created
    assert seen.usage.input_tokens == 51


def test_a_poll_without_an_id_in_its_body_keeps_the_one_of_its_path() -> None:
    reading = body_of(get("/v1/responses/resp_1"), {"status": "queued"})
    assert (reading.state, reading.response_id) == ("pending", "resp_1")


def test_an_id_too_short_to_be_unique_is_dropped_where_the_host_is_not_known() -> None:
    mock = call(RESPONSES, {"model": "m"}, host="mock.test")
    assert body_of(mock, response(id="resp_123")).response_id is None
    assert body_of(mock, response()).response_id == response()["id"]
    assert body_of(call(RESPONSES), response(id="resp_123")).response_id == "resp_123"


def test_a_compaction_is_complete_as_it_comes() -> None:
    body = {"object": "response.compaction", "usage": response_tokens(124, 268), "output": []}
    reading = body_of(call("/v1/responses/compact", {"model": "gpt-4o-mini"}), body)
    assert (reading.state, reading.usage.output_tokens) == ("success", 268)


def tools_used(searches: int = 0, **images: Any) -> dict[str, Any]:
    return {"web_search": {"num_requests": searches}, "image_gen": images}


def test_trap_10_searches_are_those_that_are_billed_not_the_calls_in_the_output() -> None:
    calls = [{"type": "web_search_call", "action": {"type": "open_page"}}] * 3
    usage = response_tokens(10, 5)
    assert read(usage=usage, output=calls, tool_usage=tools_used(1)).usage.web_search_count == 1
    assert "web_search_count" not in read(usage=usage, output=calls).usage
    assert read(usage=usage, tool_usage=tools_used(0)).usage.web_search_count == 0


IMAGE = {
    "type": "image_generation_call",
    "status": "completed",
    "result": "iVBOR",
    "size": "1024x1024",
    "quality": "high",
}


def test_trap_10_images_made_by_a_tool_are_a_part_under_their_own_model() -> None:
    tool = {"type": "image_generation", "model": "gpt-image-2", "size": "auto"}
    used = tools_used(
        input_tokens=60,
        input_tokens_details={"text_tokens": 50, "image_tokens": 10},
        cached_tokens=20,
        cached_tokens_details={"cached_text_tokens": 15, "cached_image_tokens": 5},
        output_tokens=4160,
        total_tokens=4220,
    )
    reading = read(usage=response_tokens(100, 20), tools=[tool], output=[IMAGE], tool_usage=used)
    (part,) = reading.parts
    assert (part.name, part.model, part.event_name) == (
        "image_gen",
        "gpt-image-2",
        "image_generated",
    )
    assert dict(part.usage) == {
        "input_tokens": 60,
        "input_text_tokens": 50,
        "input_image_tokens": 10,
        "cache_read_tokens": 20,
        "cache_read_text_tokens": 15,
        "cache_read_image_tokens": 5,
        "uncached_input_tokens": 40,
        "output_tokens": 4160,
        "output_image_tokens": 4160,
        "total_tokens": 4220,
        "output_count": 1,
    }
    assert part.dimensions == {"size": "1024x1024", "quality": "high"}
    assert reading.usage.input_tokens == 100
    assert reading.flags == frozenset()


@pytest.mark.parametrize("tokens", [0, 40])
def test_an_image_of_the_tool_counts_once_on_the_answer_that_delivers_it(tokens: int) -> None:
    used = tools_used(input_tokens=tokens, output_tokens=tokens)
    reading = read(usage=response_tokens(1, 1), output=[IMAGE, IMAGE], tool_usage=used)
    assert reading.usage.image_count == 2
    assert [part.usage.image_count for part in reading.parts] == [None] * bool(tokens)


def test_images_without_tool_usage_are_counted_with_the_answer_and_flagged() -> None:
    failed = {"type": "image_generation_call", "status": "failed", "result": None}
    reading = read(usage=response_tokens(1, 1), output=[IMAGE, failed], tools="junk")
    assert reading.usage.image_count == 1
    assert reading.parts == ()
    assert reading.flags == {"missing:tool_usage"}


def test_an_image_tool_that_names_no_model_is_taken_for_the_default_one() -> None:
    used = tools_used(input_tokens=5, output_tokens=40)
    (part,) = read(usage=response_tokens(1, 1), tools="junk", tool_usage=used).parts
    assert part.model == IMAGE_TOOL_MODEL


def test_image_tokens_without_an_image_in_the_output_are_a_part_all_the_same() -> None:
    details = {"image_tokens": 30, "text_tokens": 10}
    used = tools_used(input_tokens=5, output_tokens=40, output_tokens_details=details)
    (part,) = read(usage=response_tokens(1, 1), tool_usage=used).parts
    assert part.usage.output_image_tokens == 30
    assert part.usage.output_count == 0
    assert part.dimensions == {}


def test_tools_that_used_nothing_are_no_part() -> None:
    used = tools_used(input_tokens=0, output_tokens=0, total_tokens=0)
    assert read(usage=response_tokens(1, 1), tool_usage=used).parts == ()


@pytest.mark.parametrize("junk", [7, "x", [1], {"image_gen": 3, "web_search": "x"}])
def test_tool_usage_that_is_none_does_no_harm(junk: Any) -> None:
    reading = read(usage=response_tokens(1, 1), tool_usage=junk, output=junk)
    assert reading.usage.input_tokens == 1
    assert reading.parts == ()


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        ({"type": "response.output_text.delta", "delta": "a"}, "a"),
        ({"type": "response.function_call_arguments.delta", "delta": "{"}, "{"),
        ({"type": "response.reasoning_summary_text.delta", "delta": "r"}, "r"),
        ({"type": "response.audio.delta", "delta": "UklGR"}, ""),
        ({"type": "response.output_text.done", "text": "a"}, ""),
        ({"type": "response.output_text.delta", "delta": 7}, ""),
        ({"delta": "a"}, ""),
    ],
)
def test_the_text_of_an_event_is_its_delta(payload: dict[str, Any], text: str) -> None:
    assert delta_text(payload) == text
