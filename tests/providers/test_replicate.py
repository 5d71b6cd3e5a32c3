"""Replicate: predictions of every kind of model, by their metrics, else by their outputs."""

from __future__ import annotations

from typing import Any

import pytest

from tests.providers.media import CUSTOMER, Json, Step, asked, described, played, read
from tests.providers.sample_steps import REPLICATE
from tokenmeter.event import Event
from tokenmeter.providers.replicate import ADAPTER

VEO = "google/veo-3.1"
HASH = "39ed52f2a78e934b3ba6e2a89f5b1c712de7dfea535525255b1aa35c5565e08b"
POLL = f"{REPLICATE}/predictions/p1"
CLIP = "https://replicate.delivery/x.mp4"
DONE: Json = {
    "id": "p1",
    "model": VEO,
    "version": "hidden",
    "status": "succeeded",
    "output": CLIP,
    "error": None,
    "metrics": {"predict_time": 12.5, "video_output_duration_seconds": 8.0},
    "completed_at": "2026-11-21T15:03:30.000Z",
}


def ended(body: Json, **fields: Any) -> Event:
    done = {**DONE, **fields}
    started = {**done, "status": "starting", "output": None, "metrics": {}}
    return played(
        Step("POST", f"{REPLICATE}/models/{done['model']}/predictions", started, body, 201),
        Step("GET", POLL, {**started, "status": "processing"}),
        *[Step("GET", POLL, done)] * 3,
    ).event


def test_a_video_is_what_its_metrics_say() -> None:
    metrics = {**DONE["metrics"], "resolution_target": "1080p", "with_audio": True}
    event = ended({"input": {"duration": 8, "image": "u"}}, metrics=metrics)
    facts, usage = event.properties, event.usage
    assert (event.event_name, usage.video_seconds, usage.video_jobs) == ("video_generated", 8, 1)
    assert (facts["resolution"], facts["generate_audio"]) == ("1080p", "true")
    assert (facts["model"], facts["input_type"], facts["usage_source"]) == (
        VEO,
        "image",
        "reported",
    )
    assert str(usage.time_seconds) == "12.5"
    assert event.external_customer_id == CUSTOMER
    assert event.timestamp.isoformat() == "2026-11-21T15:03:30+00:00"


@pytest.mark.parametrize(
    ("asked_for", "length"),
    [("5", "5"), ("5s", "5"), (7.5, "7.5"), (-1, "None"), ("auto", "None"), (True, "None")],
)
def test_without_metrics_the_request_says_how_long(asked_for: Any, length: str) -> None:
    event = ended({"input": {"duration": asked_for}}, metrics={})
    assert str(event.usage.video_seconds) == length
    assert event.properties["usage_source"] == "estimated"


_TEXT: tuple[str, Json] = ("text_generated", {})
_PICTURES: tuple[str, Json] = ("image_generated", {"image_count": 2, "output_count": 2})


@pytest.mark.parametrize(
    ("fields", "event_name", "numbers"),
    [
        (
            {
                "metrics": {},
                "model": "black-forest-labs/flux-dev",
                "output": ["https://x/1.png", "https://x/2.webp"],
            },
            "image_generated",
            {"image_count": 2, "output_count": 2},
        ),
        (
            {"metrics": {"image_output_count": 3}, "output": None},
            "image_generated",
            {"image_count": 3, "output_count": 3},
        ),
        ({"metrics": {"video_output_count": 2}}, "video_generated", {"video_count": 2}),
        (
            {"metrics": {"token_input_count": 7, "token_output_count": 9}, "output": ["a", "b"]},
            "text_generated",
            {"input_tokens": 7, "output_tokens": 9},
        ),
        (
            {"metrics": {"audio_output_duration_seconds": "3.5"}, "output": "https://x/a.wav"},
            "audio_generated",
            {"output_count": 1},
        ),
        ({"metrics": None, "output": {"out": "https://x/a.wav"}}, "audio_generated", {}),
        ({"metrics": {}, "output": None}, "video_generated", {"video_count": 1}),
        ({"metrics": {}, "output": None, "model": None}, "api_calls", {}),
        ({"metrics": {}, "output": "https://x/mesh.glb", "model": "a/b"}, "api_calls", {}),
        ({"metrics": {}, "output": "text", "model": "meta/llm-4"}, "text_generated", {}),
        ({"metrics": {}, "output": ["a", " b"], "model": "meta/meta-llama-3-8b"}, *_TEXT),
        ({"metrics": {"image_count": 2}, "output": None, "model": "a/b"}, *_PICTURES),
        (
            {"metrics": {"input_token_count": "7", "output_token_count": "9"}, "model": "a/b"},
            "text_generated",
            {"input_tokens": 7, "output_tokens": 9},
        ),
    ],
)
def test_what_was_made_is_told_by_metrics_then_files_then_the_name(
    fields: Json, event_name: str, numbers: Json
) -> None:
    reading = read(asked("GET", POLL), {**DONE, **fields})
    assert (reading.event_name, reading.state) == (event_name, "success")
    assert numbers.items() <= dict(reading.usage).items()


def test_a_prediction_that_was_waited_for_is_one_event() -> None:
    body = {"version": f"stability-ai/sdxl:{HASH}", "input": {}}
    done = {**DONE, "output": ["https://x/1.png"], "metrics": {}, "model": "stability-ai/sdxl"}
    made = played(Step("POST", f"{REPLICATE}/predictions", done, body, 201))
    assert (made.event.usage.image_count, made.pending) == (1, [])
    assert made.event.properties["request_model"] == "stability-ai/sdxl"


