"""Luma: generations, which repeat their request; lengths like 5s."""

from __future__ import annotations

from typing import Any

import pytest

from tests.providers.media import CUSTOMER, Json, Step, asked, described, played, read
from tests.providers.sample_steps import LUMA
from tokenmeter.event import Event
from tokenmeter.providers.luma import ADAPTER

POLL = f"{LUMA}/generations/g1"
ASKED: Json = {"model": "ray-2", "resolution": "720p", "duration": "5s", "aspect_ratio": "16:9"}
DONE: Json = {
    "id": "g1",
    "state": "completed",
    "generation_type": "video",
    "model": "ray-2",
    "created_at": "2026-11-21T10:00:00Z",
    "assets": {"video": "https://x/1.mp4"},
    "request": {**ASKED, "generation_type": "video", "prompt": "x"},
}


def ended(body: Json, place: str = "/video", **fields: Any) -> Event:
    done = {**DONE, **fields}
    queued = {**done, "state": "queued", "assets": None}
    return played(
        Step("POST", f"{LUMA}/generations{place}", queued, body, 201),
        Step("GET", POLL, {**queued, "state": "dreaming"}),
        *[Step("GET", POLL, done)] * 3,
    ).event


@pytest.mark.parametrize("place", ["", "/video"])
def test_a_video_has_the_length_that_its_request_says(place: str) -> None:
    event = ended(ASKED, place)
    facts = event.properties
    assert (event.event_name, event.usage.video_seconds) == ("video_generated", 5)
    assert (facts["model"], facts["resolution"]) == ("ray-2", "720p")
    assert (event.usage.output_count, event.external_customer_id) == (1, CUSTOMER)
    assert facts["usage_source"] == "estimated"


@pytest.mark.parametrize(
    ("body", "length"),
    [
        ({"duration": "9s"}, "9"),
        ({"duration": "9"}, "9"),
        ({"duration": 5.041}, "5.041"),
        ({"duration": -1}, "None"),
        ({"duration": "long"}, "None"),
        ({}, "5"),
    ],
)
@pytest.mark.parametrize("repeated", [True, False])
def test_lengths_in_every_spelling(body: Json, length: str, *, repeated: bool) -> None:
    event = ended(body, request=body if repeated and body else None)
    assert str(event.usage.video_seconds) == length
    assert ("missing:video_seconds" in str(event.properties.get("flags", ""))) == (
        length == "None"
    )


def test_an_image_is_one_image() -> None:
    body: Json = {"model": "photon-1", "image_ref": [{"url": "u"}]}
    fields: Json = {"model": "photon-1", "assets": {"image": "https://x/1.jpg"}, "request": body}
    event = ended(body, "/image", **fields, generation_type="image")
    assert (event.event_name, event.usage.image_count) == ("image_generated", 1)
    assert event.properties["input_type"] == "image"
    assert event.usage.video_seconds is None


def test_an_image_made_at_once_is_an_event_at_once() -> None:
    done = {**DONE, "model": "photon-1", "assets": {"image": "u"}, "request": None}
    made = played(Step("POST", f"{LUMA}/generations/image", done, {"sync": True}, 201))
    assert (made.event.usage.image_count, made.pending) == (1, [])


@pytest.mark.parametrize(
    ("place", "operation"),
    [("/video/modify", "modify"), ("/video/reframe", "reframe"), ("/g0/upscale", "upscale")],
)
def test_a_video_that_is_edited_is_as_long_as_it_was(place: str, operation: str) -> None:
    request = {"generation_type": f"{operation}_video", "duration": "5s"}
    event = ended({"duration": "5s", "resolution": "4k"}, place, request=request)
    assert event.usage.video_seconds is None
    assert event.properties["operation"] == f"generations.{operation}"
    assert (event.properties["input_type"], event.usage.video_count) == ("video", 1)


@pytest.mark.parametrize(
    ("reason", "error_type"),
    [
        ("400: Prompt not allowed because of moderation", "filtered"),
        ("oh", "failed"),
        (7, "failed"),
    ],
)
def test_a_generation_that_failed_bills_nothing(reason: Any, error_type: str) -> None:
    event = ended(ASKED, state="failed", failure_reason=reason, assets=None)
    facts = event.properties
    assert (facts["outcome"], facts["error_type"]) == ("failed", error_type)
    assert (facts["billable"], event.usage.video_seconds) == ("false", None)


@pytest.mark.parametrize("assets", [None, {}, {"progress_video": "u"}, {"video": ""}, []])
def test_a_generation_without_assets_has_failed(assets: Any) -> None:
    assert read(asked("GET", POLL), {**DONE, "assets": assets}).error_type == "no_output"


@pytest.mark.parametrize("state", ["queued", "dreaming", "resting", "", None, 7])
def test_any_other_state_goes_on(state: Any) -> None:
    assert read(asked("GET", POLL), {**DONE, "state": state}).state == "pending"


def test_a_page_of_generations_settles_each_of_them() -> None:
    submit = Step("POST", f"{LUMA}/generations", {"id": "g1", "state": "queued"}, ASKED)
    page = {"count": 2, "generations": [DONE, {**DONE, "id": "g2", "state": "dreaming"}]}
    made = played(submit, Step("GET", f"{LUMA}/generations", page))
    assert (made.event.external_customer_id, made.event.usage.video_seconds) == (CUSTOMER, 5)


@pytest.mark.parametrize(
    ("place", "body", "model", "facts"),
    [
        ("", {}, "ray-2", {"resolution": "720p", "input_type": "text"}),
        (
            "/video",
            {"keyframes": {"frame0": {}}, "resolution": "1080P"},
            "ray-2",
            {"resolution": "1080p"},
        ),
        ("/video", {"resolution": ["x"]}, "ray-2", {"resolution": "720p"}),
        ("/image", {}, "photon-1", {"input_type": "text"}),
        ("/image/reframe", {}, None, {"input_type": "image"}),
        ("/g0/audio", {"generation_type": "add_audio"}, None, {"input_type": "video"}),
        ("", {"generation_type": "image"}, "photon-1", {}),
    ],
)
def test_a_submit_says_what_a_price_needs(
    place: str, body: Json, model: str | None, facts: Json
) -> None:
    call = asked("POST", f"{LUMA}/generations{place}", body)
    assert (call.provider, call.request_model) == ("luma", model)
    assert facts.items() <= dict(call.dimensions).items()


@pytest.mark.parametrize(
    ("method", "url"),
    [
        ("GET", f"{LUMA}/credits"),
        ("DELETE", POLL),
        ("POST", POLL),
        ("GET", f"{LUMA}/generations/video"),
        ("GET", f"{LUMA}/generations/concepts/list"),
    ],
)
def test_what_makes_nothing_is_no_call(method: str, url: str) -> None:
    assert described(method, url) is None


def test_a_gateway_is_its_own_provider() -> None:
    url = "https://gw.test/dream-machine/v1/generations"
    assert asked("POST", url).provider == "gw.test"


def test_an_answer_that_is_no_generation_says_nothing() -> None:
    submit = asked("POST", f"{LUMA}/generations")
    assert read(submit, {"detail": "no"}).error_type == "refused"
    assert read(submit, {}).state is None


def test_a_callback_is_a_generation() -> None:
    assert ADAPTER.webhook is not None
    call = ADAPTER.webhook(DONE)
    assert call is not None
    assert (call.job_id, call.repeated) == ("g1", True)
    assert ADAPTER.webhook({"id": "g1", "state": "failed"}) is not None
    assert ADAPTER.webhook({"id": "g1", "state": "x"}) is ADAPTER.webhook({"state": "x"}) is None
