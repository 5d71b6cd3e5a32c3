"""OpenAI's evals: a run is a job, and each model that it called an event."""

from __future__ import annotations

from typing import Any

import pytest

from tests.providers.exchanges import OPENAI, Json
from tests.providers.media import Step, described, played

RUNS = f"{OPENAI}/evals/eval_1/runs"
GPT5 = {
    "model_name": "gpt-5-2025-08-07",
    "invocation_count": 3,
    "prompt_tokens": 100,
    "completion_tokens": 50,
    "total_tokens": 150,
    "cached_tokens": 40,
}
GRADER = {**GPT5, "model_name": "gpt-4o-2024-08-06", "prompt_tokens": 90, "total_tokens": 140}


def run(status: str, *used: Json, **fields: Any) -> Json:
    return {
        "object": "eval.run",
        "id": "evalrun_1",
        "created_at": 1_790_000_000,
        "status": status,
        "model": "gpt-5",
        "error": None,
        "per_model_usage": list(used),
        **fields,
    }


def test_a_run_is_one_event_for_each_model_it_called_and_its_poll_repeats_none() -> None:
    done = Step("GET", f"{RUNS}/evalrun_1", run("completed", GPT5, GRADER))
    going = Step("GET", f"{RUNS}/evalrun_1", run("in_progress", GPT5))
    made = played(Step("POST", RUNS, run("queued"), {"data_source": {}}), going, done, done)
    own, part = made.events
    assert (own.properties["model"], own.usage.input_tokens) == ("gpt-5-2025-08-07", 100)
    assert (own.usage.cache_read_tokens, own.usage.output_tokens) == (40, 50)
    assert (part.properties["model"], part.usage.input_tokens) == ("gpt-4o-2024-08-06", 90)
    assert {own.external_customer_id, part.external_customer_id} == {"acme"}
    assert (own.properties["cost_usd"], made.pending) == ("0.00058", [])


@pytest.mark.parametrize(
    ("end", "error"),
    [
        (run("failed", GPT5, error={"code": "bad_data", "message": "x"}), "bad_data"),
        (run("failed", GPT5, error={"message": "x"}), "failed"),
        (run("canceled", GPT5), "canceled"),
    ],
)
def test_a_run_that_failed_keeps_what_it_used(end: Json, error: str) -> None:
    submit = Step("POST", RUNS, run("queued"), {"data_source": {}})
    made = played(submit, Step("GET", f"{RUNS}/evalrun_1", end))
    found = made.event.properties
    assert (found["outcome"], found["error_type"]) == ("failed", error)
    assert made.event.usage.input_tokens == 100


def test_a_run_without_models_of_its_own_has_no_usage() -> None:
    made = played(Step("POST", RUNS, run("completed"), {"data_source": {}}))
    assert made.event.properties["usage_source"] == "missing"


def test_an_object_of_another_kind_ends_no_run() -> None:
    submit = Step("POST", RUNS, run("queued"), {"data_source": {}})
    made = played(submit, Step("GET", f"{RUNS}/evalrun_1", {"object": "list", "data": []}))
    assert (made.events, len(made.pending)) == ([], 1)


@pytest.mark.parametrize(("method", "path"), [("POST", "/evals"), ("GET", "/evals/eval_1")])
def test_an_eval_by_itself_calls_no_model(method: str, path: str) -> None:
    assert described(method, OPENAI + path) is None
