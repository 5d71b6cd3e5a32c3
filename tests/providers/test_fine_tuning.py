"""Fine-tuning: a job that is billed by the tokens that it was trained on."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.providers.exchanges import OPENAI, Json
from tests.providers.media import Step, described, played
from tokenmeter import TokenMeter
from tokenmeter.providers.polls import poll_of

JOBS = f"{OPENAI}/fine_tuning/jobs"
NO_ERROR = {"code": None, "message": None, "param": None}


def job(status: str, trained: Any = None, **fields: Any) -> Json:
    return {
        "object": "fine_tuning.job",
        "id": "ftjob-1",
        "created_at": 1_790_000_000,
        "finished_at": 1_790_003_600 if trained else None,
        "model": "gpt-4.1-mini-2025-04-14",
        "fine_tuned_model": "ft:gpt-4.1-mini:acme::x" if trained else None,
        "status": status,
        "trained_tokens": trained,
        "error": NO_ERROR,
        **fields,
    }


SUBMIT = Step("POST", JOBS, job("validating_files"), {"model": "gpt-4.1-mini"})


def test_a_job_is_one_event_with_its_trained_tokens_however_often_it_is_seen() -> None:
    going = Step("GET", f"{JOBS}/ftjob-1", job("running"))
    done = Step("GET", f"{JOBS}/ftjob-1", job("succeeded", 5_000))
    event = (made := played(SUBMIT, going, done, done)).event
    assert (event.event_name, event.properties["operation"]) == ("api_calls", "fine_tuning.jobs")
    assert event.usage["trained_tokens"] == 5_000
    assert event.properties["model"] == "gpt-4.1-mini-2025-04-14"
    assert event.external_customer_id == "acme"
    assert event.timestamp.timestamp() == 1_790_003_600
    # No list that we have says what training costs: that is no zero.
    assert event.properties["cost_source"] == "unpriced"
    assert made.pending == []


@pytest.mark.parametrize(
    ("end", "outcome", "trained"),
    [
        (job("failed", error={"code": "invalid_training_file", "message": "x"}), "failed", None),
        (job("cancelled"), "failed", None),
        (job("cancelled", 700), "success", 700),  # trained until then, and billed
        (job("succeeded", -3), "success", None),
    ],
)
def test_a_job_that_ends_otherwise_is_billed_for_what_it_was_trained_on(
    end: Json, outcome: str, trained: int | None
) -> None:
    event = played(SUBMIT, Step("POST", f"{JOBS}/ftjob-1/cancel", end)).event
    assert event.properties["outcome"] == outcome
    assert event.usage.get("trained_tokens") == trained


@pytest.mark.parametrize("told", [{"object": "list", "data": []}, {}, {"object": "job.metadata"}])
def test_an_object_of_another_kind_ends_no_job(told: Json) -> None:
    made = played(SUBMIT, Step("GET", f"{JOBS}/ftjob-1", told))
    assert (made.events, len(made.pending)) == ([], 1)


def test_mistrals_jobs_are_read_too() -> None:
    url = "https://api.mistral.ai/v1/fine_tuning/jobs"
    first = {"id": "j", "object": "job", "status": "QUEUED", "model": "open-mistral-7b"}
    done = {**first, "status": "SUCCESS", "trained_tokens": 9}
    event = played(Step("POST", url, first, {"model": "m"}), Step("GET", f"{url}/j", done)).event
    assert (event.properties["provider"], event.usage["trained_tokens"]) == ("mistral", 9)


def test_a_webhook_names_the_job_and_a_poll_ends_it() -> None:
    meter = TokenMeter("memory:")
    told = {"object": "event", "type": "fine_tuning.job.succeeded", "data": {"id": "ftjob-1"}}
    assert meter.settle_job("openai", json.dumps(told)) is None
    event = meter.settle_job("openai", json.dumps(job("succeeded", 5)))
    meter.shutdown()
    assert event is not None
    assert event.usage["trained_tokens"] == 5
    asked = poll_of("openai", "ftjob-1", {})
    assert asked is not None
    assert asked.url == f"{JOBS}/ftjob-1"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("GET", "/ftjob-1/events"),
        ("POST", "/ftjob-1/pause"),
        ("GET", "/f/checkpoints"),
    ],
)
def test_what_only_looks_at_a_job_is_no_end_of_it(method: str, path: str) -> None:
    assert described(method, JOBS + path) is None
