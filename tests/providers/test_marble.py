"""World Labs: worlds are operations that end with a price in credits."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.providers.junk import check, counted, spoiled
from tests.providers.media import (
    Json,
    Step,
    asked,
    described,
    played,
    read,
    read_parsed,
)
from tests.providers.sample_steps import MARBLE
from tokenmeter.providers import Reading
from tokenmeter.providers.marble import ADAPTER

GENERATE = f"{MARBLE}/worlds:generate"
POLL = f"{MARBLE}/operations/op1"
CREATED = "2026-08-01T10:05:00+00:00"
TEXT = {"type": "text", "text_prompt": "a greenhouse"}


def operation(**fields: Any) -> Json:
    return {
        "operation_id": "op1",
        "done": True,
        "created_at": "2026-08-01T10:00:00Z",
        "updated_at": "2026-08-01T10:05:00Z",
        "error": None,
        "metadata": {"world_id": "w1"},
        "response": {"world_id": "w1", "model": "marble-1.1", "world_prompt": None},
        "cost": {"total_credits": 1580, "line_items": [{"name": "World", "credits": 1500}]},
        **fields,
    }


def polled(**fields: Any) -> Reading:
    return read(asked("GET", POLL), operation(**fields))


@pytest.mark.parametrize(
    ("body", "dimensions"),
    [
        ({}, {"quality": "standard", "input_mode": "text", "input_type": "text"}),
        (
            {"model": "marble-1.0-draft", "world_prompt": {"type": "multi-image"}},
            {"quality": "draft", "input_mode": "multi_image", "input_type": "image"},
        ),
        (
            {"model": "Marble 0.1-mini", "world_prompt": {"type": "image", "is_pano": True}},
            {"quality": "draft", "input_mode": "pano_image", "input_type": "image"},
        ),
        (
            {"model": "marble-1.1-plus", "world_prompt": {"type": "image", "is_pano": "auto"}},
            {"quality": "standard", "input_mode": "image", "input_type": "image"},
        ),
        (
            {"world_prompt": {"type": "video"}},
            {"quality": "standard", "input_mode": "video", "input_type": "video"},
        ),
    ],
)
def test_a_submit_says_what_a_price_needs(body: Json, dimensions: Json) -> None:
    call = asked("POST", GENERATE, body)
    assert dict(call.dimensions) == dimensions
    assert call.request_model == body.get("model", "marble-1.1")


@pytest.mark.parametrize(
    ("method", "place"),
    [
        ("GET", "worlds/w1"),
        ("POST", "worlds:list"),
        ("DELETE", "worlds/w1"),
        ("POST", "media-assets:prepare_upload"),
        ("GET", "credits"),
        ("POST", "operations/op1"),
        ("GET", "worlds:generate"),
    ],
)
def test_what_generates_nothing_is_no_call(method: str, place: str) -> None:
    assert described(method, f"{MARBLE}/{place}") is None


def test_a_gateway_is_its_own_provider() -> None:
    call = asked("POST", "https://gateway.test/marble/v1/worlds:generate", {"world_prompt": TEXT})
    assert (call.provider, call.api.event_name) == ("gateway.test", "world_generated")


def test_a_world_is_counted_and_its_credits_are_kept() -> None:
    reading = polled()
    assert dict(reading.usage) == {"world_count": 1, "output_count": 1}
    assert reading.dimensions["provider_credits"] == "1580"
    assert (reading.state, reading.created) == ("success", "2026-08-01T10:05:00Z")


def test_an_image_that_proved_to_be_a_panorama_is_one() -> None:
    prompt = {"type": "image", "is_pano": True}
    reading = polled(response={"world_id": "w1", "world_prompt": prompt})
    assert reading.dimensions["input_mode"] == "pano_image"


@pytest.mark.parametrize(
    ("fields", "error_type"),
    [
        ({"error": {"code": 400, "message": "content policy"}}, "400"),
        ({"error": {"message": "content policy"}, "done": False}, "error"),
        ({"error": "a text"}, "error"),
        ({"response": None, "cost": None}, "no_output"),
        ({"response": {"world_id": ""}}, "no_output"),
    ],
)
def test_an_operation_without_a_world_has_failed(fields: Json, error_type: str) -> None:
    reading = polled(**fields)
    assert (reading.state, reading.error_type) == ("failed", error_type)
    assert dict(reading.usage) == {}


def test_trap_04_only_done_true_is_an_end() -> None:
    for done in (False, None, "true", 1):
        assert polled(done=done).state == "pending"
    assert read(asked("GET", POLL), {}).state == "pending"
    assert read(asked("POST", GENERATE), {"done": False}).state is None


def test_a_panorama_is_an_image_and_an_export_is_a_call() -> None:
    pano = asked("POST", f"{MARBLE}/pano:depth_to_rgb", {"text_prompt": "x"})
    export = asked("POST", f"{MARBLE}/worlds/w1:export", {"asset_type": "splats"})
    assert (pano.api.event_name, export.api.event_name) == ("image_generated", "api_calls")
    made = polled(response={"pano_url": "https://x/p.png"}, cost={"total_credits": 80})
    assert (made.event_name, made.usage.image_count, made.usage.world_count) == (
        "image_generated",
        1,
        None,
    )
    file = {"asset_type": "splats", "format": "ply", "url": "https://x/w.ply"}
    exported = read(export, operation(response=file))
    assert (exported.event_name, dict(exported.usage)) == ("api_calls", {"output_count": 1})


def test_trap_06_ten_polls_and_a_webhook_are_one_event() -> None:
    submit = Step("POST", GENERATE, operation(done=False, response=None, cost=None), {})
    going = Step("GET", POLL, operation(done=False, response=None, cost=None))
    done = Step("GET", POLL, operation())
    made = played(submit, going, *[done] * 10)
    assert {event.event_id for event in made.events} == {made.events[0].event_id}
    assert {event.timestamp.isoformat() for event in made.events} == {CREATED}
    assert {event.external_customer_id for event in made.events} == {"acme"}
    assert ADAPTER.webhook is not None
    told = ADAPTER.webhook(operation())
    assert told is not None
    assert (told.provider, told.job_id, told.repeated) == ("marble", "op1", True)
    assert ADAPTER.webhook({"done": True}) is None


def test_a_job_that_goes_on_is_no_event() -> None:
    made = played(Step("POST", GENERATE, operation(done=False), {"world_prompt": TEXT}))
    assert made.events == []
    assert [job["job_id"] for job in made.pending] == ["op1"]


@settings(max_examples=300, deadline=None, derandomize=True)
@given(data=st.data())
def test_junk_anywhere_in_an_answer_is_survived(data: st.DataObject) -> None:
    payloads = [operation(), operation(response={"pano_url": "u"})]
    calls = [asked("GET", POLL), asked("POST", GENERATE)]
    call = data.draw(st.sampled_from(calls))
    found = data.draw(spoiled([data.draw(st.sampled_from(payloads))]))
    check(read_parsed(call, *found), counted(payloads))


@settings(max_examples=200, deadline=None, derandomize=True)
@given(data=st.data())
def test_junk_anywhere_in_a_request_is_survived(data: st.DataObject) -> None:
    (body,) = data.draw(spoiled([{"model": "marble-1.1", "world_prompt": {**TEXT, "is_pano": 1}}]))
    call = asked("POST", GENERATE, body if isinstance(body, dict) else {})
    assert all(isinstance(value, str) for value in call.dimensions.values())
