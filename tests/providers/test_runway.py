"""Runway: what a task asks for, how it ends, and the credits it kept."""

from __future__ import annotations

from typing import Any

import pytest

from tests.providers.media import CUSTOMER, Json, Step, asked, described, played, read
from tests.providers.sample_steps import RUNWAY
from tokenmeter.event import Event
from tokenmeter.providers.runway import ADAPTER

POLL = f"{RUNWAY}/tasks/t1"
SUBMITTED = {"id": "t1", "estimatedCost": {"credits": 25}}
DONE: Json = {
    "id": "t1",
    "createdAt": "2026-11-21T10:00:00Z",
    "status": "SUCCEEDED",
    "output": ["https://x/1.mp4?_jwt=e"],
    "cost": {"credits": 25},
}
GEN4: Json = {"model": "gen4_turbo", "ratio": "1280:720", "duration": 5, "promptImage": "u"}


def ended(body: Json, place: str = "image_to_video", **fields: Any) -> Event:
    running = {"id": "t1", "status": "RUNNING", "progress": 0.5, "createdAt": DONE["createdAt"]}
    return played(
        Step("POST", f"{RUNWAY}/{place}", SUBMITTED, body),
        Step("GET", POLL, running),
        *[Step("GET", POLL, {**DONE, **fields})] * 3,
    ).event


def test_a_video_has_the_length_that_was_asked_for_and_the_credits_it_cost() -> None:
    event = ended(GEN4)
    facts = event.properties
    assert (event.event_name, event.usage.video_seconds) == ("video_generated", 5)
    assert (facts["model"], facts["resolution"], facts["size"]) == (
        "gen4_turbo",
        "720p",
        "1280x720",
    )
    assert (facts["provider_credits"], facts["cost_usd"]) == ("25", "0.25")
    assert (facts["input_type"], event.external_customer_id) == ("image", CUSTOMER)


def test_the_credits_are_billed_whatever_the_state() -> None:
    kept = ended(GEN4, status="FAILED", output=None, failureCode="INTERNAL.BAD_OUTPUT.CODE01")
    facts = kept.properties
    assert (facts["outcome"], facts["billable"]) == ("failed", "false")
    assert (facts["error_type"], facts["cost_usd"]) == ("INTERNAL.BAD_OUTPUT.CODE01", "0.25")
    refunded = ended(GEN4, status="CANCELLED", output=None, cost={"credits": 0}).properties
    assert (refunded["error_type"], refunded["cost_usd"]) == ("cancelled", "0")
    assert "video_seconds" not in facts


@pytest.mark.parametrize(
    ("body", "length"),
    [
        ({"duration": "8"}, "8"),
        ({"duration": 5.5}, "5.5"),
        ({"duration": "auto"}, "None"),
        ({"duration": -1}, "None"),
        ({}, "None"),
        ({"model": "seedance2_5"}, "5"),
        ({"model": "kling2.5_turbo_pro"}, "5"),
        ({"providerSettings": {"multiPrompt": [{"duration": 3}, {"duration": 4}]}}, "7"),
        ({"providerSettings": {"multiPrompt": [{"duration": 3}, {}]}}, "None"),
    ],
)
def test_a_length_is_never_guessed(body: Json, length: str) -> None:
    event = ended({"model": "gen4_turbo", **body})
    assert str(event.usage.video_seconds) == length
    assert ("missing:video_seconds" in str(event.properties.get("flags", ""))) == (
        length == "None"
    )


def test_the_router_says_which_model_it_chose_and_what_was_left_open() -> None:
    resolved = {"duration": 4, "ratio": "1920:1080", "resolution": "1080p"}
    routing = {"model": "veo3.1_fast", "provider": "google", "estimatedCost": {"credits": 48}}
    submitted = {"id": "t1", "routing": {**routing, "resolvedInput": resolved}}
    body = {"configId": "cheap", "input": {"promptText": "a fox", "audio": True}}
    made = played(
        Step("POST", f"{RUNWAY}/generate/video", submitted, body),
        Step("GET", POLL, {**DONE, "cost": {"credits": 48}}),
    )
    event, facts = made.event, made.event.properties
    assert (facts["model"], event.usage.video_seconds) == ("veo3.1_fast", 4)
    assert (facts["resolution"], facts["generate_audio"]) == ("1080p", "true")
    assert (facts["cost_usd"], event.external_customer_id) == ("0.48", CUSTOMER)
    asked_for = {**body, "input": {"duration": 6, "resolution": "720p"}}
    kept = played(
        Step("POST", f"{RUNWAY}/generate/video", submitted, asked_for), Step("GET", POLL, DONE)
    ).event
    assert kept.usage.video_seconds == 6
    images = {"configId": "cheap", "input": {"outputCount": 2}}
    drawn = played(
        Step("POST", f"{RUNWAY}/generate/image", {"id": "t1", "routing": routing}, images),
        Step("GET", POLL, {**DONE, "output": ["https://x/1.png", "https://x/2.png"]}),
    ).event
    assert (drawn.event_name, drawn.usage.image_count) == ("image_generated", 2)
    assert described("GET", f"{RUNWAY}/generate/video") is None


