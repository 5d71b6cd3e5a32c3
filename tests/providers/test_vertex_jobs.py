"""Jobs of Vertex AI that work on files: tuning, and batches of predictions."""

from __future__ import annotations

from typing import Any

import pytest

from tests.providers.google_wire import VERTEX, Json, call, read_body, request
from tests.providers.media import Step, played
from tokenmeter.providers.google import describe

PLACE = "projects/p/locations/us-central1"
NUMBERED = "projects/1234/locations/us-central1"
TUNING, BATCHES = f"/v1beta1/{PLACE}/tuningJobs", f"/v1/{PLACE}/batchPredictionJobs"
SPEC = {"hyperParameters": {"epochCount": "3", "learningRateMultiplier": 1.0}}


def tuning(state: str, tokens: Any = None, **fields: Any) -> Json:
    stats = {"supervisedTuningDataStats": {"totalBillableTokenCount": tokens}}
    return {
        "name": f"{NUMBERED}/tuningJobs/77",
        "baseModel": "gemini-2.5-flash",
        "state": state,
        "createTime": "2026-11-20T00:00:00.5Z",
        "supervisedTuningSpec": SPEC,
        **({} if tokens is None else {"tuningDataStats": stats}),
        **fields,
    }


def batch(state: str, answered: Any = None) -> Json:
    return {
        "name": f"{NUMBERED}/batchPredictionJobs/88",
        "model": "publishers/google/models/gemini-2.5-flash",
        "state": state,
        "endTime": "2026-11-20T00:00:00Z",
        "completionStats": {"successfulCount": answered, "failedCount": "1"},
    }


def step(method: str, path: str, answer: Json, body: Json | None = None) -> Step:
    return Step(method, f"https://{VERTEX}{path}", answer, body or {})


def test_a_tuning_job_is_one_event_with_its_trained_tokens_however_often_it_is_seen() -> None:
    submit = step("POST", TUNING, tuning("JOB_STATE_PENDING"), {"baseModel": "gemini-2.5-flash"})
    going = step("GET", f"{TUNING}/77", tuning("JOB_STATE_RUNNING"))
    done = step("GET", f"{TUNING}/77", tuning("JOB_STATE_SUCCEEDED", "5000"))
    event = (made := played(submit, going, done, done)).event
    assert (event.event_name, event.properties["operation"]) == ("api_calls", "tuningJobs")
    assert event.usage["trained_tokens"] == 15_000
    assert event.properties["model"] == "gemini-2.5-flash"
    assert event.properties["cost_source"] == "unpriced"
    assert event.external_customer_id == "acme"
    assert made.pending == []


@pytest.mark.parametrize("kind", ["preferenceOptimizationDataStats", "distillationDataStats"])
def test_other_ways_of_tuning_tell_their_tokens_as_well(kind: str) -> None:
    stats = {kind: {"totalBillableTokenCount": 7}}
    ended = tuning("JOB_STATE_SUCCEEDED", tuningDataStats=stats)
    assert read_body(call(TUNING, VERTEX), ended).usage.trained_tokens == 21


def test_without_the_epochs_the_tokens_of_the_data_count_once_and_are_flagged() -> None:
    ended = tuning("JOB_STATE_SUCCEEDED", "7", supervisedTuningSpec={})
    reading = read_body(call(TUNING, VERTEX), ended)
    assert reading.usage.trained_tokens == 7
    assert reading.flags == {"missing:epochs"}


@pytest.mark.parametrize("junk", ["many", -1, True, "9" * 30, 1.5, None, {}])
def test_tokens_that_are_none_are_not_counted(junk: Any) -> None:
    reading = read_body(call(TUNING, VERTEX), tuning("JOB_STATE_SUCCEEDED", junk))
    assert (reading.state, dict(reading.usage)) == ("success", {})


@pytest.mark.parametrize("state", ["JOB_STATE_FAILED", "JOB_STATE_CANCELLED", "JOB_STATE_EXPIRED"])
def test_a_job_that_ended_badly_has_failed(state: str) -> None:
    reading = read_body(call(TUNING, VERTEX), tuning(state))
    assert (reading.state, reading.error_type) == ("failed", state.split("_")[-1].lower())
    told = tuning(state, error={"code": 3, "status": "INVALID_ARGUMENT"})
    assert read_body(call(TUNING, VERTEX), told).error_type == "INVALID_ARGUMENT"
    refused = read_body(call(TUNING, VERTEX), {"error": {"status": "PERMISSION_DENIED"}})
    assert (refused.state, refused.error_type) == ("failed", "PERMISSION_DENIED")
    assert read_body(call(TUNING, VERTEX), {}).state is None


def test_a_batch_is_one_event_of_the_requests_that_were_answered_and_is_unpriced() -> None:
    asked = {"model": "publishers/google/models/gemini-2.5-flash"}
    submit = step("POST", BATCHES, batch("JOB_STATE_PENDING"), asked)
    done = step("GET", f"{BATCHES}/88", batch("JOB_STATE_SUCCEEDED", "41"))
    event = (made := played(submit, done)).event
    assert (event.event_name, event.properties["answered"]) == ("text_generated", "41")
    assert event.properties["request_model"] == "gemini-2.5-flash"
    assert event.properties["service_tier"] == "batch"
    assert (event.properties["usage_source"], event.properties["cost_source"]) == (
        "missing",
        "unpriced",
    )
    assert made.pending == []
    unsaid = read_body(call(BATCHES, VERTEX), batch("JOB_STATE_SUCCEEDED"))
    assert (unsaid.state, unsaid.dimensions) == ("success", {"service_tier": "batch"})


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", TUNING),
        ("POST", f"{TUNING}/77:cancel"),
        ("DELETE", f"{BATCHES}/88"),
        ("POST", f"/v1/{PLACE}/customJobs"),
    ],
)
def test_what_neither_makes_nor_shows_a_job_is_no_event(method: str, path: str) -> None:
    assert describe(request(path, VERTEX, method)) is None


def test_a_job_is_known_by_its_path_where_its_answer_does_not_name_it() -> None:
    polled = call(f"{TUNING}/77", VERTEX, "GET")
    assert (polled.repeated, polled.job_id) == (True, f"{PLACE}/tuningJobs/77")
    named = {"error": {"status": "NOT_FOUND"}}
    assert read_body(polled, named).response_id == f"{PLACE}/tuningJobs/77"
    assert call(TUNING, VERTEX, baseModel=7).request_model is None
