"""BFL: the submit says the price, the poll whether an image was made."""

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
from tests.providers.sample_steps import BFL
from tokenmeter.providers import Reading
from tokenmeter.providers.bfl import ADAPTER

PRO = f"{BFL}/flux-pro-1.1"
POLL = "https://api.us1.bfl.ai/v1/get_result?id=r1"
SUBMITTED = {"id": "r1", "polling_url": POLL, "cost": 4.0, "input_mp": 0, "output_mp": 0.79}
READY = {"id": "r1", "status": "Ready", "result": {"sample": "https://x/1.png", "seed": 1}}


def polled(**fields: Any) -> Reading:
    return read(asked("GET", POLL), {**READY, **fields})


@pytest.mark.parametrize(
    ("model", "body", "dimensions"),
    [
        ("flux-pro-1.1", {}, {"input_type": "text", "size": "1024x768"}),
        (
            "flux-pro-1.1",
            {"width": 1440, "height": "800", "image_prompt": "aGk="},
            {"input_type": "image", "size": "1440x800"},
        ),
        ("flux-pro-1.1-ultra", {}, {"input_type": "text", "aspect_ratio": "16:9"}),
        (
            "flux-kontext-pro",
            {"input_image": "aGk=", "aspect_ratio": "1:1", "output_format": "png"},
            {"input_type": "image", "aspect_ratio": "1:1", "output_format": "png"},
        ),
        ("flux-2-pro", {"width": 1024}, {"input_type": "text"}),
    ],
)
def test_a_submit_says_what_a_price_needs(model: str, body: Json, dimensions: Json) -> None:
    call = asked("POST", f"{BFL}/{model}", body)
    assert dict(call.dimensions) == dimensions
    assert (call.provider, call.request_model, call.api.event_name) == (
        "bfl",
        model,
        "image_generated",
    )


@pytest.mark.parametrize(
    ("method", "place"),
    [
        ("GET", "flux-pro-1.1"),
        ("GET", "get_result"),
        ("POST", "get_result?id=r1"),
        ("GET", "my_finetunes"),
        ("GET", "credits"),
        ("POST", "delete_finetune"),
        ("POST", "licenses/models/flux-1-dev/usage"),
    ],
)
def test_what_generates_nothing_is_no_call(method: str, place: str) -> None:
    assert described(method, f"{BFL}/{place}") is None


def test_a_gateway_is_its_own_provider() -> None:
    call = asked("GET", "https://gateway.test/bfl/v1/get_result?x=1&id=r%2F1")
    assert (call.provider, call.job_id, call.repeated) == ("gateway.test", "r/1", True)


def test_a_submit_knows_its_price_and_its_megapixels() -> None:
    reading = read(asked("POST", PRO), SUBMITTED)
    assert (reading.state, reading.response_id) == ("pending", "r1")
    assert dict(reading.dimensions) == {
        "provider_credits": "4",
        "megapixels": "0.79",
        "input_megapixels": "0",
    }


def test_an_image_that_is_ready_is_counted() -> None:
    assert dict(polled().usage) == {"image_count": 1, "output_count": 1}
    assert polled(cost=4.5).dimensions["provider_credits"] == "4.5"


def test_a_video_is_a_video_at_the_price_of_its_poll() -> None:
    asked_for = {"mode": "v2v", "duration": 8, "resolution": "fhd", "generate_audio": False}
    result = {"sample": "https://x/video.mp4?se=1", "duration": 41.5}  # of the work
    event = played(
        Step("POST", f"{BFL}/flux-3-video", {**SUBMITTED, "cost": 42}, asked_for),
        Step("GET", POLL, {**READY, "cost": 85, "result": result}),
    ).event
    one = dict.fromkeys(("video_count", "output_count", "video_jobs"), 1)
    made = {metric: count for metric, count in event.usage.items() if metric != "request_count"}
    assert (event.event_name, made) == ("video_generated", {**one, "video_seconds": 8})
    facts = event.properties
    assert (facts["input_type"], facts["resolution"]) == ("video", "1080p")
    assert (facts["provider_credits"], facts["cost_usd"]) == ("85", "0.85")
    open_ended = asked("POST", f"{BFL}/flux-3-video", {"mode": "t2v"})
    assert (dict(open_ended.usage), open_ended.dimensions["resolution"]) == ({}, "720p")


@pytest.mark.parametrize("model", ["flux-tools/erase-v1", "vto-v2", "flux-2-klein-9b"])
def test_tools_are_image_models_too(model: str) -> None:
    call = asked("POST", f"{BFL}/{model}", {"image": "aGk="})
    assert (call.request_model, call.api.event_name) == (model, "image_generated")


@pytest.mark.parametrize("stage", ["Pending", "Queued", "Task not found", "", None, 7])
def test_trap_04_any_other_word_is_no_end(stage: Any) -> None:
    assert polled(status=stage).state == "pending"


@pytest.mark.parametrize(
    ("fields", "error_type"),
    [
        ({"status": "Content Moderated", "result": None}, "content_moderated"),
        ({"status": "Request Moderated"}, "request_moderated"),
        ({"status": "Error"}, "error"),
        ({"status": "Failed"}, "failed"),
        ({"result": None}, "no_output"),
    ],
)
def test_trap_03_a_filtered_image_has_failed_within_http_200(
    fields: Json, error_type: str
) -> None:
    reading = polled(**fields)
    assert (reading.state, reading.error_type) == ("failed", error_type)
    assert dict(reading.usage) == {}


def test_an_answer_that_is_no_task_says_nothing() -> None:
    assert read(asked("POST", PRO), {"detail": []}).state is None
    assert read(asked("GET", POLL), {"detail": []}).state == "pending"
    assert read(asked("POST", PRO), {"status": "Pending"}).error_type == "no_job_id"


def test_a_moderated_image_is_a_failed_event_of_the_customer() -> None:
    moderated = {"id": "r1", "status": "Content Moderated", "result": None}
    event = played(Step("POST", PRO, SUBMITTED, {}), Step("GET", POLL, moderated)).event
    assert (event.properties["outcome"], event.properties["billable"]) == ("failed", "false")
    assert event.properties["error_type"] == "content_moderated"
    assert (event.external_customer_id, event.properties["model"]) == ("acme", "flux-pro-1.1")
    assert "image_count" not in event.properties


def test_a_webhook_is_a_poll() -> None:
    assert ADAPTER.webhook is not None
    told = ADAPTER.webhook({**READY, "timestamp": "2026-11-21T10:30:00Z"})
    assert told is not None
    assert (told.job_id, told.repeated) == ("r1", True)
    old = ADAPTER.webhook({"task_id": "r2", "status": "Ready"})
    assert old is not None
    assert old.job_id == "r2"
    assert ADAPTER.webhook(SUBMITTED) is ADAPTER.webhook({"status": "Ready"}) is None


@settings(max_examples=300, deadline=None, derandomize=True)
@given(data=st.data())
def test_junk_anywhere_is_survived(data: st.DataObject) -> None:
    call = data.draw(st.sampled_from([asked("GET", POLL), asked("POST", PRO)]))
    found = data.draw(spoiled([data.draw(st.sampled_from([SUBMITTED, READY]))]))
    check(read_parsed(call, *found), counted(READY) + 2)
    (body,) = data.draw(spoiled([{"width": 1, "height": 2, "aspect_ratio": "1:1"}]))
    sent = asked("POST", PRO, body if isinstance(body, dict) else {})
    assert all(isinstance(value, str) for value in sent.dimensions.values())
