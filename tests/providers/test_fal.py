"""fal: the queue's submit, status and result, calls that are not queued, streams, webhooks."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.providers.media import CUSTOMER, Json, Step, asked, described, played, read
from tests.providers.sample_steps import FAL
from tokenmeter.event import Event
from tokenmeter.providers.fal import ADAPTER, read_headers

DEV = "fal-ai/flux/dev"
POLL = f"{FAL}/fal-ai/flux/requests/r-1"
QUEUED = {"request_id": "r-1", "response_url": POLL, "status": "IN_QUEUE", "queue_position": 2}
RUNNING = {"status": "IN_PROGRESS", "logs": None}
PICTURE = {"url": "https://v3.fal.media/1.png", "width": 1024, "height": 768}
CLIP = {"url": "https://v3.fal.media/o.mp4", "content_type": "video/mp4"}
UNSAFE = {"detail": [{"loc": ["body"], "msg": "no", "type": "content_policy_violation"}]}


def submit(body: Json, model: str = DEV) -> Step:
    return Step("POST", f"{FAL}/{model}", QUEUED, body)


def ended(body: Json, result: Json, model: str = DEV, **headers: str) -> Event:
    done = {"status": "COMPLETED", "logs": None, "metrics": {"inference_time": 1.1}}
    return played(
        submit(body, model),
        Step("GET", f"{POLL}/status", RUNNING),
        Step("GET", f"{POLL}/status", done),
        Step("GET", POLL, result, headers=headers),
        Step("GET", POLL, result, headers=headers),
    ).event


def test_a_queued_picture_is_one_event_with_what_the_header_says() -> None:
    result = {"images": [PICTURE, PICTURE], "has_nsfw_concepts": [False, False]}
    event = ended({"image_size": "landscape_4_3"}, result, **{"x-fal-billable-units": "2"})
    facts = event.properties
    assert (event.event_name, event.usage.image_count) == ("image_generated", 2)
    assert (facts["model"], facts["size"], facts["billable_units"]) == (DEV, "1024x768", "2")
    assert (facts["megapixels"], facts["outcome"]) == ("2", "success")
    assert event.external_customer_id == CUSTOMER
    assert facts["cost_usd"] == "0.05"  # 0.025 for each of two, whose megapixel is begun


@pytest.mark.parametrize(
    ("body", "result", "length"),
    [
        ({"duration": "5"}, {"video": CLIP}, "5"),
        ({"duration": "8s"}, {"video": CLIP}, "8"),
        ({"duration": "3"}, {"video": {**CLIP, "duration": 3.008}}, "3.008"),
        ({"duration": "3"}, {"video": CLIP, "duration": 3.5}, "3.5"),
        ({"duration": 4}, {"videos": [CLIP, CLIP]}, "8"),
        ({"num_frames": 121, "frames_per_second": 24}, {"video": CLIP}, "5.0417"),
        ({"duration": "auto"}, {"video": CLIP}, "None"),
        ({"duration": -1}, {"video": CLIP}, "None"),
        ({"num_frames": 121}, {"video": CLIP}, "None"),
    ],
)
def test_a_video_is_as_long_as_its_file_says_else_as_was_asked(
    body: Json, result: Json, length: str
) -> None:
    event = ended(body, result, "fal-ai/kling-video/v2.1/master/image-to-video")
    assert (event.event_name, str(event.usage.video_seconds)) == ("video_generated", length)
    assert ("missing:video_seconds" in str(event.properties.get("flags", ""))) == (
        length == "None"
    )
    assert event.usage.video_jobs == 1
    assert event.properties["input_type"] == "image"


def test_a_completed_status_with_an_error_is_a_failed_job() -> None:
    failed = {"status": "COMPLETED", "error": "x", "error_type": "runner_disconnected"}
    made = played(submit({}), *[Step("GET", f"{POLL}/status", failed)] * 3)
    facts = made.event.properties
    assert (facts["outcome"], facts["error_type"]) == ("failed", "runner_disconnected")
    assert (facts["billable"], made.event.usage.image_count) == ("false", None)
    assert made.pending == []
    bare = played(submit({}), Step("GET", f"{POLL}/status", {**failed, "error_type": None}))
    assert bare.event.properties["error_type"] == "error"


def test_a_result_that_the_model_refused_is_the_end() -> None:
    made = played(submit({}), Step("GET", POLL, UNSAFE, status=422))
    facts = made.event.properties
    assert (facts["outcome"], facts["error_type"]) == ("failed", "content_policy_violation")
    assert (made.pending, made.event.external_customer_id) == ([], CUSTOMER)


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (400, {"detail": "Request is still in progress"}),
        (401, {"detail": "no key"}),
        (202, RUNNING),
        (200, {"status": "IN_SPACE"}),
        (200, {"logs": []}),
        (500, {}),
    ],
)
def test_a_poll_that_says_nothing_leaves_the_job_pending(status: int, answer: Json) -> None:
    made = played(submit({}), Step("GET", POLL, answer, status=status))
    assert made.events == []
    assert [job["job_id"] for job in made.pending] == ["r-1"]


def test_a_call_that_is_not_queued_has_the_id_of_the_header() -> None:
    at_once = Step(
        "POST",
        f"https://fal.run/{DEV}",
        {"images": [{"url": "data:image/png;base64,aGk="}]},
        {"image_size": {"width": 512, "height": "640"}},
        headers={"x-fal-request-id": "r-7", "x-fal-billable-units": "1.00"},
    )
    facts = played(at_once).event
    assert (facts.usage.image_count, facts.properties["size"]) == (1, "512x640")
    assert facts.properties["billable_units"] == "1"
    refused = played(Step("POST", f"https://fal.run/{DEV}", UNSAFE, {}, 422)).event
    assert refused.properties["error_type"] == "content_policy_violation"


def test_a_large_picture_is_counted_though_it_is_never_kept() -> None:
    large = {"images": [{"url": "data:image/png;base64," + "a" * 300_000, "width": 8}] * 2}
    assert played(Step("POST", f"https://fal.run/{DEV}", large, {})).event.usage.image_count == 2


def test_a_stream_counts_what_its_last_event_holds() -> None:
    parts = [{"images": [PICTURE]}, {"images": [PICTURE, PICTURE]}]
    told = "".join(f"data: {json.dumps(part)}\n\n" for part in parts)
    event = played(Step("POST", f"https://fal.run/{DEV}/stream", told, {})).event
    assert (event.usage.image_count, event.properties["model"]) == (2, DEV)
    assert (event.properties["outcome"], event.properties["streamed"]) == ("success", "true")
    broken = f"data: {json.dumps({'error': 'x', 'detail': UNSAFE['detail']})}\n\n"
    failed = played(Step("POST", f"https://fal.run/{DEV}/stream", broken, {})).event
    assert failed.properties["outcome"] == "failed"


def test_a_status_that_is_streamed_is_a_poll() -> None:
    told = f"data: {json.dumps(RUNNING)}\n\ndata: {json.dumps({'status': 'COMPLETED'})}\n\n"
    made = played(submit({}), Step("GET", f"{POLL}/status/stream", told))
    assert (made.events, len(made.pending)) == ([], 1)


@pytest.mark.parametrize(
    ("result", "event_name", "numbers"),
    [
        ({"image": PICTURE}, "image_generated", {"image_count": 1, "output_count": 1}),
        (
            {"audio": {"url": "https://x/a", "duration": 3}},
            "audio_generated",
            {"audio_seconds": 3, "output_count": 1},
        ),
        ({"audio_url": "https://x/a.mp3"}, "audio_generated", {"output_count": 1}),
        ({"model_mesh": {"url": "https://x/a.glb"}}, "api_calls", {"output_count": 1}),
        ({"video": CLIP, "image": PICTURE}, "video_generated", {"output_count": 1}),
        ({"images": [{"url": "u"}, {"no": 1}, 7, ""]}, "image_generated", {"image_count": 1}),
        ({"output": "some text"}, "text_generated", {}),
    ],
)
def test_what_was_made_is_told_by_its_files(result: Json, event_name: str, numbers: Json) -> None:
    reading = read(asked("GET", POLL), result)
    assert (reading.event_name, reading.state) == (event_name, "success")
    assert numbers.items() <= dict(reading.usage).items()


@pytest.mark.parametrize(
    ("model", "body", "facts"),
    [
        (DEV, {"image_size": "square_hd", "num_images": 2}, {"size": "1024x1024", "n": "2"}),
        (DEV, {"image_size": "auto"}, {"size": "auto"}),
        (DEV, {"image_size": "800*600", "quality": "high"}, {"size": "800x600"}),
        ("fal-ai/nano-banana-2", {"resolution": "4K"}, {"resolution": "4k"}),
        ("fal-ai/nano-banana-2", {"resolution": 7}, {"input_type": "text"}),
        (
            "fal-ai/veo3.1",
            {"resolution": "1080P", "generate_audio": False},
            {"resolution": "1080p"},
        ),
        ("fal-ai/veo3.1", {"generate_audio": False, "fps": 24}, {"generate_audio": "false"}),
        ("fal-ai/wan/v2.2/video-to-video", {}, {"input_type": "video"}),
        ("fal-ai/veo3.1", {"video_url": "u"}, {"input_type": "video"}),
        ("fal-ai/flux-pro/kontext", {"image_url": "u"}, {"input_type": "image"}),
        ("workflows/me/my-flow", {}, {"input_type": "text"}),
    ],
)
def test_a_submit_says_what_a_price_needs(model: str, body: Json, facts: Json) -> None:
    call = asked("POST", f"{FAL}/{model}", body)
    assert facts.items() <= dict(call.dimensions).items()
    assert call.request_model == model


@pytest.mark.parametrize(
    ("method", "url"),
    [
        ("GET", f"{FAL}/{DEV}"),
        ("PUT", f"{POLL}/cancel"),
        ("GET", f"{POLL}/cancel"),
        ("POST", f"{FAL}/"),
        ("POST", "https://rest.fal.ai/storage/upload"),
    ],
)
def test_what_makes_nothing_is_no_call(method: str, url: str) -> None:
    assert described(method, url) is None


def test_the_backup_hosts_of_the_sdk_are_fal_too() -> None:
    assert asked("POST", f"https://queue.falrun.com/{DEV}").provider == "fal"
    assert asked("POST", f"https://falrun.com/{DEV}").provider == "fal"


@pytest.mark.parametrize(
    ("body", "state", "event_name"),
    [
        ({"status": "OK", "payload": {"images": [PICTURE]}}, "success", "image_generated"),
        # Its payload could not be sent: how much was made, its result says.
        ({"status": "OK", "payload": None, "payload_error": "x"}, "pending", None),
        ({"status": "COMPLETED", "error": "Runner failed"}, "failed", None),
        ({"status": "COMPLETED"}, "pending", None),
        ({"status": "ERROR", "error": "x", "payload": UNSAFE}, "failed", None),
        ({"status": "ERROR", "error": "x"}, "failed", None),
    ],
)
def test_a_webhook_that_says_what_was_made_is_an_end(
    body: Json, state: str, event_name: str | None
) -> None:
    told = {"request_id": "r-1", "gateway_request_id": "g-1", **body}
    assert ADAPTER.webhook is not None
    call = ADAPTER.webhook(told)
    assert call is not None
    reading = read(call, told)
    assert (reading.response_id, reading.state) == ("r-1", state)
    assert reading.event_name == event_name


@pytest.mark.parametrize("body", [{}, {"status": "OK"}, QUEUED, {"request_id": "r", "status": 1}])
def test_what_is_no_webhook_is_told(body: Any) -> None:
    assert ADAPTER.webhook is not None
    assert ADAPTER.webhook(body) is None


@pytest.mark.parametrize("units", ["-1", "NaN", "many", ""])
def test_units_that_are_no_number_are_left_out(units: str) -> None:
    assert dict(read_headers({"x-fal-billable-units": units}).dimensions) == {}


def test_an_error_type_of_a_body_comes_first() -> None:
    reading = read(asked("POST", f"{FAL}/{DEV}"), {"detail": "x", "error_type": "bad_request"})
    assert (reading.state, reading.error_type) == ("failed", "bad_request")
    assert read(asked("POST", f"{FAL}/{DEV}"), {"detail": [7]}).error_type == "error"
