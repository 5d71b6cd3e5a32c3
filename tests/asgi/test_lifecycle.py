"""One event per upstream call, with the right outcome, however the request ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.asgi.driving import Answered, ask, scope_of
from tests.asgi.upstream import HOPS, answering, forwarding, read_all, reply
from tests.capture.play import Answer, Player
from tokenmeter import Event, TokenMeter
from tokenmeter.asgi import Incoming, TokenMeterMiddleware
from tokenmeter.asgi.incoming import App, Receive, Scope, Send

URL = "https://api.openai.com/v1/chat/completions"
SSE = {"content-type": "text/event-stream"}
JSON = {"content-type": "application/json"}
ASKED = json.dumps({"model": "gpt-4o-mini", "messages": []}).encode()
STREAMED = json.dumps(
    {
        "model": "gpt-4o-mini",
        "messages": [],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
).encode()


def sse(payload: Any) -> bytes:
    return b"data: " + json.dumps(payload).encode() + b"\n\n"


CHUNKS = [
    *(
        sse(
            {
                "id": "chatcmpl-7",
                "model": "gpt-4o-mini",
                "choices": [{"index": 0, "delta": {"content": f"word {number} "}}],
            }
        )
        for number in range(20)
    ),
    sse(
        {
            "id": "chatcmpl-7",
            "model": "gpt-4o-mini",
            "choices": [],
            "usage": {"prompt_tokens": 8, "completion_tokens": 60, "total_tokens": 68},
        }
    ),
    b"data: [DONE]\n\n",
]
WHOLE = json.dumps(
    {
        "id": "chatcmpl-8",
        "model": "gpt-4o-mini",
        "choices": [],
        "usage": {"prompt_tokens": 8, "completion_tokens": 2, "total_tokens": 10},
    }
).encode()


class Gateway:
    """A middleware over an application, and the events that come of it."""

    def __init__(self, app: App, **options: Any) -> None:
        self.meter = TokenMeter("memory:")
        self.app = TokenMeterMiddleware(
            app, customer=lambda _request: "acme", meter=self.meter, **options
        )

    async def ask(self, body: bytes, path: str = "/v1/chat/completions", **how: Any) -> Answered:
        headers = how.pop("headers", [("content-type", "application/json")])
        return await ask(self.app, scope_of("POST", path, headers), body, **how)

    def events(self) -> list[Event]:
        self.meter.shutdown()
        events: list[Event] = self.meter.backend.events
        return events


def tapped(player: Player, **options: Any) -> Gateway:
    client = player.async_client()
    gateway = Gateway(forwarding(client, URL), **options)
    gateway.meter.wrap(client)
    return gateway


@pytest.fixture(params=["tapped", "answer"])
def streaming(request: pytest.FixtureRequest) -> Gateway:
    if request.param == "tapped":
        return tapped(Player([Answer(200, SSE, CHUNKS)]))
    return Gateway(answering(200, SSE, CHUNKS))


async def test_a_stream_is_one_event_and_passes_chunk_by_chunk(streaming: Gateway) -> None:
    answered = await streaming.ask(STREAMED)
    assert answered.chunks == CHUNKS
    (event,) = streaming.events()
    assert (event.properties["outcome"], event.usage.output_tokens) == ("success", 60)
    assert answered.headers["x-tokenmeter-event-id"] == event.event_id
    assert answered.headers["x-tokenmeter-run-id"] == event.properties["run_id"]
    assert "x-tokenmeter-cost" not in answered.headers


async def test_the_first_chunk_is_not_delayed() -> None:
    released = asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield CHUNKS[0]
        await released.wait()
        yield b"".join(CHUNKS[1:])

    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        await read_all(receive)
        await reply(send, 200, [(b"content-type", b"text/event-stream")], slow())

    gateway, seen = Gateway(app), list[Any]()

    async def receive() -> Any:
        return {"type": "http.request", "body": STREAMED}

    async def send(message: Any) -> None:
        seen.append(message)
        released.set()

    await asyncio.wait_for(gateway.app(scope_of("POST", "/v1/responses"), receive, send), 5)
    assert seen[1]["body"] == CHUNKS[0]
    assert len(gateway.events()) == 1


async def test_a_whole_answer_tells_usage_and_cost_in_its_headers() -> None:
    gateway = tapped(Player([Answer(200, {**JSON, "content-length": str(len(WHOLE))}, [WHOLE])]))
    answered = await gateway.ask(ASKED)
    (event,) = gateway.events()
    assert answered.body == WHOLE
    assert answered.headers["x-tokenmeter-event-id"] == event.event_id
    usage = json.loads(answered.headers["x-tokenmeter-usage"])
    assert (usage["input_tokens"], usage["output_tokens"]) == (8, 2)
    assert float(answered.headers["x-tokenmeter-cost"]) == float(event.properties["cost_usd"])


async def test_headers_of_ours_from_upstream_are_replaced() -> None:
    headers = {**JSON, "X-TokenMeter-Event-Id": "evt_upstream", "x-tokenmeter-cost": "1"}
    gateway = Gateway(answering(200, headers, [WHOLE]))
    answered = await gateway.ask(ASKED)
    (event,) = gateway.events()
    assert answered.headers["x-tokenmeter-event-id"] == event.event_id
    assert answered.headers.get("x-tokenmeter-cost") != "1"


async def test_a_client_that_leaves_cancels_the_stream_once() -> None:
    """Servers tell it by a disconnect, which frameworks turn into a cancellation."""
    player = Player([Answer(200, SSE, CHUNKS)])
    client = player.async_client()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async def watched(message: Any) -> None:
            await send(message)
            if message.get("body") == CHUNKS[4]:
                raise asyncio.CancelledError

        await forwarding(client, URL)(scope, receive, watched)

    gateway = Gateway(app)
    gateway.meter.wrap(client)
    with pytest.raises(asyncio.CancelledError):
        await gateway.ask(STREAMED)
    (event,) = gateway.events()
    assert event.properties["outcome"] == "cancelled"
    assert event.usage.output_tokens
    assert player.closed


async def test_a_stream_that_breaks_off_in_the_answer_is_cancelled_once() -> None:
    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        await read_all(receive)
        await send({"type": "http.response.start", "status": 200, "headers": _raw(SSE)})
        for chunk in CHUNKS[:5]:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        raise asyncio.CancelledError

    gateway = Gateway(app)
    with pytest.raises(asyncio.CancelledError):
        await gateway.ask(STREAMED)
    (event,) = gateway.events()
    assert event.properties["outcome"] == "cancelled"
    assert event.properties["usage_source"] == "estimated"


async def test_an_application_that_just_stops_leaves_a_cancelled_event() -> None:
    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        await read_all(receive)
        await send({"type": "http.response.start", "status": 200, "headers": _raw(SSE)})
        await send({"type": "http.response.body", "body": CHUNKS[0], "more_body": True})

    gateway = Gateway(app)
    await gateway.ask(STREAMED)
    (event,) = gateway.events()
    assert event.properties["outcome"] == "cancelled"


async def test_an_application_that_raises_fails() -> None:
    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        await read_all(receive)
        await send({"type": "http.response.start", "status": 200, "headers": _raw(JSON)})
        raise ValueError("of the application's")

    gateway = Gateway(app)
    with pytest.raises(ValueError, match="of the application's"):
        await gateway.ask(ASKED)
    (event,) = gateway.events()
    assert (event.properties["outcome"], event.properties["error_type"]) == (
        "failed",
        "ValueError",
    )


@pytest.mark.parametrize("status", [429, 500])
async def test_an_upstream_error_is_a_failed_event_that_nobody_pays(status: int) -> None:
    error = b'{"error":{"message":"no","type":"x"}}'
    gateway = tapped(Player([Answer(status, JSON, [error])]))
    answered = await gateway.ask(ASKED)
    assert (answered.status, answered.body) == (status, error)
    (event,) = gateway.events()
    assert (event.properties["outcome"], event.properties["billable"]) == ("failed", "false")


async def test_an_agents_calls_are_one_run() -> None:
    player = Player([Answer(200, JSON, [WHOLE])])
    client = player.async_client()

    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        await read_all(receive)
        for _ in range(3):
            await client.post(URL, content=ASKED)
        await reply(send, 200, _raw(JSON), [b'{"choices":[]}'])

    gateway = Gateway(app)
    gateway.meter.wrap(client)
    answered = await gateway.ask(ASKED)
    events = gateway.events()
    assert answered.headers["x-tokenmeter-event-id"].split(",") == [e.event_id for e in events]
    assert len(events) == 3
    assert len({event.properties["run_id"] for event in events}) == 1


async def test_a_call_that_begins_after_the_answer_has_begun_is_counted_once() -> None:
    player = Player([Answer(200, SSE, CHUNKS)])
    client = player.async_client()

    async def late() -> AsyncIterator[bytes]:
        async with client.stream("POST", URL, content=STREAMED) as answer:
            async for chunk in answer.aiter_raw():
                yield chunk

    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        await read_all(receive)
        await reply(send, 200, _raw(SSE), late())

    gateway = Gateway(app)
    gateway.meter.wrap(client)
    await gateway.ask(STREAMED)
    (event,) = gateway.events()
    assert event.usage.output_tokens == 60


async def test_a_route_of_the_users_own_is_metered_by_its_calls() -> None:
    player = Player([Answer(200, JSON, [WHOLE])])
    client = player.async_client()

    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        await client.post(URL, content=ASKED)
        await reply(send, 200, _raw(JSON), [b"{}"])

    def own(request: Incoming) -> bool:
        return request.path == "/ask"

    gateway = Gateway(app, routes=own)
    gateway.meter.wrap(client)
    answered = await gateway.ask(b"", "/ask")
    (event,) = gateway.events()
    assert event.external_customer_id == "acme"
    assert answered.headers["x-tokenmeter-event-id"] == event.event_id


@pytest.mark.parametrize("path", ["/health", "/v1/chat/completions"])
@pytest.mark.parametrize("given", ["none", "an iterator"])
async def test_headers_reach_the_application_however_they_come(path: str, given: str) -> None:
    found: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        found.extend(scope["headers"])
        await reply(send, 200, [], [])

    scope = scope_of("POST", path, [("a", "b")])
    if given == "none":
        del scope["headers"]
    else:
        scope["headers"] = iter(scope["headers"])
    meter = TokenMeter("memory:")
    await ask(TokenMeterMiddleware(app, customer=lambda _r: "acme", meter=meter), scope)
    meter.shutdown()
    assert found == ([] if given == "none" else [(b"a", b"b")])


async def test_what_is_not_metered_passes_untouched() -> None:
    gateway = Gateway(answering(200, {**JSON, "x-tokenmeter-run-id": "theirs"}, [b"{}"]))
    answered = await gateway.ask(b"{}", "/health")
    assert answered.headers["x-tokenmeter-run-id"] == "theirs"
    assert gateway.events() == []


@pytest.mark.parametrize("kind", ["websocket", "lifespan"])
async def test_other_connections_pass_through(kind: str) -> None:
    seen: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append((scope, receive, send))

    async def nothing(*_: Any) -> Any:
        return None

    scope = {"type": kind}
    await Gateway(app).app(scope, nothing, nothing)
    assert seen == [(scope, nothing, nothing)]


async def test_a_body_that_is_no_json_passes_and_is_recorded_as_unreadable() -> None:
    seen: list[bytes] = []

    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(await read_all(receive))
        await reply(send, 400, _raw(JSON), [b'{"error":{"message":"no JSON"}}'])

    gateway = Gateway(app)
    await gateway.ask(b"\xff not json")
    (event,) = gateway.events()
    assert seen == [b"\xff not json"]
    assert event.properties["request_body"] == "unreadable"
    assert event.properties["outcome"] == "failed"


def _raw(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(n.encode(), v.encode()) for n, v in headers.items() if n.encode() not in HOPS]


async def test_a_repeated_idempotency_key_is_one_run_and_its_replay_a_retry() -> None:
    gateway = tapped(Player([Answer(200, JSON, [WHOLE])]))
    keyed = [("content-type", "application/json"), ("Idempotency-Key", "order-1")]
    for _ in range(2):
        await gateway.ask(ASKED, headers=keyed)
    await gateway.ask(ASKED, headers=[*keyed[:1], ("Idempotency-Key", "order-2")])
    first, second, other = gateway.events()
    assert first.properties["run_id"] == second.properties["run_id"]
    assert (second.properties["attempt"], second.properties["is_retry"]) == (2, "true")
    assert second.properties["retry_of"] == first.event_id
    assert other.properties["run_id"] != first.properties["run_id"]
    assert other.properties["attempt"] == 1


async def test_an_idempotency_key_of_one_customer_says_nothing_of_another() -> None:
    meter = TokenMeter("memory:")
    app = answering(200, JSON, [WHOLE])
    gateway = TokenMeterMiddleware(app, customer=lambda r: r.headers["x-who"], meter=meter)
    for who in ("acme", "globex"):
        headers = [("idempotency-key", "1"), ("x-who", who)]
        await ask(gateway, scope_of("POST", "/v1/chat/completions", headers), ASKED)
    meter.shutdown()
    first, second = meter.backend.events
    assert first.properties["run_id"] != second.properties["run_id"]
    assert second.properties["attempt"] == 1
