"""What the middleware does for a request is counted: functions called, whatever the machine."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import tokenmeter
from tests.asgi.driving import scope_of
from tests.asgi.upstream import answering
from tokenmeter import TokenMeter
from tokenmeter.asgi import ApiKeys, TokenMeterMiddleware
from tokenmeter.asgi.incoming import App, Message

OURS = str(Path(tokenmeter.__file__).parent)
PATH = "/v1/chat/completions"
KEY = [("authorization", "Bearer key-of-acme"), ("content-type", "application/json")]
ASKED = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hi"}]}
LEARNED = 100  # so many chunks, and what they have in common is known
CHUNKS = 50
STREAM_CALLS_MAX = 240  # for one that comes in chunks, beside the calls of each chunk
CALLS_MAX = 106  # for a request whose answer comes in one piece
CALLS_A_CHUNK_MAX = 2  # the middleware's, and the look at the chunk


def completion(number: int) -> bytes:
    usage = {"prompt_tokens": 8, "completion_tokens": number, "total_tokens": 8 + number}
    message = {"role": "assistant", "content": "words " * 50}
    told = {"id": f"chatcmpl-{number}", "object": "chat.completion", "created": 1793491200}
    more = {"model": "gpt-4o-mini", "choices": [{"index": 0, "message": message}], "usage": usage}
    return json.dumps({**told, **more}).encode()


def chunk(number: int) -> bytes:
    delta = {"index": 0, "delta": {"content": f"word {number}"}}
    told = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "usage": None}
    return f"data: {json.dumps({**told, 'choices': [delta]})}\n\n".encode()


class Counter:
    """Counts the functions of ours that one thread calls."""

    def __init__(self) -> None:
        self.calls = list[str]()

    def __call__(self, frame: FrameType, event: str, _arg: Any) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(OURS):
            self.calls.append(frame.f_code.co_name)


async def counted(app: App, body: dict[str, Any]) -> list[str]:
    """Ask a few times, and count at the last."""
    counter, messages = Counter(), list[Message]()

    async def receive() -> Message:
        return {"type": "http.request", "body": json.dumps(body).encode(), "more_body": False}

    async def send(message: Message) -> None:  # never waits: to go on counts as a call, too
        messages.append(message)

    for last in (False, False, True):
        sys.setprofile(counter if last else None)
        try:
            await app(scope_of("POST", PATH, KEY), receive, send)
        finally:
            sys.setprofile(None)
    assert [m["status"] for m in messages if m["type"] == "http.response.start"] == 3 * [200]
    return counter.calls


@pytest.fixture
def meter(tmp_path: Path) -> Iterator[TokenMeter]:
    made = TokenMeter(f"sqlite:///{tmp_path / 'usage.db'}")
    yield made
    made.shutdown()


def metered(app: App, meter: TokenMeter) -> App:
    return TokenMeterMiddleware(app, customer=ApiKeys({"key-of-acme": "acme"}), meter=meter)


async def test_a_usual_answer_is_read_at_once_and_in_few_calls(meter: TokenMeter) -> None:
    body = completion(150)
    length = {"content-type": "application/json", "content-length": str(len(body))}
    calls = await counted(metered(answering(200, length, [body]), meter), ASKED)
    assert "plain_chat" in calls
    assert not {"read_chat", "settle_text", "events_of", "response"} & set(calls)
    assert len(calls) <= CALLS_MAX, calls


@pytest.mark.parametrize("kind", ["application/json", "text/event-stream"])
async def test_an_unusual_answer_is_read_the_long_way(meter: TokenMeter, kind: str) -> None:
    calls = await counted(metered(answering(200, {"content-type": kind}, [b"{}"]), meter), ASKED)
    assert "response" in calls  # so the counts above would show it


async def test_a_quiet_chunk_costs_two_calls(meter: TokenMeter) -> None:
    asked, headers = {**ASKED, "stream": True}, {"content-type": "text/event-stream"}
    counts = list[int]()
    for number in (LEARNED, LEARNED + CHUNKS):
        app = answering(200, headers, [chunk(n) for n in range(number)])
        counts.append(len(await counted(metered(app, meter), asked)))
    assert (counts[1] - counts[0]) / CHUNKS <= CALLS_A_CHUNK_MAX


async def test_a_usual_stream_is_begun_and_ended_in_few_calls(meter: TokenMeter) -> None:
    asked, headers = {**ASKED, "stream": True}, {"content-type": "text/event-stream"}
    usage = {"prompt_tokens": 8, "completion_tokens": 3, "total_tokens": 11}
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "m", "created": 1}
    begin = {**head, "choices": [{"index": 0, "delta": {"role": "assistant"}}]}
    end = {**head, "choices": [], "usage": usage}
    told = [f"data: {json.dumps(each)}\n\n".encode() for each in (begin, end)]
    app = answering(200, headers, [told[0], *map(chunk, range(LEARNED)), told[1]])
    calls = await counted(metered(app, meter), asked)
    assert {"_first_chunk", "_last_chunk"} <= set(calls)
    assert not {"read_chat", "settle_text", "events_of", "describe_as"} & set(calls)
    assert len(calls) - LEARNED * CALLS_A_CHUNK_MAX <= STREAM_CALLS_MAX, len(calls)
