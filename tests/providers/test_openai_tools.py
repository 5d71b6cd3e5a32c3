"""What OpenAI's hosted tools used: searches of files, runs of code, and their containers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.providers.openai_wire import (
    RESPONSES,
    ask,
    body_of,
    call,
    chat,
    get,
    response,
    response_tokens,
    stream_of,
    tokens,
)
from tokenmeter.providers import Reading

SEARCH = {"type": "file_search_call", "id": "fs_1", "status": "completed", "queries": ["secret"]}
CODE = {
    "type": "code_interpreter_call",
    "id": "ci_1",
    "status": "completed",
    "code": "1 + 1",
    "container_id": "cntr_1",
}
SHELL = {
    "type": "shell_call",
    "id": "sh_1",
    "call_id": "call_1",
    "status": "completed",
    "action": {"commands": ["ls"]},
    "environment": {"type": "container_reference", "container_id": "cntr_2"},
}
AUTO = {"type": "code_interpreter", "container": {"type": "auto", "memory_limit": "4g"}}
AZURE = "x.openai.azure.com"


def answer(*items: Any, **fields: Any) -> dict[str, Any]:
    message = {
        "type": "message",
        "id": "msg_1",
        "content": [{"type": "output_text", "text": "Hi"}],
    }
    return response(usage=response_tokens(9, 3), output=[*items, message], **fields)


def counts(reading: Reading) -> tuple[int, int]:
    usage = reading.usage
    found = (usage.get("file_search_count", 0), usage.get("code_execution_count", 0))
    return int(found[0]), int(found[1])


def done(item: dict[str, Any]) -> dict[str, Any]:
    return {"type": "response.output_item.done", "output_index": 0, "item": item}


@pytest.mark.parametrize("host", ["api.openai.com", AZURE, "llm.test"])
def test_searches_of_files_and_runs_of_code_are_counted_wherever_they_are_served(
    host: str,
) -> None:
    items = [SEARCH, {**SEARCH, "id": "fs_2"}, CODE]
    reading = body_of(call(RESPONSES, {"model": "gpt-5"}, host=host), answer(*items))
    assert counts(reading) == (2, 1)
    assert reading.usage.input_tokens == 9
    assert reading.flags == frozenset()


def test_a_response_in_the_background_is_counted_when_it_is_retrieved() -> None:
    waiting = body_of(call(RESPONSES, {"background": True}), response(status="queued"))
    assert (waiting.state, counts(waiting)) == ("pending", (0, 0))
    seen = body_of(get("/v1/responses/resp_1"), answer(SEARCH, CODE, tools=[AUTO]))
    assert counts(seen) == (1, 1)
    assert seen.dimensions == {"container_id": "cntr_1", "memory_limit": "4g"}


def test_what_a_stream_tells_by_itself_and_again_at_its_end_counts_once() -> None:
    end = {"type": "response.completed", "response": answer(SEARCH, CODE)}
    reading = stream_of(call(RESPONSES, {"stream": True}), done(SEARCH), done(CODE), end)
    assert (reading.state, counts(reading)) == ("success", (1, 1))
    assert reading.dimensions == {"container_id": "cntr_1"}


def test_what_ran_before_a_stream_was_left_is_counted() -> None:
    begun = {"type": "response.created", "response": response(status="in_progress")}
    reading = stream_of(call(RESPONSES, {"stream": True}), begun, done(SEARCH), done(SHELL))
    assert (reading.state, counts(reading)) == (None, (1, 1))
    assert reading.dimensions == {"container_id": "cntr_2"}


def test_a_container_that_many_runs_share_is_named_once_and_several_are_all_named() -> None:
    again = {**CODE, "id": "ci_2"}
    reading = body_of(call(RESPONSES), answer(SHELL, CODE, again))
    assert counts(reading) == (0, 3)
    assert reading.dimensions == {"container_id": "cntr_1,cntr_2"}


@pytest.mark.parametrize("environment", [None, {"type": "local"}])
def test_commands_that_run_at_the_users_are_not_the_providers(environment: Any) -> None:
    reading = body_of(call(RESPONSES), answer({**SHELL, "environment": environment}))
    assert counts(reading) == (0, 0)
    assert "container_id" not in reading.dimensions


@pytest.mark.parametrize("status", ["failed", "in_progress", "searching"])
def test_a_tool_that_did_not_come_to_its_end_is_not_counted(status: str) -> None:
    assert counts(body_of(call(RESPONSES), answer({**SEARCH, "status": status}))) == (0, 0)


def test_two_sizes_of_containers_are_no_size() -> None:
    shell = {"type": "shell", "environment": {"type": "container_auto", "memory_limit": "16g"}}
    both = body_of(call(RESPONSES), answer(CODE, tools=[AUTO, shell]))
    assert "memory_limit" not in both.dimensions
    one = body_of(call(RESPONSES), answer(CODE, tools=[{"type": "web_search"}, shell]))
    assert one.dimensions["memory_limit"] == "16g"


@pytest.mark.parametrize(
    "junk",
    [
        {**CODE, "container_id": 7},
        {"type": "file_search_call"},
        {"type": ["file_search_call"]},
        {**SHELL, "environment": "x"},
    ],
)
def test_odd_items_do_no_harm(junk: Any) -> None:
    reading = body_of(call(RESPONSES), answer(junk, "x", None, tools="junk"))
    assert reading.usage.input_tokens == 9
    assert "container_id" not in reading.dimensions


@pytest.mark.parametrize("item", [SEARCH, CODE, SHELL])
def test_an_answer_of_a_tool_is_not_read_the_fast_way(item: dict[str, Any]) -> None:
    asked = call(RESPONSES, {"model": "gpt-5"})
    assert asked.api.plain is not None
    assert asked.api.plain(json.dumps(answer()).encode(), asked) is not None
    assert asked.api.plain(json.dumps(answer(item)).encode(), asked) is None


def test_what_a_tool_was_asked_is_in_no_reading() -> None:
    reading = body_of(call(RESPONSES), answer(SEARCH, CODE))
    assert "secret" not in repr(reading)
    assert "1 + 1" not in repr(reading)


@pytest.mark.parametrize(
    ("host", "path"), [("api.openai.com", "/v1/containers"), (AZURE, "/openai/v1/containers")]
)
def test_a_container_that_is_made_by_itself_is_an_event(host: str, path: str) -> None:
    asked = call(path, {"name": "c", "memory_limit": "4g"}, host=host)
    made = {
        "id": "cntr_9",
        "object": "container",
        "created_at": 1_790_000_000,
        "status": "running",
        "memory_limit": "4g",
        "name": "c",
    }
    reading = body_of(asked, made)
    assert (asked.api.event_name, asked.api.operation) == ("api_calls", "containers")
    assert dict(reading.usage) == {"container_count": 1}
    assert reading.dimensions == {"container_id": "cntr_9", "memory_limit": "4g"}
    assert (reading.response_id, reading.created) == ("cntr_9", 1_790_000_000)
    assert body_of(asked, {"id": "cntr_9"}).dimensions["memory_limit"] == "1g"
    assert body_of(asked, {"error": {"code": "x"}}).state == "failed"


def test_a_container_is_not_looked_for_where_nobody_knows_the_host() -> None:
    assert ask("/v1/containers", {"name": "c"}, host="docker.test") is None
    assert ask("/v1/containers/cntr_1", method="GET") is None
    assert ask("/v1/containers/cntr_1/files", {"file_id": "f"}) is None


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("web_search_preview", "preview"),
        ("web_search_preview_2025_03_11", "preview"),
        ("web_search", None),
    ],
)
def test_the_tool_that_searched_the_web_is_named_where_it_has_prices_of_its_own(
    kind: str, said: str | None
) -> None:
    asked = call(RESPONSES, {"model": "gpt-4.1"})
    used = {"web_search": {"num_requests": 2}}
    searched = answer(tools=[{"type": kind}], tool_usage=used)
    reading = body_of(asked, searched)
    assert (reading.usage.web_search_count, reading.dimensions.get("web_search")) == (2, said)
    assert asked.api.plain is not None
    assert asked.api.plain(json.dumps(searched).encode(), asked) is None
    idle = answer(tools=[{"type": kind}], tool_usage={"web_search": {"num_requests": 0}})
    assert "web_search" not in body_of(asked, idle).dimensions


@pytest.mark.parametrize("model", ["gpt-4o-search-preview-2025-03-11", "gpt-5-search-api"])
def test_a_model_that_searches_in_each_chat_has_one_search_whole_or_streamed(model: str) -> None:
    asked = call("/v1/chat/completions", {"model": model})
    whole = chat(tokens(9, 3), model=model)
    assert body_of(asked, whole).usage.web_search_count == 1
    assert asked.api.plain is not None
    assert asked.api.plain(json.dumps(whole).encode(), asked) is None
    chunk = {**whole, "object": "chat.completion.chunk", "choices": []}
    streamed = call("/v1/chat/completions", {"model": model, "stream": True})
    assert stream_of(streamed, chunk, done=True).usage.web_search_count == 1
    refused = body_of(asked, {"error": {"code": "x"}})
    assert "web_search_count" not in refused.usage
    elsewhere = call("/v1/chat/completions", {"model": model}, host="llm.test")
    assert "web_search_count" not in body_of(elsewhere, whole).usage
