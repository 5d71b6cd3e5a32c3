"""Perplexity's own paths, and its answers that are fetched later."""

from __future__ import annotations

import pytest

from tests.providers.exchanges import ASK, Json, chat, chat_usage
from tests.providers.media import Step, described, played

HOST = "https://api.perplexity.ai"
LATER = f"{HOST}/async/chat/completions"
USED = chat_usage(9, 2, reasoning_tokens=30, cost={"total_cost": 0.006})


def stands(status: str, answer: Json | None = None, **fields: object) -> Json:
    return {"id": "j1", "model": "sonar", "status": status, "response": answer, **fields}


@pytest.mark.parametrize(
    ("path", "operation"), [("/v1/sonar", "chat.completions"), ("/v1/agent", "responses")]
)
def test_its_own_paths_are_those_of_openai_by_another_name(path: str, operation: str) -> None:
    event = played(Step("POST", HOST + path, chat(USED), ASK)).event
    assert (event.properties["provider"], event.usage.input_tokens) == ("perplexity", 9)
    assert event.properties["operation"] == operation
    assert event.properties["reported_cost_usd"] == "0.006"


@pytest.mark.parametrize("url", [LATER, f"{HOST}/v1/async/sonar"])
def test_an_answer_that_is_fetched_later_is_one_event_of_the_submit(url: str) -> None:
    done = stands("COMPLETED", chat(USED))
    made = played(
        Step("POST", url, stands("CREATED"), {"request": ASK}),
        Step("GET", f"{url}/j1", stands("IN_PROGRESS")),
        Step("GET", f"{url}/j1", done),
        Step("GET", f"{url}/j1", done),
    )
    event = made.event
    assert (event.external_customer_id, event.properties["request_model"]) == ("acme", "m")
    assert (event.usage.input_tokens, event.usage.output_tokens) == (9, 32)
    assert made.pending == []


def test_one_that_failed_later_is_a_failure() -> None:
    failed = stands("FAILED", error_message="no")
    made = played(
        Step("POST", LATER, stands("CREATED"), {"request": ASK}),
        Step("GET", f"{LATER}/j1", failed),
    )
    assert (made.event.properties["outcome"], made.event.properties["error_type"]) == (
        "failed",
        "failed",
    )


def test_a_refused_submit_is_no_job() -> None:
    refused = {"error": {"type": "invalid_model", "message": "x"}}
    made = played(Step("POST", LATER, refused, {"request": ASK}, status=400))
    assert made.event.properties["error_type"] == "invalid_model"
    assert made.pending == []


@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("POST", "/j1"), ("DELETE", "/j1")])
def test_a_list_of_them_and_what_is_none_is_not_metered(method: str, path: str) -> None:
    assert described(method, LATER + path) is None


@pytest.mark.parametrize("query", ["x", ["x", "y"]])
def test_a_search_is_billed_by_the_request_however_many_queries_it_has(query: object) -> None:
    found: Json = {"results": [{"title": "t", "url": "u"}], "id": "s1"}
    event = played(Step("POST", f"{HOST}/search", found, {"query": query})).event
    assert (event.event_name, event.properties["operation"]) == ("api_calls", "search")
    assert event.usage["web_search_count"] == 1
    assert event.properties["cost_usd"] == "0.005"


def test_a_search_that_was_refused_or_is_none_counts_nothing() -> None:
    call = described("POST", f"{HOST}/search", {"query": "x"})
    assert call is not None
    assert call.api.read({"error": {"type": "invalid_query"}}).error_type == "invalid_query"
    assert call.api.read({"results": "x"}).state is None
    assert described("GET", f"{HOST}/search", {}) is None
