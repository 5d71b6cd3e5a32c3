"""Embeddings, Imagen, Veo's jobs."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.providers.google_wire import (
    FLASH,
    GEMINI,
    PUBLISHED,
    VERTEX,
    Json,
    call,
    read_body,
)
from tests.providers.media import Step, played
from tokenmeter.providers import Reading

VEO = "/v1beta/models/veo-3.1-generate-preview"
JOB = "models/veo-3.1-generate-preview/operations/abc"
IMAGEN = f"{PUBLISHED}/imagen-4.0-generate-001:predict"


def predicted(model: str, body: Any, **asked: Any) -> Reading:
    return read_body(call(f"{PUBLISHED}/{model}:predict", VERTEX, **asked), body)


def vector(tokens: Any) -> Json:
    return {"embeddings": {"statistics": {"token_count": tokens}, "values": [0.1, 0.2]}}


def test_embeddings_on_the_gemini_api_report_their_prompt() -> None:
    asked = call(f"{FLASH}:batchEmbedContents")
    details = [{"modality": "IMAGE", "tokenCount": 258}, {"modality": "TEXT", "tokenCount": 3}]
    body = {"usageMetadata": {"promptTokenCount": 261, "promptTokenDetails": details}}
    reading = read_body(asked, {"embeddings": [], **body})
    assert asked.api.event_name == "embedding_created"
    assert (reading.usage.input_tokens, reading.usage.input_image_tokens) == (261, 258)
    assert (reading.state, reading.flags) == ("success", frozenset())
    assert dict(read_body(asked, {"embeddings": [{"values": []}]}).usage) == {}
    assert read_body(asked, {"error": {"code": 400}}).error_type == "400"


def test_embeddings_on_vertex_add_the_tokens_of_their_entries() -> None:
    body = {
        "predictions": [vector(4), vector(10.0)],
        "metadata": {"billableCharacterCount": 41},
    }
    reading = predicted("text-embedding-005", body)
    assert dict(reading.usage) == {
        "input_tokens": 14,
        "uncached_input_tokens": 14,
        "characters": 41,
    }


def test_an_embedding_count_that_is_none_is_left_out_and_flagged() -> None:
    body = {
        "predictions": [vector(4), vector(-1)],
        "metadata": {"billableCharacterCount": "12"},
    }
    reading = predicted("gemini-embedding-001", body)
    assert dict(reading.usage) == {}
    assert reading.flags == {"invalid:token_count", "invalid:billableCharacterCount"}
    assert dict(predicted("multimodalembedding@001", {"predictions": [{}]}).usage) == {}


def test_imagen_delivers_what_came_with_bytes() -> None:
    made = {"bytesBase64Encoded": "", "mimeType": "image/png"}
    stored = {"gcsUri": "gs://b/o.png"}
    asked = call(IMAGEN, VERTEX, parameters={"sampleCount": 4, "aspectRatio": "16:9"})
    reading = read_body(asked, {"predictions": [made, stored, {"raiFilteredReason": "no"}, 7]})
    assert (reading.usage.image_count, reading.usage.output_count) == (2, 2)
    assert reading.state == "success"
    assert asked.api.event_name == "image_generated"
    assert asked.dimensions == {"size": "1K", "aspect_ratio": "16:9", "sample_count": "4"}


@pytest.mark.parametrize("body", [{}, {"predictions": [{"raiFilteredReason": "no"}]}])
def test_imagen_that_delivers_nothing_has_failed(body: Json) -> None:
    reading = read_body(call(IMAGEN, VERTEX), body)
    assert (reading.state, reading.error_type) == ("failed", "filtered")
    assert reading.usage.image_count == 0


def test_imagen_answers_that_cannot_be_read_are_flagged_and_not_0() -> None:
    reading = read_body(call(IMAGEN, VERTEX), {"predictions": "junk"})
    assert dict(reading.usage) == {}
    assert reading.flags == {"invalid:predictions"}
    assert dict(read_body(call(IMAGEN, VERTEX), {"error": {"code": 429}}).usage) == {}


def test_upscaling_is_another_mode() -> None:
    asked = call(IMAGEN, VERTEX, parameters={"mode": "upscale", "sampleImageSize": "2K"})
    assert (asked.dimensions["mode"], asked.dimensions["size"]) == ("upscale", "2K")
    fitted = call(f"{PUBLISHED}/virtual-try-on-001:predict", VERTEX)
    assert (fitted.api.event_name, fitted.dimensions) == ("image_generated", {})


def test_music_and_other_predictions_count_their_files() -> None:
    song = {"bytesBase64Encoded": "aGk=", "mimeType": "audio/wav"}
    reading = predicted("lyria-002", {"predictions": [song]})
    assert dict(reading.usage) == {"output_count": 1}
    assert call(f"{PUBLISHED}/lyria-002:predict", VERTEX).api.event_name == "audio_generated"
    assert call(f"{PUBLISHED}/other:predict", VERTEX).api.event_name == "api_calls"
    assert call("/v1beta/models/imagen-4.0-generate-001:predict").provider == "google"


def submit(host: str = GEMINI, **body: Any) -> Any:
    return call(f"{VEO}:predictLongRunning", host, **body)


def test_a_video_job_is_pending_under_the_name_that_its_polls_use() -> None:
    reading = read_body(submit(), {"name": JOB})
    assert (reading.state, reading.response_id) == ("pending", JOB)
    assert dict(reading.usage) == {"video_seconds": 8}  # of one video, kept for the end
    assert reading.model == "veo-3.1-generate-preview"
    polled = call(f"/v1beta/{JOB}", method="GET")
    assert (polled.repeated, polled.job_id) == (True, JOB)
    assert polled.api is submit().api
    assert polled.api.owns_ids


def test_trap_07_the_end_of_a_video_job_has_the_seconds_of_its_submit() -> None:
    files = [{"video": {"uri": "u"}}, {"video": {"uri": "v"}}]
    end = {"name": JOB, "done": True, "response": {"generatedSamples": files}}
    parameters = {"durationSeconds": 6, "resolution": "1080p", "sampleCount": 2}
    asked = {"instances": [{"prompt": "x"}], "parameters": parameters}
    event = played(
        Step("POST", f"https://{GEMINI}{VEO}:predictLongRunning", {"name": JOB}, asked),
        Step("GET", f"https://{GEMINI}/v1beta/{JOB}", {"name": JOB}),
        Step("GET", f"https://{GEMINI}/v1beta/{JOB}", end),
    ).event
    assert (event.usage.video_seconds, event.usage.video_count) == (12, 2)
    assert (event.properties["resolution"], event.external_customer_id) == ("1080p", "acme")
    assert "flags" not in event.properties


def test_a_vertex_job_is_fetched_by_its_name() -> None:
    name = f"{PUBLISHED[4:]}/veo-3.1-fast-generate-001/operations/abc"
    path = f"{PUBLISHED}/veo-3.1-fast-generate-001:fetchPredictOperation"
    polled = call(path, VERTEX, operationName=name)
    assert (polled.repeated, polled.job_id, polled.provider) == (True, name, "google-vertex")
    fetched = call(f"/v1/{name}", VERTEX, "GET")
    assert fetched.job_id == name
    assert read_body(polled, {"name": name}).state == "pending"


@pytest.mark.parametrize(
    "response",
    [
        {"generateVideoResponse": {"generatedSamples": [{"video": {"uri": "u"}}] * 2}},
        {"videos": [{"gcsUri": "gs://b/o"}, {"bytesBase64Encoded": "", "mimeType": "video/mp4"}]},
    ],
)
def test_video_seconds_are_those_asked_for_times_the_videos_delivered(response: Json) -> None:
    asked = submit(parameters={"durationSeconds": 6, "sampleCount": 3})
    reading = read_body(asked, {"name": JOB, "done": True, "response": response})
    two = {"video_count": 2, "output_count": 2}
    assert dict(reading.usage) == {**two, "video_jobs": 1, "video_seconds": 12}
    assert (reading.state, reading.response_id) == ("success", JOB)


def test_a_poll_without_its_request_says_that_the_seconds_are_missing() -> None:
    response = {"videos": [{"gcsUri": "gs://b/o"}], "raiMediaFilteredCount": 1}
    polled = call(f"/v1beta/{JOB}", method="GET")
    reading = read_body(polled, {"done": True, "response": response})
    assert dict(reading.usage) == {"video_count": 1, "output_count": 1, "video_jobs": 1}
    assert reading.flags == {"missing:video_seconds", "filtered:1"}
    assert reading.response_id == JOB


@pytest.mark.parametrize(
    ("end", "error_type"),
    [
        ({"error": {"code": 3, "message": "…"}}, "3"),
        ({"response": {"generateVideoResponse": {"raiMediaFilteredCount": 1}}}, "filtered"),
        ({"response": {"generateVideoResponse": {"generatedSamples": [{}]}}}, "no_output"),
        ({"response": 7}, "no_output"),
    ],
)
def test_a_job_that_delivers_nothing_has_failed_with_0_seconds(end: Json, error_type: str) -> None:
    reading = read_body(submit(), {"name": JOB, "done": True, **end})
    assert (reading.state, reading.error_type) == ("failed", error_type)
    assert (reading.usage.video_seconds, reading.usage.output_count) == (0, 0)


def test_a_refused_submission_has_no_seconds() -> None:
    reading = read_body(submit(), {"error": {"code": 400, "status": "INVALID_ARGUMENT"}})
    assert (reading.state, reading.error_type) == ("failed", "INVALID_ARGUMENT")
    assert dict(reading.usage) == {}
    assert read_body(submit(), {}).state is None


@pytest.mark.parametrize(
    ("duration", "seconds"),
    [
        (8, 8),
        ("8", 8),
        ("8s", 8),
        (8.0, 8),
        ("5.5s", Decimal("5.5")),
        (True, None),
        (-1, None),
        (float("nan"), None),
        (float("inf"), None),
        (3601, None),
        ("long", None),
        (None, None),
        ([8], None),
    ],
)
def test_a_duration_is_read_however_it_is_written(duration: object, seconds: object) -> None:
    asked = submit(parameters={"durationSeconds": duration})
    assert asked.usage.video_seconds == seconds
    assert "duration_assumed" not in asked.dimensions


def test_what_a_video_request_leaves_out_gets_the_documented_default() -> None:
    asked = submit(instances=[{"prompt": "a fox"}])
    assert asked.usage.video_seconds == 8
    assert asked.dimensions == {
        "resolution": "720p",
        "quality": "standard",
        "aspect_ratio": "16:9",
        "generate_audio": "true",
        "input_type": "text",
        "duration_assumed": "true",
    }
    silent = call("/v1beta/models/veo-2.0-generate-001:predictLongRunning")
    assert silent.dimensions["generate_audio"] == "false"


@pytest.mark.parametrize(
    ("instance", "input_type"),
    [
        ({"image": {"gcsUri": "g"}}, "image"),
        ({"referenceImages": [{}]}, "image"),
        ({"video": {"gcsUri": "g"}}, "video"),
    ],
)
def test_what_a_video_starts_from_is_a_dimension(instance: Json, input_type: str) -> None:
    parameters = {"resolution": "4K", "generateAudio": False, "fps": 24, "sampleCount": 2}
    asked = submit(instances=[instance], parameters=parameters)
    expected = {
        "input_type": input_type,
        "resolution": "4k",
        "generate_audio": "false",
        "fps": "24",
        "sample_count": "2",
    }
    assert expected.items() <= asked.dimensions.items()
    # How long an extension is when nothing is said is not documented.
    assert ("video_seconds" in asked.usage) is (input_type != "video")
