"""Frames of AWS whose content type is wrong or missing are read by how they begin."""

from __future__ import annotations

from typing import Any

import pytest

from tests.capture.play import Answer, Player, chunks_of
from tests.capture.taps.bedrock import MODEL, converse_stream, throttled_stream
from tests.capture.taps.frames import event
from tests.capture.test_openai_lifecycle import only
from tests.providers.openai_wire import CHAT, call
from tokenmeter import TokenMeter
from tokenmeter.capture.unsure import UnsureReader

STREAM = b"".join(converse_stream().chunks)
URL = f"https://bedrock-runtime.us-east-1.amazonaws.com/model/{MODEL}/converse-stream"
kinds = pytest.mark.parametrize("kind", ["", "application/json", "binary/octet-stream"])
sized = pytest.mark.parametrize("size", [1, 5, 100_000])


def sent(meter: TokenMeter, kind: str, body: bytes, size: int) -> tuple[bytes, Any]:
    """What the user got, and the properties of the event."""
    headers = {"content-type": kind} if kind else {}
    client = Player([Answer(200, headers, chunks_of(body, size))]).client()
    with client.stream("POST", URL, json={"messages": []}) as response:
        got = response.read()
    return got, only(meter).properties


@sized
@kinds
def test_frames_are_read_whatever_their_type(meter: TokenMeter, kind: str, size: int) -> None:
    got, found = sent(meter, kind, STREAM, size)
    assert got == STREAM
    assert (found["input_tokens"], found["output_tokens"]) == (9, 6)
    assert (found["outcome"], found["usage_source"]) == ("success", "reported")
    assert "flags" not in found


@sized
def test_an_exception_among_them_is_a_failure(meter: TokenMeter, size: int) -> None:
    _, found = sent(meter, "", b"".join(throttled_stream().chunks), size)
    assert (found["outcome"], found["error_type"]) == ("failed", "throttlingException")


@sized
@pytest.mark.parametrize(
    "body", [STREAM[:11], b"\0" * 64, STREAM[:8] + b"\0\0\0\0" + STREAM[12:], b"\0\0\0\1" * 8]
)
def test_bytes_without_the_checksum_are_no_frames(
    meter: TokenMeter, body: bytes, size: int
) -> None:
    got, found = sent(meter, "", body, size)
    assert got == body
    assert (found["usage_source"], found["flags"]) == ("missing", "not_json")


@sized
def test_frames_that_turn_into_something_else_are_flagged(meter: TokenMeter, size: int) -> None:
    body = b"".join(converse_stream().chunks[:2]) + b"<html>something else</html>"
    got, found = sent(meter, "", body, size)
    assert got == body
    assert "not_frames" in str(found["flags"]).split(",")


def test_frames_left_early_are_cancelled_and_estimated(meter: TokenMeter) -> None:
    client = Player([Answer(200, {}, converse_stream().chunks)]).client()
    with client.stream("POST", URL, json={"messages": []}) as response:
        iterator = response.iter_raw()
        for _ in range(4):
            next(iterator)
    found = only(meter).properties
    assert (found["outcome"], found["usage_source"]) == ("cancelled", "estimated")
    assert 0 < int(found["output_tokens"]) < 10


@sized
def test_frames_where_a_chunk_of_ours_was_awaited_reach_the_user(
    meter: TokenMeter, size: int
) -> None:
    client = Player([Answer(200, {}, chunks_of(STREAM, size))]).client()
    asked = {"model": "gpt-4o-mini", "messages": [], "stream": True}
    with client.stream("POST", "https://api.openai.com/v1/chat/completions", json=asked) as got:
        assert got.read() == STREAM
    assert only(meter).properties["flags"] == "not_json"


def test_no_part_of_a_frame_is_passed_over_as_an_event() -> None:
    reader = UnsureReader(call(CHAT).api, "")
    for word in range(5):
        reader.feed(event({"text": word}, "contentBlockDelta"))
    assert not reader.quiet(b"data: {}\n\n")
