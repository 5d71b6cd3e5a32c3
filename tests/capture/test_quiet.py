"""Chunks that hold nothing for us pass by the reader; what is read and handed on is the same."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenmeter.capture.passed import SAMPLE_BYTES_MAX
from tokenmeter.capture.sse import EventReader
from tokenmeter.providers import Request, find
from tokenmeter.providers.base import Api

USAGE = {"prompt_tokens": 9, "completion_tokens": 6, "total_tokens": 15}
SEPARATORS = [(",", ":"), (", ", ": ")]


def api() -> Api:
    path = "/v1/chat/completions"
    adapter = find("api.openai.com", path)
    assert adapter is not None
    call = adapter.describe(Request("POST", "api.openai.com", path, body={"model": "gpt-4o"}))
    assert call is not None
    return call.api


def event(separators: tuple[str, str] = (",", ":"), **fields: Any) -> bytes:
    delta = {"index": 0, "delta": {"content": "words and words"}, "finish_reason": None}
    payload = {"id": "c-1", "model": "gpt-4o", "choices": [delta], "usage": None, **fields}
    return f"data: {json.dumps(payload, separators=separators)}\n\n".encode()


TEXT = [event(separators) for separators in SEPARATORS]
RUNNING = [event(usage=USAGE), event(usage=None, x_groq={"usage": USAGE})]
LAST = event(choices=[], usage=USAGE)
DONE = b"data: [DONE]\n\n"
ENDS: list[list[bytes]] = [[], [LAST], [DONE], [LAST, DONE]]
TOLD = [*RUNNING, LAST, DONE]
BEGINNING = [TEXT[0]] * (SAMPLE_BYTES_MAX // len(TEXT[0]) + 1)


def awake(*, strip: bool = False) -> EventReader:
    """A reader that has seen enough of the beginning to let chunks pass."""
    reader = EventReader(api(), strip_usage=strip)
    for chunk in BEGINNING:
        reader.feed(chunk)
    return reader


def passed(reader: EventReader, chunks: list[bytes]) -> bytes:
    """What the user gets, as the taps do it."""
    given_on = [chunk if reader.quiet(chunk) else reader.feed(chunk) for chunk in chunks]
    return b"".join([*given_on, reader.end()])


@pytest.mark.parametrize("chunk", TEXT)
def test_text_with_a_null_usage_is_quiet(chunk: bytes) -> None:
    assert awake().quiet(chunk)
    assert awake().quiet(chunk.replace(b"\n\n", b"\r\n\r\n"))


@pytest.mark.parametrize("chunk", [*TOLD, event(error={"code": "overloaded"}), TEXT[0] + LAST])
def test_a_usage_an_error_or_the_end_is_never_quiet(chunk: bytes) -> None:
    assert not awake().quiet(chunk)


def test_a_part_of_an_event_is_never_quiet() -> None:
    reader = awake()
    assert not reader.quiet(TEXT[0][:40])
    reader.feed(TEXT[0][:40])
    assert not reader.quiet(TEXT[0][40:])


def test_the_beginning_is_never_quiet() -> None:
    assert not EventReader(api()).quiet(TEXT[0])


@given(
    st.lists(st.sampled_from([*TEXT, *TEXT, *RUNNING]), max_size=30),
    st.sampled_from(ENDS),
    st.lists(st.integers(1, 400), min_size=1),
    st.booleans(),
)
def test_what_is_read_and_handed_on_is_as_if_every_chunk_were_looked_at(
    events: list[bytes],
    end: list[bytes],
    sizes: list[int],
    strip: bool,
) -> None:
    events = [*events, *end]
    body = b"".join(events)
    chunks: list[bytes] = []
    at = 0
    while at < len(body):
        size = sizes[len(chunks) % len(sizes)]
        chunks.append(body[at : at + size])
        at += size
    watched = awake(strip=strip)
    got = passed(watched, chunks)
    thorough = awake(strip=strip)
    expected = b"".join([*(thorough.feed(each) for each in events), thorough.end()])
    assert watched.reading == thorough.reading
    assert got == expected


def test_the_text_of_quiet_chunks_is_counted_for_the_estimate() -> None:
    looked_at, quiet = awake(), awake()
    for _ in range(100):
        looked_at.feed(TEXT[0])
        assert quiet.quiet(TEXT[0])
    assert quiet.text_bytes() == looked_at.text_bytes()
