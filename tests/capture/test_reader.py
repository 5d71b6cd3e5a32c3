"""Bodies and event streams in pieces: read as when they come whole, in bounded memory."""

from __future__ import annotations

import json
import random
import tracemalloc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.capture import wire
from tests.capture.alike import URL, Alike, answer_of, streamed
from tests.capture.alike import alike as alike  # the fixture
from tests.capture.play import Answer, Player, chunks_of
from tokenmeter import TokenMeter
from tokenmeter.capture import squeeze
from tokenmeter.capture.reader import BINARY_BYTES_MAX, BodyReader
from tokenmeter.capture.squeeze import KEEP_BYTES
from tokenmeter.capture.sse import HELD_BYTES_MAX, EventReader
from tokenmeter.providers import Request, find
from tokenmeter.providers.base import Api, Reading

LINE_ENDS = {"lf": b"\n", "crlf": b"\r\n", "cr": b"\r"}
USAGE = {"prompt_tokens": 9, "completion_tokens": 6, "total_tokens": 15}
STREAM = b"".join(wire.chat_stream().chunks)


def api_of(path: str, host: str = "api.openai.com", **body: Any) -> Api:
    adapter = find(host, path)
    assert adapter is not None
    call = adapter.describe(Request("POST", host, path, body={"model": "m", **body}))
    assert call is not None
    return call.api


CHAT = api_of("/v1/chat/completions")
IMAGES = api_of("/v1/images/generations")
SPEECH = api_of("/v1/audio/speech")
TOTALS = {"input_tokens": 9, "output_tokens": 6, "total_tokens": 15}


def body_read(api: Api, body: bytes, size: int) -> Reading:
    reader = BodyReader(api, "application/json")
    for chunk in chunks_of(body, size):
        assert reader.feed(chunk) == chunk
    assert reader.end() == b""
    return reader.reading


def events_read(chunks: list[bytes], *, strip: bool = False, api: Api = CHAT) -> tuple[Any, bytes]:
    reader = EventReader(api, strip_usage=strip)
    given = b"".join([*(reader.feed(chunk) for chunk in chunks), reader.end()])
    return reader.reading, given


@pytest.mark.parametrize("end", LINE_ENDS.values(), ids=LINE_ENDS)
def test_every_split_of_a_stream_reads_the_same_and_changes_no_byte(end: bytes) -> None:
    stream = STREAM.replace(b"\n", end)
    without = b"".join(wire.chat_stream(usage=False).chunks).replace(b"\n", end)
    for at in range(len(stream) + 1):
        chunks = [stream[:at], stream[at:]]
        reading, given = events_read(chunks)
        assert (dict(reading.usage), reading.state) == (TOTALS, "success")
        assert given == stream
        reading, given = events_read(chunks, strip=True)
        assert dict(reading.usage) == TOTALS
        assert given == without, "exactly the chunk that we asked for is taken out"


@pytest.mark.parametrize("end", LINE_ENDS.values(), ids=LINE_ENDS)
@pytest.mark.parametrize("size", [1, 2, 3, 5, 17, 64, 1000])
def test_small_chunks_reach_the_user_as_without_us(alike: Alike, end: bytes, size: int) -> None:
    answer = Answer(200, dict(wire.SSE), chunks_of(STREAM.replace(b"\n", end), size))
    (event,) = alike(answer, streamed)
    assert event.properties["output_tokens"] == 6


@pytest.mark.parametrize("end", LINE_ENDS.values(), ids=LINE_ENDS)
def test_an_edited_stream_lacks_exactly_what_we_asked_for_at_any_chunk_size(
    meter: TokenMeter, end: bytes
) -> None:
    wanted = b"".join(wire.chat_stream(usage=False).chunks).replace(b"\n", end)
    stream = STREAM.replace(b"\n", end)
    body = {"model": "gpt-4o-mini", "messages": [], "stream": True}
    for size in range(1, 120):
        http = Player([Answer(200, dict(wire.SSE), chunks_of(stream, size))]).client()
        with meter.run() as run, http.stream("POST", URL, json=body) as answer:
            assert b"".join(answer.iter_bytes()) == wanted
        assert run.usage.output_tokens == 6


