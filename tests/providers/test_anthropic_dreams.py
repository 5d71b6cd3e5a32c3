"""Anthropic's dreams: jobs, by the counts they end with."""

from __future__ import annotations

from typing import Any

import pytest

from tests.providers.exchanges import Json
from tests.providers.media import Step, described, played

DREAMS = "https://api.anthropic.com/v1/dreams"
ASKED: Json = {"model": {"id": "claude-opus-4-6"}, "inputs": []}
USED = {
    "input_tokens": 30,
    "output_tokens": 40,
    "cache_read_input_tokens": 100,
    "cache_creation_input_tokens": 10,
}
SUBMIT_USED = dict.fromkeys(USED, 0)


def dream(status: str, usage: Json = USED, **fields: Any) -> Json:
    return {
        "type": "dream",
        "id": "drm_1",
        "created_at": "2026-11-29T10:00:00Z",
        "ended_at": None,
        "status": status,
        "model": {"id": "claude-opus-4-6", "speed": "standard"},
        "error": None,
        "usage": usage,
        **fields,
    }


SUBMIT = Step("POST", f"{DREAMS}?beta=true", dream("pending", SUBMIT_USED), ASKED)


def look(status: str, usage: Json = USED, **fields: Any) -> Step:
    return Step("GET", f"{DREAMS}/drm_1?beta=true", dream(status, usage, **fields))


def test_a_dream_is_one_event_with_the_counts_it_ended_with() -> None:
    done = look("completed", ended_at="2026-11-29T10:05:00Z")
    made = played(SUBMIT, look("running", {**USED, "input_tokens": 3}), done, done)
    event, found = made.event, made.event.properties
    assert (event.usage.input_tokens, event.usage.output_tokens) == (140, 40)
    assert (event.usage.cache_read_tokens, event.usage.cache_write_tokens) == (100, 10)
    assert (found["model"], found["request_model"]) == ("claude-opus-4-6", "claude-opus-4-6")
    assert (event.external_customer_id, made.pending) == ("acme", [])
    assert event.timestamp.isoformat() == "2026-11-29T10:05:00+00:00"


def test_a_dream_that_failed_keeps_what_it_used() -> None:
    event = played(SUBMIT, look("failed", error={"type": "timeout", "message": "x"})).event
    assert (event.properties["outcome"], event.properties["error_type"]) == ("failed", "timeout")
    assert event.usage.output_tokens == 40


@pytest.mark.parametrize(("usage", "outcome"), [(USED, "success"), (SUBMIT_USED, "failed")])
def test_a_cancelled_dream_is_billed_for_what_it_had_done(usage: Json, outcome: str) -> None:
    cancel = Step("POST", f"{DREAMS}/drm_1/cancel?beta=true", dream("canceled", usage), {})
    event = played(SUBMIT, cancel).event
    assert event.properties["outcome"] == outcome
    assert ("canceled" in str(event.properties.get("flags"))) is (outcome == "success")


def test_a_refused_dream_is_a_failure_and_no_job() -> None:
    refused = {"type": "error", "error": {"type": "invalid_request_error", "message": "x"}}
    made = played(Step("POST", DREAMS, refused, ASKED, status=400))
    assert made.event.properties["error_type"] == "invalid_request_error"
    assert made.pending == []


def test_a_page_of_dreams_and_another_object_end_none() -> None:
    page = Step("GET", DREAMS, {"data": [dream("completed")], "has_more": False})
    odd = Step("GET", f"{DREAMS}/drm_1", {"object": "x"})
    made = played(SUBMIT, page, odd)
    assert (made.events, len(made.pending)) == ([], 1)


@pytest.mark.parametrize(
    ("method", "path"), [("GET", ""), ("DELETE", "/drm_1"), ("POST", "/drm_1/archive")]
)
def test_what_asks_for_no_dream_is_not_metered(method: str, path: str) -> None:
    assert described(method, DREAMS + path) is None