def test_images_are_counted_as_delivered() -> None:
    body = {"model": "gen4_image", "ratio": "1920:1080", "outputCount": 4}
    event = ended(body, "text_to_image", output=["https://x/1.png", "https://x/2.png", ""])
    assert (event.event_name, event.usage.image_count) == ("image_generated", 2)
    assert (event.properties["resolution"], event.properties["n"]) == ("1080p", "4")
    assert event.properties["operation"] == "text_to_image"


def test_a_picture_that_failed_was_a_picture() -> None:
    event = ended({"model": "gen4_image"}, "text_to_image", status="FAILED", output=None)
    assert (event.event_name, event.properties["operation"]) == (
        "image_generated",
        "text_to_image",
    )


@pytest.mark.parametrize("output", [[], None, "https://x/1.mp4", [None], {"node": []}])
def test_a_task_without_output_has_failed(output: Any) -> None:
    reading = read(asked("GET", POLL), {**DONE, "output": output})
    assert (reading.state, reading.error_type) == ("failed", "no_output")


def test_a_workflow_delivers_by_its_nodes() -> None:
    output = {"n1": ["https://x/1.png"], "n2": ["https://x/2.png"], "n3": "x"}
    submit = Step("POST", f"{RUNWAY}/workflows/w1", SUBMITTED, {})
    poll = Step("GET", f"{RUNWAY}/workflow_invocations/t1", {**DONE, "output": output})
    event = played(submit, poll).event
    assert (event.event_name, event.usage.image_count) == ("image_generated", 2)
    assert event.properties["operation"] == "workflows"


@pytest.mark.parametrize("stage", ["PENDING", "THROTTLED", "RUNNING", "DREAMING", "", None, 7])
def test_any_other_word_is_no_end(stage: Any) -> None:
    assert read(asked("GET", POLL), {**DONE, "status": stage}).state == "pending"


@pytest.mark.parametrize(
    ("place", "body", "event_name", "usage", "facts"),
    [
        ("text_to_video", {"audio": False}, "video_generated", {}, {"generate_audio": "false"}),
        ("text_to_video", {"ratio": "auto_1080p"}, "video_generated", {}, {"resolution": "1080p"}),
        ("text_to_video", {"ratio": "16:9"}, "video_generated", {}, {"aspect_ratio": "16:9"}),
        ("text_to_video", {"model": "hailuo3"}, "video_generated", {}, {"resolution": "768p"}),
        ("text_to_video", {"resolution": "2K"}, "video_generated", {}, {"resolution": "2k"}),
        ("video_to_video", {"duration": 4}, "video_generated", {"video_seconds": 4}, {}),
        ("video_upscale", {"duration": 4}, "video_generated", {}, {"input_type": "video"}),
        ("text_to_image", {"quality": "low"}, "image_generated", {"image_count": 1}, {}),
        (
            "text_to_image",
            {"referenceImages": [{}]},
            "image_generated",
            {},
            {"input_type": "image"},
        ),
        ("text_to_speech", {"promptText": "abc"}, "audio_generated", {"characters": 3}, {}),
        (
            "sound_effect",
            {"duration": 2},
            "audio_generated",
            {"audio_seconds": 2},
            {"input_type": "text"},
        ),
        ("voice_isolation", {}, "audio_generated", {}, {}),
        ("recipes/product_campaign_image", {}, "image_generated", {}, {}),
        ("recipes/multi_shot_video", {"duration": 9}, "video_generated", {"video_seconds": 9}, {}),
    ],
)
def test_a_submit_says_what_a_price_needs(
    place: str, body: Json, event_name: str, usage: Json, facts: Json
) -> None:
    call = asked("POST", f"{RUNWAY}/{place}", body)
    assert (call.provider, call.api.event_name) == ("runway", event_name)
    assert usage.items() <= dict(call.usage).items()
    assert facts.items() <= dict(call.dimensions).items()


@pytest.mark.parametrize(
    ("method", "place"),
    [
        ("GET", "image_to_video"),
        ("DELETE", "tasks/t1"),
        ("POST", "uploads"),
        ("POST", "realtime_sessions"),
        ("GET", "organization"),
        ("POST", "avatars/a1/x/y"),
    ],
)
def test_what_makes_nothing_is_no_call(method: str, place: str) -> None:
    assert described(method, f"{RUNWAY}/{place}") is None


def test_an_answer_that_is_no_task_says_nothing() -> None:
    submit = asked("POST", f"{RUNWAY}/image_to_video")
    assert read(submit, {"error": "no"}).error_type == "refused"
    assert read(submit, {}).state is None
    assert read(submit, {"status": "PENDING"}).error_type == "no_job_id"


def test_a_webhook_is_a_task() -> None:
    assert ADAPTER.webhook is not None
    call = ADAPTER.webhook(DONE)
    assert call is not None
    assert (call.job_id, call.repeated) == ("t1", True)
    assert ADAPTER.webhook({"id": "t1", "status": 7}) is ADAPTER.webhook({}) is None