def test_events_without_an_empty_line_between_are_one_event(alike: Alike) -> None:
    for stream in (STREAM.replace(b"\n\n", b"\n"), STREAM.replace(b"\n", b""), b"data:" * 20_000):
        (event,) = alike(answer_of(stream, "text/event-stream"), streamed)
        assert event.properties["usage_source"] == "missing"
        assert "not_json" in str(event.properties["flags"])


def test_comments_fields_and_spaces_of_the_standard_are_understood() -> None:
    last = json.dumps({"choices": [], "usage": USAGE})
    half = len(last) - len(last.partition('"usage"')[2])
    for event in (
        f": hello\nevent: chunk\nid: 7\nretry: 5\ndata: {last}\n\n",
        f"data:{last}\n\n",
        f"data: {last[:half]}\ndata: {last[half:]}\n\n",
        f"\n\n\ndata: {last}",
        f"data\ndata: \ndata: {last}\r\n\r\n",
    ):
        reading, _ = events_read([STREAM[:200], b"\n\n" * 3, event.encode()])
        assert dict(reading.usage) == TOTALS, event


@pytest.mark.parametrize("end", LINE_ENDS.values(), ids=LINE_ENDS)
@pytest.mark.parametrize("filler", [HELD_BYTES_MAX - 200, HELD_BYTES_MAX + 1, 300_000])
def test_a_large_event_ends_where_it_ends_wherever_it_is_cut(end: bytes, filler: int) -> None:
    """Its boundary may lie across two chunks."""
    done = {"type": "image_generation.completed", "b64_json": "A" * filler, "usage": USAGE}
    first = b"data: " + json.dumps(done).encode() + end * 2
    stream = first + first + b": bye" + end * 2
    for at in range(len(first) - 6, len(first) + 7):
        begun = max(0, at - 70_000)
        pieces = [stream[:begun], stream[begun:at], stream[at : at + 1], stream[at + 1 :]]
        for chunks in ([stream[:at], stream[at:]], pieces):
            reading, given = events_read(chunks, api=IMAGES)
            assert (reading.usage["image_count"], reading.usage["input_tokens"]) == (2, 18)
            assert given == stream


def test_every_image_of_a_stream_is_counted(alike: Alike) -> None:
    done = {"type": "image_generation.completed", "b64_json": "AA", "usage": {"input_tokens": 4}}
    stream = b"".join(wire.named_sse(done, done))
    body = {"model": "gpt-image-1", "prompt": "x", "n": 2, "stream": True}

    def draw(client: Any) -> bytes:
        url = "https://api.openai.com/v1/images/generations"
        with client.stream("POST", url, json=body) as answer:
            return b"".join(answer.iter_bytes())

    (event,) = alike(answer_of(stream, "text/event-stream"), draw)
    assert event.properties["image_count"] == 2
    assert event.properties["input_tokens"] == 8


def test_what_is_left_of_an_answer_is_limited_and_beyond_it_is_flagged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(squeeze, "SKELETON_BYTES_MAX", 200_000)
    heavy = b'{"x": [' + b'"abc",' * 200_000 + b'"z"]}'
    reading, _ = events_read([b"data: ", *chunks_of(heavy, 50_000), b"\n\n", STREAM])
    assert reading.flags == {"body_too_large"}
    assert dict(reading.usage) == TOTALS
    reading, _ = events_read([b"data: ", *chunks_of(heavy, 50_000)])
    assert "body_too_large" in reading.flags
    reading = body_read(CHAT, heavy, 50_000)
    assert not reading.usage
    assert reading.flags == {"body_too_large"}


def test_a_stream_without_its_end_marker_is_flagged() -> None:
    assert "cut_short" in events_read(wire.chat_stream().chunks[:3])[0].flags
    assert "cut_short" not in events_read(wire.chat_stream(usage=False).chunks)[0].flags
    assert events_read([])[0].flags == frozenset()


