"""A thing that is asked for again is one event, however its answers come through the gateway."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import httpx2
import pytest

from tests.asgi.driving import ask, scope_of
from tests.asgi.upstream import answering, forwarding
from tokenmeter import TokenMeter
from tokenmeter.asgi import TokenMeterMiddleware
from tokenmeter.asgi.incoming import App

NOW = int(time.time())
VIDEO = {"id": "video_9", "object": "video", "created_at": NOW, "model": "sora-2", "seconds": "4"}
USED = {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}
RESPONSE = {"id": "resp_1", "object": "response", "created_at": NOW, "model": "gpt-4o"}
ENDED = {**RESPONSE, "status": "completed", "output": [], "usage": USED}
BATCH = {"id": "batch_1", "object": "batch", "status": "completed", "model": "gpt-4o"}
MESSAGE = {"id": "msg_1", "type": "message", "model": "claude-sonnet-4-6", "usage": USED}
RESULT = {"custom_id": "a", "result": {"type": "succeeded", "message": MESSAGE}}
INTERACTION = {"id": "int_1", "status": "completed", "model": "gemini-3.5-flash"}
COUNTS = {"total_input_tokens": 4, "total_output_tokens": 3, "total_tokens": 7}
RETRIEVED = "/v1/responses/resp_1"


def sse(kind: str, response: dict[str, Any]) -> bytes:
    told = json.dumps({"type": kind, "response": response})
    return f"event: {kind}\ndata: {told}\n\n".encode()


STREAM = sse("response.created", {**RESPONSE, "status": "in_progress"}) + sse(
    "response.completed", ENDED
)


class Look(NamedTuple):
    """One request, and what it is answered."""

    method: str
    path: str
    answer: bytes
    kind: str = "application/json"
    asked: bytes = b""


def look(path: str, answer: dict[str, Any]) -> Look:
    return Look("GET", path, json.dumps(answer).encode())


CREATED = json.dumps({"model": "gpt-4o", "input": "x"}).encode()
STREAMED = json.dumps({"model": "gpt-4o", "input": "x", "stream": True}).encode()
AGAIN = look(RETRIEVED, ENDED)
RESULTS = Look(
    "GET",
    "/v1/messages/batches/msgbatch_1/results",
    json.dumps(RESULT).encode() + b"\n",
    "application/x-jsonl",
)
LOOKS: dict[str, list[Look]] = {
    "a video": [look("/v1/videos/video_9", {**VIDEO, "status": "completed"})] * 3,
    "a response": [AGAIN] * 3,
    "a batch": [look("/v1/batches/batch_1", {**BATCH, "usage": USED})] * 3,
    "a batch's results": [RESULTS] * 3,
    "an interaction": [look("/v1/interactions/int_1", {**INTERACTION, "usage": COUNTS})] * 3,
    "a new response": [
        Look("POST", "/v1/responses", AGAIN.answer, asked=CREATED),
        AGAIN,
        AGAIN,
    ],
    "a streamed response": [
        Look("POST", "/v1/responses", STREAM, "text/event-stream", STREAMED),
        AGAIN,
        Look("GET", RETRIEVED, STREAM, "text/event-stream"),
    ],
}


def upstream(meter: TokenMeter, seen: Look, *, tapped: bool, measured: bool) -> App:
    """Answer in small pieces, the first too short to tell whose answer it is."""
    pieces = [seen.answer[:9], seen.answer[9:]]
    headers = {"content-type": seen.kind}
    if measured:
        headers["content-length"] = str(len(seen.answer))
    if not tapped:
        return answering(200, headers, pieces)

    async def body() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    transport = httpx2.MockTransport(
        lambda _request: httpx2.Response(200, headers=headers, content=body())
    )
    host = "api.openai.com"
    if "batches/msgbatch" in seen.path:
        host = "api.anthropic.com"
    if "interactions" in seen.path:
        host = "generativelanguage.googleapis.com"
    client = meter.wrap(httpx2.AsyncClient(transport=transport))
    return forwarding(client, f"https://{host}{seen.path}")


@pytest.mark.parametrize("tapped", [True, False])
@pytest.mark.parametrize("measured", [True, False])
@pytest.mark.parametrize("name", LOOKS)
async def test_what_is_asked_for_again_is_one_event(
    name: str, *, measured: bool, tapped: bool
) -> None:
    meter = TokenMeter("memory:")
    for seen in LOOKS[name]:
        app = TokenMeterMiddleware(
            upstream(meter, seen, tapped=tapped, measured=measured),
            customer=lambda _request: "acme",
            meter=meter,
        )
        answered = await ask(app, scope_of(seen.method, seen.path), seen.asked)
        assert answered.body == seen.answer
        meter.flush(30)
        (event,) = meter.backend.events
        assert event.properties["billable"] == "true"
        told = answered.headers.get("x-tokenmeter-event-id", event.event_id)
        assert told == event.event_id
    meter.shutdown()


@pytest.mark.parametrize("tapped", [True, False])
async def test_json_that_does_not_say_its_length_tells_its_cost(*, tapped: bool) -> None:
    meter = TokenMeter("memory:")
    seen = Look("POST", "/v1/responses", AGAIN.answer, asked=CREATED)
    app = TokenMeterMiddleware(
        upstream(meter, seen, tapped=tapped, measured=False),
        customer=lambda _request: "acme",
        meter=meter,
    )
    answered = await ask(app, scope_of(seen.method, seen.path), seen.asked)
    assert answered.headers["x-tokenmeter-cost"] == "0.000075"
    assert answered.chunks == [seen.answer[:9], seen.answer[9:]]
    meter.shutdown()


async def test_json_that_is_streamed_is_not_held_back() -> None:
    """Gemini streams an array where nobody asks for events."""
    part = {"candidates": [], "usageMetadata": {"promptTokenCount": 4, "totalTokenCount": 4}}
    pieces = [b"[" + json.dumps(part).encode(), b"," + json.dumps(part).encode(), b"]"]
    meter = TokenMeter("memory:")
    sent: list[int] = []

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        kind = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": kind})
        for piece in pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            sent.append(len(passed))
        await send({"type": "http.response.body", "body": b""})

    passed: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"{}"}

    async def send(message: Any) -> None:
        passed.append(message)

    gateway = TokenMeterMiddleware(app, customer=lambda _request: "acme", meter=meter)
    path = "/v1beta/models/gemini-3.5-flash:streamGenerateContent"
    await gateway(scope_of("POST", path), receive, send)
    assert sent == [2, 3, 4]  # its start, and each piece as it came
    meter.shutdown()
