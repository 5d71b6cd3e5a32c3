"""Cohere: what is billed, in bodies and streams of both versions."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.providers.junk import check, spoiled
from tokenmeter.capture.reader import BodyReader
from tokenmeter.capture.sse import EventReader
from tokenmeter.providers import Call, Reading, Request, find
from tokenmeter.providers.cohere import ADAPTER, delivered_text
from tokenmeter.usage import Usage

Json = dict[str, Any]
HOST = "api.cohere.com"


def ask(path: str, host: str = HOST, method: str = "POST", **body: Any) -> Call | None:
    adapter = find(host, path)
    return adapter.describe(Request(method, host, path, body=body)) if adapter else None


def call(path: str, host: str = HOST, **body: Any) -> Call:
    found = ask(path, host, **body)
    assert found is not None
    return found


def settled(asked: Call, *payloads: Json) -> Reading:
    reading = Reading()
    for payload in payloads:
        reading |= asked.api.read(payload)
    return asked.api.settle(reading, asked)


def billed(**units: Any) -> Json:
    """Usage as Cohere gives it: the model saw more than is billed, in floats."""
    return {"billed_units": units, "tokens": {"input_tokens": 506.0, "output_tokens": 99.0}}


CHAT = {
    "id": "c14c80c3",
    "finish_reason": "COMPLETE",
    "message": {"role": "assistant", "content": [{"type": "text", "text": "Hi"}]},
    "usage": billed(input_tokens=5.0, output_tokens=34.0),
}
OLD_CHAT = {
    "text": "Hi",
    "response_id": "r1",
    "generation_id": "g1",
    "finish_reason": "COMPLETE",
    "meta": {"api_version": {"version": "1"}, **billed(input_tokens=5, output_tokens=34)},
}
STREAM: list[Json] = [
    {"id": "c14c80c3", "type": "message-start", "delta": {"message": {"role": "assistant"}}},
    {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": "Hi"}}}},
    {
        "type": "message-end",
        "delta": {
            "finish_reason": "COMPLETE",
            "usage": billed(input_tokens=5, output_tokens=34),
        },
    },
]
OLD_STREAM: list[Json] = [
    {"is_finished": False, "event_type": "stream-start", "generation_id": "g1"},
    {"is_finished": False, "event_type": "text-generation", "text": "Hi"},
    {
        "is_finished": True,
        "event_type": "stream-end",
        "finish_reason": "COMPLETE",
        "response": OLD_CHAT,
    },
]


@pytest.mark.parametrize(
    ("path", "payloads", "response_id"),
    [
        ("/v2/chat", [CHAT], "c14c80c3"),
        ("/v1/chat", [OLD_CHAT], "r1"),
        ("/v2/chat", STREAM, "c14c80c3"),
        ("/v1/chat", OLD_STREAM, "r1"),
    ],
)
def test_what_is_billed_is_counted_not_what_the_model_saw(
    path: str, payloads: list[Json], response_id: str
) -> None:
    found = settled(call(path, model="command-a-03-2025"), *payloads)
    assert (found.usage.input_tokens, found.usage.output_tokens) == (5, 34)
    assert (found.usage.total_tokens, found.state) == (39, "success")
    assert (found.response_id, set(found.flags)) == (response_id, set())


@pytest.mark.parametrize("chunk_bytes", [1, 97, 1 << 20])
def test_a_stream_of_either_version_is_read_in_any_chunks(chunk_bytes: int) -> None:
    events = b"".join(b"event: x\ndata: " + json.dumps(e).encode() + b"\n\n" for e in STREAM)
    lines = b"".join(json.dumps(event).encode() + b"\n" for event in OLD_STREAM)
    asked = call("/v2/chat", model="command-a-03-2025", stream=True)
    assert asked.streamed
    for reader, body in ((EventReader(asked.api), events), (BodyReader(asked.api, ""), lines)):
        for start in range(0, len(body), chunk_bytes):
            reader.feed(body[start : start + chunk_bytes])
        reader.end()
        found = asked.api.settle(reader.reading, asked)
        assert (found.usage.input_tokens, found.state) == (5, "success")


def test_a_stream_that_was_cut_off_reports_nothing() -> None:
    found = settled(call("/v2/chat"), *STREAM[:-1])
    assert (found.usage, found.state, found.response_id) == (Usage(), None, "c14c80c3")


@pytest.mark.parametrize(
    ("path", "operation", "event_name", "meta", "usage"),
    [
        (
            "/v2/embed",
            "embed",
            "embedding_created",
            {"billed_units": {"input_tokens": 12}},
            {"input_tokens": 12},
        ),
        (
            "/v2/embed",
            "embed",
            "embedding_created",
            {"billed_units": {"text_tokens": 4, "image_tokens": 8, "images": 1}},
            {
                "input_text_tokens": 4,
                "input_image_tokens": 8,
                "input_image_count": 1,
                "input_tokens": 12,
            },
        ),
        (
            "/v2/rerank",
            "rerank",
            "api_calls",
            {"billed_units": {"search_units": 1.0}},
            {"search_unit_count": 1},
        ),
        (
            "/v1/classify",
            "classify",
            "api_calls",
            {"billed_units": {"classifications": 2}},
            {"classification_count": 2},
        ),
        ("/v2/parse", "parse", "api_calls", {"billed_units": {"pages": 3}}, {"page_count": 3}),
    ],
)
def test_every_unit_that_is_billed_has_a_metric(
    path: str, operation: str, event_name: str, meta: Json, usage: Json
) -> None:
    asked = call(path, model="m")
    assert (asked.api.operation, asked.api.event_name) == (operation, event_name)
    found = settled(asked, {"id": "1", "results": [], "meta": meta})
    assert (dict(found.usage), set(found.flags)) == (usage, set())


def test_cached_tokens_stand_beside_the_billed_ones() -> None:
    usage = {**billed(input_tokens=5, output_tokens=34), "cached_tokens": 480}
    found = settled(call("/v2/chat"), {**CHAT, "usage": usage})
    assert (found.usage.cache_read_tokens, found.usage.input_tokens) == (480, 5)
    assert found.usage.uncached_input_tokens is None


def test_counts_that_are_not_those_billed_say_so() -> None:
    usage = {"tokens": {"input_tokens": 506, "output_tokens": 99}}
    found = settled(call("/v2/chat"), {**CHAT, "usage": usage})
    assert (found.usage.input_tokens, set(found.flags)) == (506, {"billed_units_missing"})


@pytest.mark.parametrize("reason", ["ERROR", "ERROR_TOXIC", "TIMEOUT"])
def test_an_answer_that_ends_in_an_error_has_failed(reason: str) -> None:
    end = {"type": "message-end", "delta": {"finish_reason": reason, "error": "prompt text"}}
    old = {**OLD_CHAT, "finish_reason": reason}
    for payload in (end, old, {"event_type": "stream-end", "finish_reason": reason}):
        found = settled(call("/v2/chat"), payload)
        assert (found.state, found.error_type) == ("failed", reason.lower())


def test_an_error_body_gives_no_usage_and_no_text() -> None:
    found = settled(call("/v2/chat"), {"id": "1", "message": "invalid api token"})
    assert (found.state, found.error_type, found.usage) == ("failed", None, Usage())


@pytest.mark.parametrize(
    ("usage", "flags"),
    [
        (None, set[str]()),
        (7, {"invalid:usage"}),
        ({"billed_units": 7}, {"invalid:billed_units"}),
        ({"billed_units": {"input_tokens": -1}}, {"invalid:input_tokens"}),
        ({"billed_units": {"videos": 2}}, {"unknown:videos"}),
        ({"billed_units": {}, "thinking": 2}, {"unknown:thinking"}),
        ({"tokens": None}, set[str]()),
    ],
)
def test_nothing_is_invented_where_nothing_was_billed(usage: Any, flags: set[str]) -> None:
    found = settled(call("/v2/chat"), {**CHAT, "usage": usage})
    assert (found.usage, set(found.flags)) == (Usage(), flags)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/tokenize"),
        ("GET", "/v1/models"),
        ("POST", "/v1/check-api-key"),
        ("GET", "/v2/chat"),
        ("GET", "/v2/embed-jobs"),
    ],
)
def test_what_is_free_is_not_metered(method: str, path: str) -> None:
    assert ask(path, method=method, model="m") is None


def test_coheres_openai_like_endpoint_is_read_as_such() -> None:
    found = call("/compatibility/v1/chat/completions", model="command-a-03-2025")
    assert (found.provider, found.api.operation) == ("cohere", "chat.completions")


def test_version_two_is_known_under_another_host_if_a_model_is_named() -> None:
    found = call("/cohere/v2/rerank", "gateway.test", model="rerank-v3.5")
    assert (found.provider, found.api.operation) == ("gateway.test", "rerank")
    assert ask("/cohere/v2/chat", "gateway.test", text="hello") is None
    assert ask("/v1/chat", "gateway.test", model="m") is None
    assert ADAPTER.describe(Request("POST", "gateway.test", "/other")) is None


@pytest.mark.parametrize(
    ("event", "wanted"),
    [
        ({"text": "Hi"}, "Hi"),
        ({"delta": {"message": {"content": {"thinking": "hm"}}}}, "hm"),
        ({"delta": {"message": {"tool_plan": "I will"}}}, "I will"),
        ({"delta": {"message": {"tool_calls": {"function": {"arguments": "{"}}}}}, "{"),
        ({"delta": 7}, ""),
    ],
)
def test_the_text_of_an_event_is_what_the_model_wrote(event: Json, wanted: str) -> None:
    assert delivered_text(event) == wanted


@settings(max_examples=400, deadline=None, derandomize=True)
@given(data=st.data())
def test_junk_anywhere_is_survived(data: st.DataObject) -> None:
    answers: list[list[Json]] = [[CHAT], [OLD_CHAT], STREAM, OLD_STREAM]
    parts = data.draw(st.sampled_from(answers))
    found = data.draw(spoiled(parts))
    asked = call("/v2/chat")
    seen_by_the_model = 506 + 99
    check(settled(asked, *found), 2 * seen_by_the_model)
    assert all(isinstance(delivered_text(payload), str) for payload in found)
