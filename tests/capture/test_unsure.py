"""A stream whose content type is wrong or missing is read by how it begins."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import openai
import pytest

from tests.capture import wire
from tests.capture.play import Answer, Player, chunks_of
from tests.capture.test_openai_lifecycle import only
from tokenmeter import TokenMeter

CHAT = "https://api.openai.com/v1/chat/completions"
GEMINI = "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-flash"
TYPES = ["", "application/json", "text/plain", "application/octet-stream", "Text/Event-Stream"]
OTHERS = [kind for kind in TYPES if "Event" not in kind]
STREAM = b"".join(wire.chat_stream().chunks)
BEGINNINGS = {
    "data": b"",
    "comment": b": hello\n\n",
    "name": b"event: message\n",
    "blank": b"\r\n\r\n",
    "mark": b"\xef\xbb\xbf",
}
sized = pytest.mark.parametrize("size", [1, 3, 100_000])


def answer(kind: str, body: bytes, size: int) -> Answer:
    headers = {"content-type": kind} if kind else {}
    return Answer(200, headers, chunks_of(body, size))


def sent(meter: TokenMeter, told: Answer, url: str = CHAT) -> tuple[bytes, Any]:
    """What the user got, and the properties of the event."""
    asked = {"model": "gpt-4o-mini", "messages": [], "contents": [], "stream": True}
    client = Player([told]).client()
    with client.stream("POST", url, json=asked) as response:
        got = response.read()
    return got, only(meter).properties


@sized
@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("beginning", BEGINNINGS.values(), ids=BEGINNINGS)
def test_events_are_read_whatever_their_type(
    meter: TokenMeter, kind: str, beginning: bytes, size: int
) -> None:
    _, found = sent(meter, answer(kind, beginning + STREAM, size))
    assert (found["input_tokens"], found["outcome"]) == (9, "success")
    assert "flags" not in found


@sized
@pytest.mark.parametrize("body", [b"", b"<scrubbed>", b'{"model": "gpt-4o-mini"}'])
def test_events_without_a_type_are_read_whatever_was_asked(
    meter: TokenMeter, body: bytes, size: int
) -> None:
    client = Player([answer("", STREAM, size)]).client()
    with client.stream("POST", CHAT, content=body) as response:
        assert response.read() == STREAM
    found = only(meter).properties
    assert (found["input_tokens"], found["usage_source"]) == (9, "reported")


@sized
@pytest.mark.parametrize("size_of", [1, 4_000])
def test_a_body_without_a_type_is_read_as_ever(meter: TokenMeter, size_of: int, size: int) -> None:
    usage = {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}
    told = {"id": "c", "choices": [{"message": {"content": "x" * size_of}}], "usage": usage}
    body = json.dumps(told).encode()
    got, found = sent(meter, answer("", body, size))
    assert got == body
    assert (found["output_tokens"], found["usage_source"]) == (2, "reported")


@sized
@pytest.mark.parametrize("kind", TYPES)
def test_the_chunk_that_only_we_asked_for_is_taken_out(
    meter: TokenMeter, kind: str, size: int
) -> None:
    http = Player([answer(kind, STREAM, size)]).client()
    client = openai.OpenAI(api_key="k", http_client=http)
    chunks = list(client.chat.completions.create(model="gpt-4o", messages=[], stream=True))
    assert len(chunks) == len(wire.WORDS) + 1
    assert all(chunk.choices for chunk in chunks)
    assert only(meter).properties["input_tokens"] == 9


@sized
@pytest.mark.parametrize("kind", OTHERS)
def test_a_list_is_read_to_its_end(meter: TokenMeter, kind: str, size: int) -> None:
    parts = [
        {"candidates": [{"finishReason": "STOP"}], "usageMetadata": {"promptTokenCount": 5}},
        {"usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 7}},
    ]
    body = json.dumps(parts).encode()
    got, found = sent(meter, answer(kind, body, size), f"{GEMINI}:streamGenerateContent")
    assert got == body
    assert (found["output_tokens"], found["outcome"]) == (7, "success")


@sized
@pytest.mark.parametrize("kind", OTHERS)
@pytest.mark.parametrize(
    ("body", "outcome", "flags"),
    [
        (b'{"error": {"message": "no", "type": "server_error"}}', "failed", None),
        (b"<html>", "success", "not_json"),
        (b"dat", "success", "not_json"),
        (b"", "success", None),
    ],
)
def test_what_is_no_stream_is_a_body(
    meter: TokenMeter, kind: str, size: int, body: bytes, outcome: str, flags: str | None
) -> None:
    got, found = sent(meter, answer(kind, body, size))
    assert got == body
    assert (found["outcome"], found["usage_source"]) == (outcome, "missing")
    assert found.get("flags") == flags


@pytest.mark.parametrize("kind", OTHERS)
def test_a_stream_left_early_is_cancelled_whatever_its_type(meter: TokenMeter, kind: str) -> None:
    client = Player([answer(kind, STREAM, 60)]).client()
    asked = {"model": "gpt-4o-mini", "messages": [], "stream": True}
    with client.stream("POST", CHAT, json=asked) as response:
        iterator = response.iter_raw()
        for _ in range(3):  # events, as they are handed on whole
            next(iterator)
    found = only(meter).properties
    assert (found["outcome"], found["usage_source"]) == ("cancelled", "estimated")
    assert isinstance(response, httpx2.Response)


@pytest.mark.parametrize("kind", OTHERS)
def test_a_body_that_nobody_asked_in_parts_is_not_estimated(meter: TokenMeter, kind: str) -> None:
    body = json.dumps({"id": "c", "choices": [{"message": {"content": "x" * 400}}]}).encode()
    client = Player([answer(kind, body, 60)]).client()
    asked = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]}
    with client.stream("POST", CHAT, json=asked) as response:
        next(response.iter_raw())
    found = only(meter).properties
    assert (found["outcome"], found["usage_source"]) == ("cancelled", "missing")
