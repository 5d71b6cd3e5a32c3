"""Cloudflare's Workers AI: what a model makes tells what the call is."""

from __future__ import annotations

from typing import Any

import pytest

from tests.providers.openai_wire import ask, body_of, bytes_of, call, stream_of
from tokenmeter.providers import Call, Reading, Request, find

HOST = "api.cloudflare.com"
RUN = "/client/v4/accounts/acct/ai/run/"
LLAMA = "@cf/meta/llama-3.1-8b-instruct"
USED = {"prompt_tokens": 26, "completion_tokens": 7, "total_tokens": 33}


def asked(model: str = LLAMA, **body: Any) -> Call:
    return call(f"{RUN}{model}", body or {"prompt": "Hello"}, host=HOST)


def envelope(**result: Any) -> dict[str, Any]:
    return {"result": result, "success": True, "errors": [], "messages": []}


def result(**fields: Any) -> Reading:
    return body_of(asked(), envelope(**fields))


def test_a_text_reports_its_tokens_under_the_model_of_its_path() -> None:
    made = asked()
    assert (made.provider, made.request_model, made.api.operation) == (
        "cloudflare",
        LLAMA,
        "ai.run",
    )
    reading = body_of(made, envelope(response="Hi", usage=USED))
    assert (reading.state, reading.event_name, reading.flags) == ("success", None, frozenset())
    assert (reading.usage.input_tokens, reading.usage.output_tokens) == (26, 7)
    assert "characters" not in reading.usage
    escaped = call(f"{RUN}%40cf/meta/llama-3.1-8b-instruct", {"prompt": "x"}, host=HOST)
    assert escaped.request_model == LLAMA


def test_an_answer_in_openais_form_is_read_as_well() -> None:
    choices = [{"index": 0, "message": {"content": "Hi"}, "finish_reason": "stop"}]
    reading = result(id="chatcmpl-1", object="chat.completion", choices=choices, usage=USED)
    assert (reading.usage.total_tokens, reading.event_name) == (33, None)
    assert reading.response_id is None


@pytest.mark.parametrize(
    "delta",
    [{"response": "Hi", "p": "abc"}, {"choices": [{"index": 0, "delta": {"content": "H"}}]}],
)
def test_a_stream_reports_its_tokens_in_its_last_event(delta: dict[str, Any]) -> None:
    streamed = asked(prompt="x", stream=True)
    assert streamed.streamed
    reading = stream_of(streamed, delta, delta, {"response": "", "usage": USED}, done=True)
    assert (reading.state, reading.usage.output_tokens) == ("success", 7)
    assert streamed.api.text is not None
    assert streamed.api.text(delta) in ("Hi", "H")
    cut = stream_of(streamed, delta)
    assert cut.state is None
    assert cut.flags == {"cut_short"}


@pytest.mark.parametrize(
    ("made", "kind", "usage"),
    [
        ({"image": "aGk="}, "image_generated", {"image_count": 1, "output_count": 1}),
        ({"shape": [1, 768], "data": [[0.1]]}, "embedding_created", {}),
        ({"text": "Hi", "word_count": 1}, "audio_transcribed", {}),
        (
            {"text": "Hi", "transcription_info": {"duration": 5.5}},
            *("audio_transcribed", {"audio_seconds": "5.5"}),
        ),
        ({"results": {"channels": [{"alternatives": []}]}}, "audio_transcribed", {}),
        ({"audio": "aGk="}, "audio_generated", {"characters": 5}),
        ({"label": "POSITIVE"}, "api_calls", {}),
    ],
)
def test_what_is_no_text_is_named_by_what_it_is(
    made: dict[str, Any], kind: str, usage: dict[str, Any]
) -> None:
    reading = result(**made)
    assert (reading.state, reading.event_name) == ("success", kind)
    assert {name: str(n) for name, n in reading.usage.items()} == {
        name: str(n) for name, n in usage.items()
    }
    assert reading.flags == {"counted"}


@pytest.mark.parametrize("name", ["translated_text", "summary", "description"])
def test_texts_of_other_names_are_texts(name: str) -> None:
    reading = result(**{name: "Hi", "usage": USED})
    assert (reading.event_name, reading.usage.output_tokens) == (None, 7)


def test_an_embedding_with_tokens_reports_them() -> None:
    reading = result(shape=[1, 768], data=[[0.1]], usage={"prompt_tokens": 4, "total_tokens": 4})
    assert (reading.usage.input_tokens, reading.flags) == (4, frozenset())


@pytest.mark.parametrize(
    ("content_type", "kind", "usage"),
    [
        ("image/png", "image_generated", {"image_count": 1, "output_count": 1}),
        ("audio/mpeg", "audio_generated", {"characters": 5}),
    ],
)
def test_an_image_or_a_sound_may_come_as_bytes(
    content_type: str, kind: str, usage: dict[str, Any]
) -> None:
    reading = bytes_of(asked(), b"\x89PNG", content_type)
    assert (reading.state, reading.event_name) == ("success", kind)
    assert dict(reading.usage) == usage
    assert bytes_of(asked(), b"<html>", "text/html").state is None


def test_a_refusal_names_its_code() -> None:
    refused = {"success": False, "result": None, "errors": [{"code": 7009, "message": "secret"}]}
    reading = body_of(asked(), refused)
    assert (reading.state, reading.error_type) == ("failed", "7009")
    assert body_of(asked(), {"success": False, "errors": "x"}).error_type == "error"


@pytest.mark.parametrize("junk", [None, 7, [], "x"])
def test_a_result_that_is_none_does_no_harm(junk: Any) -> None:
    reading = body_of(asked(), {"result": junk, "success": True})
    assert (reading.state, dict(reading.usage)) == ("success", {})


def test_other_paths_are_no_calls_and_openais_are_its_own() -> None:
    assert ask(f"{RUN}{LLAMA}", method="GET", host=HOST) is None
    assert ask("/client/v4/accounts/acct/ai/models/search", host=HOST) is None
    chat = call("/client/v4/accounts/acct/ai/v1/chat/completions", {"model": LLAMA}, host=HOST)
    assert (chat.provider, chat.api.operation) == ("cloudflare", "chat.completions")


@pytest.mark.parametrize(
    ("place", "operation"), [(LLAMA, "ai.run"), ("v1/chat/completions", "chat.completions")]
)
def test_both_ways_go_through_the_ai_gateway_too(place: str, operation: str) -> None:
    host, path = "gateway.ai.cloudflare.com", f"/v1/a/g/workers-ai/{place}"
    adapter = find(host, path)
    assert adapter is not None
    found = adapter.describe(Request("POST", host, path, body={"model": LLAMA, "prompt": "x"}))
    assert found is not None
    assert (found.provider, found.api.operation, found.request_model) == (
        *("cloudflare", operation),
        LLAMA,
    )
