"""Azure's jobs of Sora, from the submit to the end that a poll sees."""

from __future__ import annotations

from typing import Any

import pytest

from tests.providers.exchanges import Json
from tests.providers.media import Step, described, played

JOBS = "https://r.openai.azure.com/openai/v1/video/generations/jobs"
QUERY = "?api-version=preview"
ASKED = {
    "model": "sora",
    "prompt": "x",
    "width": "1280",
    "height": "720",
    "n_seconds": "5",
    "n_variants": "2",
}


def job(status: str, *lengths: object, **fields: Any) -> Json:
    made = [
        {"object": "video.generation", "id": f"gen_{at}", "n_seconds": n}
        for at, n in enumerate(lengths)
    ]
    return {
        "object": "video.generation.job",
        "id": "task_1",
        "status": status,
        "created_at": 1_790_000_000,
        "finished_at": 1_790_000_100,
        "generations": made,
        "model": "sora",
        "n_seconds": 5,
        "width": 1280,
        "height": 720,
        "failure_reason": None,
        **fields,
    }


SUBMIT = Step("POST", JOBS + QUERY, job("queued"), ASKED, status=201)


def look(status: str, *lengths: object, **fields: Any) -> Step:
    return Step("GET", f"{JOBS}/task_1{QUERY}", job(status, *lengths, **fields))


def test_a_job_is_one_event_with_every_video_it_made() -> None:
    done = look("succeeded", 5, 5)
    made = played(SUBMIT, look("preprocessing"), look("running"), done, done)
    event, found = made.event, made.event.properties
    assert (event.usage["video_seconds"], event.usage["video_count"]) == (10, 2)
    assert (found["size"], found["resolution"], found["model"]) == ("1280x720", "720p", "sora")
    assert (found["provider"], event.external_customer_id, made.pending) == ("azure", "acme", [])


def test_a_video_that_does_not_say_how_long_is_as_long_as_asked() -> None:
    odd = played(SUBMIT, look("succeeded", "x", n_seconds=None)).event
    assert odd.usage["video_seconds"] == 5


@pytest.mark.parametrize(
    ("end", "error"),
    [
        (look("failed", failure_reason="input_moderation"), "input_moderation"),
        (look("cancelled"), "cancelled"),
        (look("succeeded"), "no_output"),
    ],
)
def test_a_job_without_a_video_is_a_failure(end: Step, error: str) -> None:
    event = played(SUBMIT, end).event
    assert (event.properties["outcome"], event.properties["error_type"]) == ("failed", error)
    assert "video_seconds" not in event.usage


def test_a_page_settles_the_job_on_it_and_another_object_none() -> None:
    page = {"object": "list", "data": [job("succeeded", 5), {"object": "x"}]}
    other = Step("GET", f"{JOBS}/task_1{QUERY}", {"object": "x"})
    made = played(SUBMIT, other, Step("GET", JOBS + QUERY, page))
    assert (made.event.usage["video_seconds"], made.pending) == (5, [])


def test_a_refused_submit_is_a_failure_and_no_job() -> None:
    refused = {"error": {"code": "contentFilter", "message": "x"}}
    made = played(Step("POST", JOBS + QUERY, refused, {"prompt": "x"}, status=400))
    assert (made.event.properties["error_type"], made.pending) == ("contentFilter", [])


@pytest.mark.parametrize(("method", "path"), [("DELETE", "/task_1"), ("POST", "/task_1")])
def test_what_asks_for_no_job_is_not_metered(method: str, path: str) -> None:
    assert described(method, JOBS + path) is None


def test_the_bytes_of_a_video_are_no_call() -> None:
    assert described("GET", f"{JOBS.removesuffix('/jobs')}/gen_1/content/video") is None
