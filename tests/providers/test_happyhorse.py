"""happyhorse.app: one job, one price by mode; the length is in the request."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.providers.junk import check, spoiled
from tests.providers.media import (
    Json,
    Step,
    asked,
    described,
    played,
    read,
    read_parsed,
)
from tests.providers.sample_steps import HAPPYHORSE
from tokenmeter.providers import Reading
from tokenmeter.providers.happyhorse import ADAPTER

GENERATE = f"{HAPPYHORSE}/generate"
POLL = f"{HAPPYHORSE}/status?task_id=t1"
ACCEPTED = {"code": 200, "message": "success", "data": {"task_id": "t1", "status": "IN_PROGRESS"}}
DONE = {"resultUrls": ["https://x/1.mp4"]}
SHOTS = [{"prompt": "a", "duration": 3}, {"prompt": "b", "duration": "4"}]


def task(status: Any = "SUCCESS", **fields: Any) -> Json:
    return {"code": 200, "data": {"task_id": "t1", "status": status, "response": DONE, **fields}}


def polled(status: Any = "SUCCESS", **fields: Any) -> Reading:
    return read(asked("GET", POLL), task(status, **fields))


@pytest.mark.parametrize(
    ("body", "dimensions", "length"),
    [
        (
            {},
            {
                "mode": "std",
                "aspect_ratio": "16:9",
                "generate_audio": "true",
                "input_type": "text",
            },
            5,
        ),
        (
            {
                "mode": "pro",
                "aspect_ratio": "9:16",
                "sound": False,
                "image_urls": ["u"],
                "duration": "10",
            },
            {
                "mode": "pro",
                "aspect_ratio": "9:16",
                "generate_audio": "false",
                "input_type": "image",
            },
            10,
        ),
    ],
)
def test_a_submit_says_what_a_price_needs(body: Json, dimensions: Json, length: int) -> None:
    call = asked("POST", GENERATE, body)
    assert dict(call.dimensions) == dimensions
    assert dict(call.usage) == {"video_seconds": length}
    assert (call.provider, call.request_model) == ("happyhorse", "happyhorse-1.0/video")


@pytest.mark.parametrize(
    ("body", "usage"),
    [
        ({"multi_shots": True, "multi_prompt": SHOTS}, {"video_seconds": 7}),
        ({"multi_shots": True, "multi_prompt": [{"prompt": "a"}]}, {}),
        ({"multi_shots": True, "multi_prompt": "x", "duration": 6}, {"video_seconds": 6}),
        ({"multi_shots": False, "multi_prompt": SHOTS}, {"video_seconds": 5}),
        ({"duration": -1}, {}),
        ({"duration": "long"}, {}),
    ],
)
def test_the_length_is_that_of_all_shots_and_junk_is_left_out(body: Json, usage: Json) -> None:
    assert dict(asked("POST", GENERATE, body).usage) == usage


@pytest.mark.parametrize(
    ("method", "url"),
    [
        ("GET", GENERATE),
        ("GET", f"{HAPPYHORSE}/status"),
        ("POST", POLL),
        ("GET", f"{HAPPYHORSE}/credits"),
        ("POST", "http://localhost:11434/api/generate"),
    ],
)
def test_other_requests_are_no_calls(method: str, url: str) -> None:
    assert described(method, url, {"model": "llama3"}) is None


@pytest.mark.parametrize("status", ["SUCCESS", "COMPLETED", "success"])
def test_trap_04_success_has_two_names(status: str) -> None:
    reading = polled(status, consumed_credits=400)
    assert dict(reading.usage) == {"video_jobs": 1, "video_count": 1, "output_count": 1}
    assert reading.flags == {"missing:video_seconds"}  # only the submit knows them
    assert reading.dimensions["provider_credits"] == "400"


def test_the_addresses_may_be_a_bare_list() -> None:
    assert polled("SUCCESS", response=["https://x/1.mp4"]).usage.video_jobs == 1
    assert polled("SUCCESS", response=[]).error_type == "no_output"


@pytest.mark.parametrize("status", ["IN_PROGRESS", "PENDING", "REVIEWING", None, 7])
def test_an_unknown_state_is_no_end(status: Any) -> None:
    assert polled(status).state == "pending"


@pytest.mark.parametrize(
    ("status", "fields", "error_type"),
    [
        ("FAILED", {"error_message": "quota exceeded"}, "failed"),
        ("FAILED", {"error_code": "moderated"}, "moderated"),
        ("CANCELLED", {}, "cancelled"),
        ("SUCCESS", {"response": None}, "no_output"),
        ("SUCCESS", {"response": {"resultUrls": [""]}}, "no_output"),
    ],
)
def test_trap_03_a_job_fails_within_http_200(status: str, fields: Json, error_type: str) -> None:
    reading = polled(status, **fields)
    assert (reading.state, reading.error_type) == ("failed", error_type)
    assert dict(reading.usage) == {}


def test_a_refusal_with_http_200_is_no_job() -> None:
    refused = read(asked("POST", GENERATE), {"code": 402, "message": "no credits", "data": None})
    assert (refused.state, refused.error_type) == ("failed", "402")
    assert read(asked("POST", GENERATE), {"code": 200, "data": None}).state is None
    assert read(asked("GET", POLL), {}).state == "pending"


def test_trap_07_the_event_has_mode_and_seconds_of_the_submit() -> None:
    body = {"mode": "pro", "duration": 8, "model": "happyhorse-1.0/video"}
    without_id = {"code": 200, "data": {"status": "SUCCESS", "response": DONE}}
    event = played(
        Step("POST", GENERATE, ACCEPTED, body),
        Step("GET", POLL, ACCEPTED),
        Step("GET", POLL, without_id),
    ).event
    assert (event.external_customer_id, event.properties["mode"]) == ("acme", "pro")
    assert (event.usage.video_jobs, event.usage.video_seconds) == (1, 8)
    assert "flags" not in event.properties
    assert event.properties["cost_usd"] == "2.4"


def test_a_webhook_is_a_poll() -> None:
    assert ADAPTER.webhook is not None
    told = ADAPTER.webhook(task())
    assert told is not None
    assert (told.job_id, told.repeated) == ("t1", True)
    assert ADAPTER.webhook({"data": {"status": "SUCCESS"}}) is None


@settings(max_examples=300, deadline=None, derandomize=True)
@given(data=st.data())
def test_junk_anywhere_is_survived(data: st.DataObject) -> None:
    call = data.draw(st.sampled_from([asked("GET", POLL), asked("POST", GENERATE)]))
    found = data.draw(spoiled([data.draw(st.sampled_from([ACCEPTED, task()]))]))
    check(read_parsed(call, *found), 8)  # one job, one video, one output, five seconds
    (body,) = data.draw(spoiled([{"duration": 5, "multi_shots": True, "multi_prompt": SHOTS}]))
    sent = asked("POST", GENERATE, body if isinstance(body, dict) else {})
    assert sum(sent.usage.values()) <= 24  # text that is a number is one
    assert all(isinstance(value, str) for value in sent.dimensions.values())
