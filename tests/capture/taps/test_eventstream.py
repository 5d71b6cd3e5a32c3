"""AWS event streams, frame by frame, whole or damaged."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st

from tests.capture.play import chunks_of
from tests.capture.taps.frames import event, frame, header
from tests.corpus import load
from tokenmeter.capture.eventstream import DAMAGED, FRAME_BYTES_MAX, Frames, frame_headers
from tokenmeter.capture.passed import event_data


def chunk(payload: Any) -> bytes:
    packed = base64.b64encode(json.dumps(payload, indent=1).encode()).decode()
    return event({"bytes": packed, "p": "abc"}, "chunk")


def decoded(*pieces: bytes) -> list[Any]:
    frames = Frames()
    events = [found for piece in pieces for found in frames.decode(piece)]
    assert not frames.failed
    assert all(found.endswith(b"\n\n") and found.count(b"\n") == 2 for found in events)
    return [json.loads(event_data(found)) for found in events]


USAGE = {"usage": {"inputTokens": 3, "outputTokens": 2}}


@given(st.integers(1, 400))
def test_frames_are_found_however_they_are_cut(size: int) -> None:
    stream = event({"role": "assistant"}, "messageStart") + chunk({"a": "ä\n"}) + event(USAGE)
    assert decoded(*chunks_of(stream, size)) == [
        {":event-type": "messageStart", "role": "assistant"},
        {":event-type": "chunk", "a": "ä\n"},
        {":event-type": "metadata", **USAGE},
    ]


def test_a_frame_with_a_wrong_checksum_is_read_and_flagged() -> None:
    whole = event(USAGE) + chunk({"a": 1})
    right, wrong = Frames(), Frames()
    assert len(list(right.decode(whole))) == 2
    assert right.doubts is None
    at = whole.index(b"3")
    assert len(list(wrong.decode(whole[:at] + b"8" + whole[at + 1 :]))) == 2
    assert wrong.doubts is DAMAGED
    assert not wrong.failed


def test_recorded_streams_read_as_botocore_reads_them() -> None:
    bodies = [e.body for e in load("bedrock") if e.body[:2] == b"\0\0"]
    assert bodies
    for body in bodies:
        buffer = EventStreamBuffer()
        buffer.add_data(body)
        expected = [found.headers[":event-type"] for found in buffer]
        assert [found[":event-type"] for found in decoded(*chunks_of(body, 61))] == expected


def test_an_exception_is_named_and_keeps_its_payload() -> None:
    raised = frame(
        b'{"message": "slow down"}',
        exception_type="throttlingException",
        message_type="exception",
    )
    assert decoded(raised) == [
        {
            ":event-type": "throttlingException",
            "__exception": "throttlingException",
            "message": "slow down",
        }
    ]


def test_an_error_without_a_payload_is_named() -> None:
    raised = frame(b"", error_code="InternalError", message_type="error")
    assert decoded(raised) == [{":event-type": "InternalError", "__exception": "InternalError"}]
    assert decoded(frame(b"", message_type="error"))[0]["__exception"] == "error"


@pytest.mark.parametrize("payload", [b"{}", b" { } ", b""])
def test_an_empty_payload_leaves_the_type(payload: bytes) -> None:
    stream = frame(payload, event_type="ping", message_type="event")
    assert decoded(stream) == [{":event-type": "ping"}]


@pytest.mark.parametrize("payload", [b'{"bytes": 3}', b'{"bytes": "%%%="}'])
def test_a_chunk_that_is_none_is_passed_as_it_is(payload: bytes) -> None:
    (found,) = Frames().decode(frame(payload, event_type="chunk"))
    assert event_data(found) == payload[:-1] + b',":event-type":"chunk"}'


@pytest.mark.parametrize("payload", [b"[1]", b"{", b'"text"', b"\xff\xfe"])
def test_a_chunk_that_is_no_object_leaves_the_type(payload: bytes) -> None:
    (found,) = Frames().decode(frame(payload, event_type="chunk"))
    assert event_data(found) == b'{":event-type":"chunk"}'


def test_checksums_are_not_looked_at() -> None:
    scrubbed = bytearray(event(USAGE))
    scrubbed[8:12] = scrubbed[-4:] = b"\0\0\0\0"
    assert decoded(bytes(scrubbed))[0]["usage"] == USAGE["usage"]


def test_headers_of_every_type_are_passed_over() -> None:
    odd = b"".join(
        bytes([1]) + b"x" + bytes([kind]) + b"\x01" * size
        for kind, size in {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}.items()
    )
    odd += b"\x01x\x06\x00\x02ab" + header(":event-type", "metadata")
    assert frame_headers(odd) == {":event-type": "metadata"}
    assert decoded(frame(b"{}", extra=odd)) == [{":event-type": "metadata"}]


@given(st.binary(max_size=200))
def test_damaged_headers_never_raise(raw: bytes) -> None:
    assert isinstance(frame_headers(raw), dict)


def test_a_frame_that_is_too_large_is_passed_over_and_not_kept() -> None:
    frames = Frames()
    large = event({"text": "x" * FRAME_BYTES_MAX}, "contentBlockDelta")
    found: list[bytes] = []
    kept = 0
    for piece in chunks_of(large + event(USAGE), 10_000):
        found += frames.decode(piece)
        kept = max(kept, len(frames._pending))
    assert kept < 11_000
    assert [json.loads(event_data(one))[":event-type"] for one in found] == ["metadata"]


def test_a_large_chunk_is_not_copied_as_a_whole() -> None:
    frames = Frames()
    stream = event({"text": "x" * 1000}) * 2000
    kept = max(len(frames._pending) for _ in frames.decode(stream))
    assert kept <= 64 * 1024 + 2000


@pytest.mark.parametrize("head", [b"HTTP/1.1 200", b"\0\0\0\x0f\0\0\0\0....", b'{"a": 1, "b": 2}'])
def test_what_is_no_event_stream_is_given_up(head: bytes) -> None:
    frames = Frames()
    assert not list(frames.decode(head))
    assert frames.failed
    assert not list(frames.decode(event(USAGE)))
    assert not frames._pending


@given(st.binary(max_size=2000), st.integers(1, 100))
def test_any_bytes_never_raise(stream: bytes, size: int) -> None:
    frames = Frames()
    for piece in chunks_of(event(USAGE) + stream, size):
        list(frames.decode(piece))
    assert len(frames._pending) <= len(stream)