@pytest.mark.parametrize(
    ("fields", "error_type"),
    [
        ({"status": "failed", "error": "NSFW content detected"}, "failed"),
        ({"status": "failed", "error": "E005"}, "E005"),
        ({"status": "canceled"}, "canceled"),
        ({"status": "aborted"}, "aborted"),
    ],
)
def test_a_prediction_that_failed_bills_nothing(fields: Json, error_type: str) -> None:
    event = ended({"input": {"duration": 8}}, **{"output": None, **fields})
    facts = event.properties
    assert (facts["outcome"], facts["billable"], facts["error_type"]) == (
        "failed",
        "false",
        error_type,
    )
    assert event.usage.video_seconds is event.usage.output_count is None


@pytest.mark.parametrize("status", ["starting", "processing", "thinking"])
def test_any_other_state_goes_on(status: str) -> None:
    assert read(asked("GET", POLL), {**DONE, "status": status}).state == "pending"


def test_a_page_of_predictions_settles_each_of_them() -> None:
    submits = [
        Step("POST", f"{REPLICATE}/models/{VEO}/predictions", {"id": i, "status": "starting"}, {})
        for i in ("p1", "p2", "p3")
    ]
    page = {
        "next": None,
        "results": [
            DONE,
            {**DONE, "id": "p2", "status": "failed"},
            {**DONE, "id": "p3", "status": "processing"},
            7,
        ],
    }
    made = played(*submits, *[Step("GET", f"{REPLICATE}/predictions", page)] * 2)
    assert sorted(e.properties["outcome"] for e in made.events) == ["failed", "success"]
    assert [job["job_id"] for job in made.pending] == ["p3"]


def test_cancelling_a_prediction_ends_it() -> None:
    submit = Step("POST", f"{REPLICATE}/predictions", {"id": "p1", "status": "starting"}, {})
    stopped = {**DONE, "status": "canceled", "output": None, "metrics": {}}
    made = played(submit, Step("POST", f"{POLL}/cancel", stopped))
    assert (made.event.properties["error_type"], made.pending) == ("canceled", [])


@pytest.mark.parametrize(
    ("place", "body", "model", "facts"),
    [
        ("predictions", {"version": f"a/b:{HASH}"}, "a/b", {}),
        ("predictions", {"version": HASH}, None, {}),
        ("predictions", {"version": None, "input": 7}, None, {"input_type": "text"}),
        ("deployments/me/prod/predictions", {}, "me/prod", {"deployment": "me/prod"}),
        (
            "models/kwaivgi/kling-v2.1/predictions",
            {"input": {"resolution": "720P", "mode": "pro", "generate_audio": False}},
            "kwaivgi/kling-v2.1",
            {"resolution": "720p", "mode": "pro", "generate_audio": "false"},
        ),
        (
            "models/black-forest-labs/flux-2/predictions",
            {"input": {"resolution": "1 MP", "input_images": ["u"]}},
            "black-forest-labs/flux-2",
            {"resolution": "1 mp", "input_type": "image"},
        ),
        (
            "models/runwayml/aleph/predictions",
            {"input": {"video": "u"}},
            "runwayml/aleph",
            {"input_type": "video"},
        ),
    ],
)
def test_a_submit_says_what_a_price_needs(
    place: str, body: Json, model: str | None, facts: Json
) -> None:
    call = asked("POST", f"{REPLICATE}/{place}", body)
    assert (call.provider, call.request_model) == ("replicate", model)
    assert facts.items() <= dict(call.dimensions).items()


@pytest.mark.parametrize(
    ("method", "place"),
    [
        ("GET", "models/a/b/predictions"),
        ("POST", "predictions/p1"),
        ("GET", "predictions/p1/cancel"),
        ("DELETE", "predictions"),
        ("GET", "account"),
        ("POST", "files"),
        ("POST", "models/a/b/versions/v/trainings"),
    ],
)
def test_what_makes_nothing_is_no_call(method: str, place: str) -> None:
    assert described(method, f"{REPLICATE}/{place}") is None


def test_a_gateway_is_its_own_provider() -> None:
    assert asked("GET", "https://gw.test/replicate/v1/predictions/p1").provider == "gw.test"


def test_an_answer_that_is_no_prediction_says_nothing() -> None:
    submit = asked("POST", f"{REPLICATE}/predictions")
    assert read(submit, {"detail": "no", "status": 402}).error_type == "refused"
    assert read(submit, {}).state is None
    assert read(asked("GET", POLL), {"detail": "no"}).state == "pending"


def test_a_metric_that_is_no_number_is_flagged() -> None:
    metrics = {"video_output_duration_seconds": -1, "token_output_count": "NaN", "other": []}
    reading = read(asked("GET", POLL), {**DONE, "metrics": {**metrics, "predict_time": None}})
    assert {"invalid:video_output_duration_seconds", "invalid:token_output_count"} <= reading.flags
    assert "video_seconds" not in reading.usage


def test_a_webhook_is_the_prediction() -> None:
    assert ADAPTER.webhook is not None
    call = ADAPTER.webhook(DONE)
    assert call is not None
    assert (call.job_id, call.repeated, read(call, DONE).usage.video_seconds) == ("p1", True, 8)
    assert ADAPTER.webhook({"id": "p1"}) is ADAPTER.webhook({"status": "failed"}) is None
