"""An application with taps, talking to a gateway: one event per attempt, made by the gateway."""

from __future__ import annotations

from typing import Any

import httpx2
import openai
import pytest
from gateway.app import create_app
from gateway.replay import Cassettes

from tests.capture.play import Answer, Player
from tokenmeter import Run, TokenMeter
from tokenmeter.errors import ConfigurationError

KEY = "key-of-acme"
ASKED: Any = [{"role": "user", "content": "My plant arrived dry. What now?"}]
JSON = {"content-type": "application/json"}


async def asked(
    application: TokenMeter, http: httpx2.AsyncClient, *, stream: bool = False, retries: int = 0
) -> Run:
    client = openai.AsyncOpenAI(
        api_key=KEY, base_url="http://gateway/v1", http_client=http, max_retries=retries
    )
    application.wrap(client)
    with application.run() as run:
        answer: Any = await client.chat.completions.create(
            model="gpt-5.4-mini", messages=ASKED, stream=stream
        )
        if stream:
            assert [chunk async for chunk in answer]
    return run


@pytest.mark.parametrize("stream", [False, True])
async def test_what_the_gateway_metered_is_named_and_not_sent_again(*, stream: bool) -> None:
    behind = TokenMeter("memory:")
    named: Any = {"gateways": ["http://Gateway"], "hosts": {"gateway": "openai"}}
    application = TokenMeter("memory:", **named)
    app = create_app(behind, {KEY: "acme"}, transport=Cassettes())
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app)) as http:
        run = await asked(application, http, stream=stream)
    behind.shutdown()
    application.shutdown()
    assert application.backend.events == []
    assert [e.event_id for e in run.events] == [e.event_id for e in behind.backend.events]
    assert run.usage.input_tokens == behind.backend.events[0].usage.input_tokens
    assert len(run.events) == 1


async def test_each_attempt_is_joined_to_its_own() -> None:
    behind, application = TokenMeter("memory:"), TokenMeter("memory:", gateways=["http://gateway"])
    busy = Answer(429, {**JSON, "retry-after": "0"}, [b'{"error":{"message":"busy"}}'])
    busy_first = Player([busy]).async_transport()
    cassettes, answered = Cassettes(), list[int]()

    class Flaky(httpx2.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            answered.append(1)
            transport = busy_first if len(answered) == 1 else cassettes
            answer: httpx2.Response = await transport.handle_async_request(request)
            return answer

    app = create_app(behind, {KEY: "acme"}, transport=Flaky())
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app)) as http:
        run = await asked(application, http, retries=2)
    behind.shutdown()
    application.shutdown()
    assert application.backend.events == []
    assert [e.properties["outcome"] for e in run.events] == ["failed", "success"]
    assert [e.event_id for e in run.events] == [e.event_id for e in behind.backend.events]


MESSAGE = b'{"id":"msg_1","type":"message","model":"claude-sonnet-4-6","usage":{"input_tokens":7}}'
RESULTS = b'{"custom_id":"a","result":{"type":"succeeded","message":' + MESSAGE + b"}}\n"
VIDEO = b'{"id":"video_1","object":"video","model":"sora-2","seconds":"4","status":"%s"}'


@pytest.mark.parametrize(
    ("provider", "method", "path", "answer"),
    [
        ("anthropic", "GET", "messages/batches/msgbatch_1/results", (RESULTS, "x-jsonl")),
        ("openai", "POST", "videos", (VIDEO % b"queued", "json")),
        ("openai", "GET", "videos/video_1", (VIDEO % b"completed", "json")),
    ],
)
async def test_what_has_no_event_yet_is_the_gateways_all_the_same(
    provider: str, method: str, path: str, answer: tuple[bytes, str]
) -> None:
    content, kind = answer
    player = Player([Answer(200, {"content-type": f"application/{kind}"}, [content])])
    behind = TokenMeter("memory:")
    named: Any = {"gateways": ["http://gateway"], "hosts": {"gateway": provider}}
    application = TokenMeter("memory:", **named)
    app = create_app(behind, {KEY: "acme"}, transport=player.async_transport())
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app)) as http:
        application.wrap(http)
        headers = {"x-api-key": KEY}
        await http.request(method, f"http://gateway/v1/{path}", json={}, headers=headers)
    application.flush(30)
    assert application.health()["jobs_pending"] == 0  # nobody would ever settle it here
    behind.flush(30)
    assert len(behind.backend.events) + behind.health()["jobs_pending"] == 1
    behind.shutdown()
    application.shutdown()
    assert application.backend.events == []


@pytest.mark.parametrize("gateways", [[], ["http://other"], ["https://gateway"]])
async def test_from_another_origin_the_header_is_ignored(gateways: list[str]) -> None:
    body = b'{"id":"c","model":"m","choices":[],"usage":{"prompt_tokens":3}}'
    forged = {"x-tokenmeter-event-id": "evt_forged", "x-tokenmeter-run-id": "run_forged"}
    player = Player([Answer(200, {**JSON, **forged}, [body])])
    application = TokenMeter("memory:", gateways=gateways)
    run = await asked(application, player.async_client())
    application.shutdown()
    (event,) = application.backend.events
    assert event.event_id != "evt_forged"
    assert run.events[0].event_id == event.event_id


@pytest.mark.parametrize("wrong", ["gateway:8080", "ftp://gateway", "https://"])
def test_a_gateway_that_is_no_origin_is_refused_at_start(wrong: str) -> None:
    with pytest.raises(ConfigurationError, match="use an origin"):
        TokenMeter("memory:", gateways=[wrong])
