"""The example's proxy forwards what it was asked, and lets nobody through unmetered."""

from __future__ import annotations

import asyncio
import json
import tracemalloc
from typing import Any

import httpx2
import pytest
from gateway.__main__ import main
from gateway.app import create_app

from tests.asgi.driving import Answered, ask, scope_of
from tests.asgi.test_attacks import Repeated
from tests.asgi.test_lifecycle import CHUNKS, SSE, STREAMED, WHOLE
from tests.capture.play import Answer, Player
from tokenmeter import TokenMeter

KEY = [("authorization", "Bearer k")]
ASKED = json.dumps({"model": "gpt-4o-mini", "messages": []}).encode()
JSON = {"content-type": "application/json", "content-length": str(len(WHOLE))}
MIB = 1024 * 1024


class Gateway:
    """The example over a player that answers for every provider."""

    def __init__(self, *answers: Answer) -> None:
        self.player = Player(list(answers) or [Answer(200, JSON, [WHOLE])])
        self.meter = TokenMeter("memory:")
        transport = self.player.async_transport()
        self.app = create_app(self.meter, {"k": "acme"}, transport=transport)

    async def ask(self, scope: Any, body: Any = ASKED, **how: Any) -> Answered:
        return await ask(self.app, scope, body, **how)

    def events(self) -> list[Any]:
        self.meter.shutdown()
        events: list[Any] = self.meter.backend.events
        return events


@pytest.mark.parametrize(
    "path",
    [
        "/v1/chat/completions?x=1",  # sent as %3F
        "/v1/chat/completions#x",
        "/v1/chat/completions;x",
        "/v1/chat/completions\x00",
        "//v1/chat/completions",
        "/V1/chat/completions",
        "/v1/x/../chat/completions",
    ],
)
async def test_no_spelling_of_a_path_reaches_the_provider_unmetered(path: str) -> None:
    gateway = Gateway()
    await gateway.ask({**scope_of("POST", "/", KEY), "path": path})
    sent = gateway.player.sent
    assert len(gateway.events()) == 1 or not sent
    assert all(request.url.query == b"" and not request.url.fragment for request in sent)