def test_half_a_character_in_the_text_does_not_stop_the_estimate() -> None:
    chunk = {"choices": [{"index": 0, "delta": {"content": "ab\ud83d"}}]}
    reader = EventReader(CHAT)
    for _ in range(5):
        reader.feed(wire.sse(chunk)[0])
    assert reader.text_bytes() == 5 * 3


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    tokens=st.lists(st.integers(0, 10**6), min_size=1, max_size=30),
    style=st.sampled_from(["lines", "lines\r\n", "list", "spaced list"]),
    size=st.sampled_from([1, 3, 64, 1000, 10**6]),
    blob=st.sampled_from([0, 300, 70_000]),
)
def test_lists_and_lines_of_any_length_read_as_each_of_their_elements(
    tokens: list[int], style: str, size: int, blob: int
) -> None:
    size = max(size, blob // 1000 + 1)
    elements = [
        {"x": "A" * blob, "usage": {"prompt_tokens": n, "completion_tokens": 1}} for n in tokens
    ]
    body = {
        "lines": "\n".join(json.dumps(e) for e in elements),
        "lines\r\n": "".join(json.dumps(e) + "\r\n" for e in elements),
        "list": json.dumps(elements),
        "spaced list": json.dumps(elements, indent=1) + "\n",
    }[style].encode()
    reading = body_read(CHAT, body, size)
    assert reading.usage["input_tokens"] == tokens[-1], "the later report wins"
    assert not reading.flags
    summed = body_read(IMAGES, body.replace(b"prompt_tokens", b"input_tokens"), size)
    assert summed.usage["input_tokens"] == sum(tokens), "where every element is another thing"


def test_a_list_that_is_cut_keeps_what_was_whole_and_is_flagged() -> None:
    body = json.dumps([{"usage": USAGE}] * 3).encode()
    for cut in range(len(body) - 20, len(body) - 1):
        reading = body_read(CHAT, body[:cut], 10)
        assert dict(reading.usage) == TOTALS
        assert reading.flags == {"not_json"}


def test_a_body_of_many_short_strings_is_read_to_its_usage() -> None:
    """A chat with `logprobs` has megabytes before its usage."""
    token = {"token": "a", "logprob": -0.5, "bytes": [65], "top_logprobs": []}
    body = {"choices": [{"logprobs": {"content": [token] * 40_000}}], "usage": USAGE}
    sent = json.dumps({"object": "chat.completion", "id": "c", **body}).encode()
    assert len(sent) > 2_500_000
    reading = body_read(CHAT, sent, 16_384)
    assert reading.usage["output_tokens"] == 6
    assert not reading.flags


def test_sound_of_any_size_is_looked_at_and_not_kept() -> None:
    sound = b"ID3" + random.Random(7).randbytes(3_000_000)
    reader = BodyReader(SPEECH, "audio/mpeg")
    tracemalloc.start()
    for chunk in chunks_of(sound, 16_384):
        reader.feed(chunk)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    reader.end()
    assert reader.reading.state == "success"
    assert reader.reading.flags == {"counted"}
    assert peak < 4 * BINARY_BYTES_MAX + len(sound), "chunks_of itself holds one copy"


def test_an_image_leaves_only_its_key_in_memory() -> None:
    reader = BodyReader(IMAGES, "application/json")
    tracemalloc.start()
    reader.feed(b'{"data": [{"b64_json": "')
    for _ in range(1_000):
        reader.feed(b"A" * 10_000)
    reader.feed(b'"}], "usage": {"input_tokens": 3, "output_tokens": 4}}')
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    reader.end()
    assert reader.reading.usage["image_count"] == 1
    assert reader.reading.usage["input_tokens"] == 3
    assert peak < 5 * KEEP_BYTES


@pytest.mark.parametrize("size", [1, 7, 61, 1 << 20])
@pytest.mark.parametrize("before", [b"", b"\n\n  "], ids=["bare", "after blank lines"])
def test_a_json_body_that_is_called_a_stream_of_events_is_read(before: bytes, size: int) -> None:
    body = before + b"".join(wire.chat().chunks)
    for strip in (False, True):
        reading, given = events_read(chunks_of(body, size), strip=strip)
        assert (reading.usage["input_tokens"], reading.state) == (9, "success")
        assert given == body
    failed, _ = events_read(chunks_of(b'{"error": {"code": "busy"}}', size))
    assert (failed.state, failed.error_type) == ("failed", "busy")
