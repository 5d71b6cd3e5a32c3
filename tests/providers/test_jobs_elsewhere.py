"""Jobs under a host that nobody knows: a gateway that speaks OpenAI's or Google's API."""

from __future__ import annotations

from typing import Any

import pytest

from tests.providers.exchanges import Json
from tests.providers.media import Step, described, played

HOST = "https://gate.example/v1"
VEO = "https://gate.example/v1beta/models/veo-3.1-generate-preview"
VIDEO = {"object": "video", "id": "video_1", "model": "sora-2", "seconds": "8", "size": "720x1280"}
BATCH = {"object": "batch", "id": "batch_1", "endpoint": "/v1/responses", "model": "gpt-5"}
USED = {"input_tokens": 50, "output_tokens": 7, "total_tokens": 57}
ASKED = {"model": "sora-2", "prompt": "x", "seconds": "8"}
OPERATION = {"name": "models/veo-3.1-generate-preview/operations/o1"}
MADE = {"generateVideoResponse": {"generatedSamples": [{"video": {"uri": "u"}}]}}


def test_a_video_is_metered_from_its_submit_to_its_end() -> None:
    submit = Step("POST", f"{HOST}/videos", {**VIDEO, "status": "queued"}, ASKED)
    event = played(
        submit, Step("GET", f"{HOST}/videos/video_1", {**VIDEO, "status": "completed"})
    ).event
    assert (event.event_name, event.properties["provider"]) == ("video_generated", "gate.example")
    assert (event.usage["video_seconds"], event.external_customer_id) == (8, "acme")


@pytest.mark.parametrize("place", ["edits", "extensions", "video_1/remix"])
def test_what_is_made_of_a_video_is_metered_too(place: str) -> None:
    asked = {"prompt": "x", "video": {"id": "video_0"}, "seconds": "4"}
    submit = Step("POST", f"{HOST}/videos/{place}", {**VIDEO, "status": "queued"}, asked)
    made = played(submit, Step("GET", f"{HOST}/videos/video_1", {**VIDEO, "status": "completed"}))
    assert made.event.properties["outcome"] == "success"


def test_a_batch_is_metered_by_its_own_count() -> None:
    asked = {"input_file_id": "file-1", "endpoint": "/v1/responses", "completion_window": "24h"}
    submit = Step("POST", f"{HOST}/batches", {**BATCH, "status": "validating"}, asked)
    done = Step("GET", f"{HOST}/batches/batch_1", {**BATCH, "status": "completed", "usage": USED})
    event = played(submit, done).event
    assert (event.properties["service_tier"], event.usage.input_tokens) == ("batch", 50)


def test_a_fine_tuning_job_is_metered_by_its_tokens() -> None:
    job = {"object": "fine_tuning.job", "id": "ftjob-1", "model": "gpt-4.1", "error": None}
    asked = {"model": "gpt-4.1", "training_file": "file-1"}
    submit = Step("POST", f"{HOST}/fine_tuning/jobs", {**job, "status": "queued"}, asked)
    done = {**job, "status": "succeeded", "trained_tokens": 9}
    event = played(submit, Step("GET", f"{HOST}/fine_tuning/jobs/ftjob-1", done)).event
    assert event.usage["trained_tokens"] == 9


def test_veo_is_metered_from_its_submit_to_its_end() -> None:
    asked = {"instances": [{"prompt": "x"}], "parameters": {"durationSeconds": 8}}
    submit = Step("POST", f"{VEO}:predictLongRunning", OPERATION, asked)
    done = {**OPERATION, "done": True, "response": MADE}
    event = played(submit, Step("GET", f"{VEO}/operations/o1", done)).event
    assert (event.properties["provider"], event.usage["video_seconds"]) == ("gate.example", 8)
    assert event.properties["model"] == "veo-3.1-generate-preview"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/v1/videos", {"title": "holidays"}),
        ("POST", "/v1/videos", {"prompt": "no model is named"}),
        ("GET", "/v1/videos", {}),
        ("GET", "/v1/videos/17", {}),
        ("POST", "/v1/videos/edits", {"cut": 3}),
        ("POST", "/v1/batches", {"model": "m", "orders": []}),
        ("GET", "/v1/batches", {}),
        ("GET", "/v1/batches/17", {}),
        ("POST", "/v1/fine_tuning/jobs", {"model": "m"}),
        ("POST", "/v1/models/half_plus_two:predict", {"instances": [1.0]}),
        ("GET", "/v1/models/m/versions/1", {}),
        ("POST", "/v1beta/models/m/operations/o1", {}),
    ],
)
def test_what_other_services_have_at_these_paths_is_none_of_ours(
    method: str, path: str, body: dict[str, Any]
) -> None:
    asked: Json = body
    assert described(method, f"https://elsewhere.example{path}", asked) is None