async def test_the_providers_key_takes_the_place_of_the_clients(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GOOGLE_API_KEY", "of-the-gateway")
    gateway = Gateway()
    path = "/v1beta/models/gemini-3.5-flash:generateContent?key=k&alt=json"
    await gateway.ask(scope_of("POST", path, [("cookie", "a=b"), ("x-a", "1"), ("x-a", "2")]))
    (request,) = gateway.player.sent
    assert request.headers["x-goog-api-key"] == "of-the-gateway"
    assert request.url.host == "generativelanguage.googleapis.com"
    assert request.url.query == b"alt=json"
    assert "cookie" not in request.headers
    assert request.headers.get_list("x-a") == ["1", "2"]
    assert len(gateway.events()) == 1


async def test_a_body_without_length_is_not_kept_without_limit() -> None:
    gateway = Gateway()
    await gateway.ask(scope_of("POST", "/v1/files", KEY))  # what is loaded once
    tracemalloc.start()
    answered = await gateway.ask(scope_of("POST", "/v1/files", KEY), Repeated(b"x" * MIB, 1024))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert answered.status == 413
    assert peak < 8 * MIB
    gateway.meter.shutdown()


async def test_a_client_that_leaves_while_it_uploads_is_not_forwarded() -> None:
    async def receive() -> Any:
        return {"type": "http.disconnect"}

    async def send(_message: Any) -> None:
        raise AssertionError("nobody is there")

    gateway = Gateway()
    await gateway.app(scope_of("POST", "/v1/chat/completions", KEY), receive, send)
    assert gateway.player.sent == []
    assert gateway.events() == []


async def test_a_provider_that_breaks_off_breaks_the_answer_off() -> None:
    gateway = Gateway(Answer(200, SSE, CHUNKS[:5], httpx2.ReadError("gone")))
    with pytest.raises(httpx2.ReadError):
        await gateway.ask(scope_of("POST", "/v1/chat/completions", KEY), STREAMED)
    (event,) = gateway.events()
    assert event.properties["outcome"] == "failed"


@pytest.mark.parametrize(
    ("keys", "options", "says"),
    [
        ("", [], "set GATEWAY_KEYS"),
        ("key-without-customer", [], "set GATEWAY_KEYS"),
        ("k=acme,=globex", [], "set GATEWAY_KEYS"),
        ("k=acme", ["--db", "nope://x"], "no backend is known for 'nope://x'"),
        ("k=acme", ["--db", "memory:", "--enforce", "quota"], "no local engine"),
    ],
)
def test_a_wrong_start_is_one_sentence(
    keys: str,
    options: list[str],
    says: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("GATEWAY_KEYS", keys)
    monkeypatch.setattr("sys.argv", ["gateway", *options])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert says in capsys.readouterr().err


async def test_an_answer_that_is_shorter_than_it_said_is_a_502() -> None:
    length = {**JSON, "content-length": str(len(WHOLE) + 4)}
    gateway = Gateway(Answer(200, length, [WHOLE], httpx2.RemoteProtocolError("gone")))
    answered = await gateway.ask(scope_of("POST", "/v1/chat/completions", KEY))
    assert (answered.status, b"broke off" in answered.body) == (502, True)
    (event,) = gateway.events()
    assert event.properties["outcome"] == "failed"


@pytest.mark.parametrize(
    "path",
    [
        *("/v1/realtime/client_secrets", "//v1/./Realtime/calls", "/v1/realtime;x/sessions"),
        *("/v1alpha/auth_tokens", "/v1/auth_tokens", "/v1/fine_tuning/jobs", "/v1/evals/e/runs"),
        *(
            "/v1/files/../realtime/calls",
            "/v1/files/%2e%2e/realtime/calls",
            "/v1/files\\..\\evals",
        ),
        *("/$rpc/google.ai.generativelanguage.v1beta.GenerativeService/GenerateContent", "/batch"),
        *(
            "/v1/engines/gpt-4o/completions",
            "/v1/vector_stores/v/search",
            "/v1/organization/users",
        ),
        *("/v1beta/corpora/x:query", "/v1beta/tunedModels", "/v1/sessions", "/v1/skills", "/"),
    ],
)
async def test_nothing_is_handed_out_that_goes_past_the_metering(path: str) -> None:
    gateway = Gateway()
    scope = {**scope_of("POST", "/", KEY), "path": path}
    assert (await gateway.ask(scope)).status == 404
    assert gateway.player.sent == []
    gateway.meter.shutdown()


@pytest.mark.parametrize(
    "path",
    [
        *(
            "/v1/models",
            "/v1/files/file-1/content",
            "/v1/messages/count_tokens",
            "/v1/moderations",
        ),
        *("/v1beta/models", "/upload/v1beta/files", "/v1beta/openai/chat/completions"),
        *("/v1beta/models/gemini-2.5-flash:generateContent", "/v1beta/batches/123", "/v1/videos"),
        *("/byteplus/api/v3/contents/generations/tasks/cgt-1", "/v1/responses/resp_1/cancel"),
    ],
)
async def test_what_is_metered_or_free_is_offered(path: str) -> None:
    gateway = Gateway()
    await gateway.ask(scope_of("POST", path, KEY))
    assert len(gateway.player.sent) == 1
    gateway.meter.shutdown()


async def test_no_request_is_another_one_in_disguise() -> None:
    gateway = Gateway()
    path = "/v1beta/models/gemini-2.5-flash:generateContent"
    override = [("X-HTTP-Method-Override", "POST"), *KEY]
    await gateway.ask(scope_of("GET", path, override), b"")
    (sent,) = gateway.player.sent
    assert "x-http-method-override" not in sent.headers
    assert (await gateway.ask(scope_of("OPTIONS", path, override), b"")).status == 404
    gateway.meter.shutdown()


async def test_a_provider_that_cannot_be_reached_is_a_502() -> None:
    gateway = Gateway(Answer(error=httpx2.ConnectError("no")))
    answered = await gateway.ask(scope_of("POST", "/v1/chat/completions", KEY))
    assert answered.status == 502
    assert len(gateway.events()) == 1


async def test_a_server_that_stops_cancels_its_streams() -> None:
    held = asyncio.Event()

    async def receive() -> Any:
        if not held.is_set():
            held.set()
            return {"type": "http.request", "body": STREAMED}
        await asyncio.sleep(60)
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            await asyncio.sleep(60)

    gateway = Gateway(Answer(200, SSE, CHUNKS))
    scope = scope_of("POST", "/v1/chat/completions", KEY)
    serving = asyncio.create_task(gateway.app(scope, receive, send))
    await asyncio.sleep(0.2)
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving
    (event,) = gateway.events()
    assert event.properties["outcome"] == "cancelled"


async def test_whoever_has_no_key_gets_nowhere() -> None:
    gateway = Gateway()
    for path in ("/v1/chat/completions", "/v1/files", "/"):
        assert (await gateway.ask(scope_of("POST", path))).status == 401
    assert gateway.player.sent == []
    gateway.meter.shutdown()


@pytest.mark.parametrize(
    ("method", "body", "length"),
    [("POST", ASKED, str(len(ASKED))), ("POST", b"", "0"), ("GET", b"", None)],
)
async def test_a_request_is_sent_on_with_its_host_and_its_length(
    method: str, body: bytes, length: str | None
) -> None:
    gateway = Gateway()
    client_s = [*KEY, ("host", "gateway"), ("content-length", "999"), ("x-custom", "kept")]
    await gateway.ask(scope_of(method, "/v1/chat/completions", client_s), body)
    (sent,) = gateway.player.sent
    assert sent.headers["host"] == "api.openai.com"
    assert sent.headers.get("content-length") == length
    assert sent.headers["x-custom"] == "kept"
    assert [name.lower() for name, _ in sent.headers.raw].count(b"host") == 1
    assert sent.content == body
    gateway.events()
