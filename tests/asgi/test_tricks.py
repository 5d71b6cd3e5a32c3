"""What servers, frameworks and clients may do to a request or an answer, and what it changes."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.asgi.driving import ask, scope_of
from tests.asgi.upstream import answering, read_all, reply
from tokenmeter import TokenMeter
from tokenmeter.asgi import ApiKeys, Incoming, TokenMeterMiddleware
from tokenmeter.asgi.incoming import App, Message, Receive, Scope, Send

PATH = "/v1/chat/completions"
JSON = [(b"content-type", b"application/json")]
SSE = [(b"content-type", b"text/event-stream")]
ASKED = json.dumps({"model": "gpt-4o-mini", "messages": []}).encode()
WHOLE = json.dumps(
    {
        "id": "chatcmpl-1",
        "model": "gpt-4o-mini",
        "choices": [],
        "usage": {"prompt_tokens": 8, "completion_tokens": 2, "total_tokens": 10},
    }
).encode()


def _acme(_request: Incoming) -> str:
    return "acme"


class Gateway:
    """A middleware around an application, and what came of it."""

    def __init__(self, app: App, **options: Any) -> None:
        self.meter = TokenMeter("memory:")
        named: dict[str, Any] = {"customer": _acme, **options}
        self.app = TokenMeterMiddleware(app, meter=self.meter, **named)

    def events(self) -> list[Any]:
        self.meter.shutdown()
        events: list[Any] = self.meter.backend.events
        return events


def sent(*messages: Message) -> App:
    """An application that sends just these messages."""

    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        await read_all(receive)
        for message in messages:
            await send(message)

    return app


def start(headers: Any = JSON, **more: Any) -> Message:
    return {"type": "http.response.start", "status": 200, "headers": headers, **more}


def part(body: bytes, *, more: bool = False) -> Message:
    return {"type": "http.response.body", "body": body, "more_body": more}


async def test_no_header_of_ours_reaches_the_one_who_identifies() -> None:
    seen: list[list[str]] = []

    def customer(request: Any) -> str:
        seen.append(list(request.headers))
        return str(request.headers.get("x-tokenmeter-customer", "acme"))

    gateway = Gateway(answering(200, {}, [WHOLE]), customer=customer)
    forged = [
        ("x-tokenmeter-customer", "globex"),
        ("X-TokenMeter-Customer", "globex"),
        ("x_tokenmeter_customer", "globex"),
        ("x-tokenmeter-preview", "false"),
    ]
    await ask(gateway.app, scope_of("POST", PATH, forged), ASKED)
    assert seen == [[]]
    (event,) = gateway.events()
    assert event.external_customer_id == "acme"


@pytest.mark.parametrize("values", [["true", "false"], ["truely"], ["1"], [""]])
async def test_only_a_clear_wish_for_a_price_is_one(values: list[str]) -> None:
    gateway = Gateway(answering(200, {"content-type": "application/json"}, [WHOLE]))
    headers = [("x-tokenmeter-preview", value) for value in values]
    answered = await ask(gateway.app, scope_of("POST", PATH, headers), ASKED)
    assert answered.body == WHOLE
    assert len(gateway.events()) == 1


async def test_a_preflight_needs_no_key_and_passes_untouched() -> None:
    options: dict[str, Any] = {"customer": ApiKeys({"k": "acme"}), "anonymous": False}
    gateway = Gateway(answering(204, {"access-control-allow-origin": "*"}, []), **options)
    answered = await ask(gateway.app, scope_of("OPTIONS", PATH))
    assert answered.status == 204
    assert "x-tokenmeter-run-id" not in answered.headers
    assert gateway.events() == []


async def test_a_method_in_small_letters_is_the_same_method() -> None:
    gateway = Gateway(answering(200, {"content-type": "application/json"}, [WHOLE]))
    await ask(gateway.app, scope_of("post", PATH), ASKED)
    assert len(gateway.events()) == 1


async def test_headers_that_are_no_list_still_reach_the_application() -> None:
    seen: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.extend(scope["headers"])
        await reply(send, 200, JSON, [WHOLE])

    for path, events in ((PATH, 1), ("/health", 0)):
        gateway = Gateway(app)
        headers = iter([(b"a", b"b")])
        await ask(gateway.app, {**scope_of("POST", path), "headers": headers}, ASKED)
        assert len(gateway.events()) == events
    assert seen == [(b"a", b"b")] * 2


async def test_an_answer_by_the_name_of_a_file_cannot_hide_its_bytes() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert "http.response.pathsend" not in scope["extensions"]
        assert "http.response.trailers" in scope["extensions"]
        await reply(send, 200, JSON, [WHOLE])

    gateway = Gateway(app)
    offered: Any = {"http.response.pathsend": {}, "http.response.trailers": {}}
    scope = {**scope_of("POST", PATH), "extensions": offered}
    await ask(gateway.app, scope, ASKED)
    (event,) = gateway.events()
    assert event.usage.output_tokens == 2


async def test_trailers_pass_without_headers_of_ours() -> None:
    trailers = {
        "type": "http.response.trailers",
        "headers": [(b"x-tokenmeter-event-id", b"evt_forged"), (b"etag", b"1")],
    }
    gateway = Gateway(sent(start(trailers=True), part(WHOLE), trailers))
    answered = await ask(gateway.app, scope_of("POST", PATH), ASKED)
    assert answered.messages[-1]["headers"] == [(b"etag", b"1")]
    assert answered.messages[0]["trailers"] is True
    assert len(gateway.events()) == 1


async def test_hints_before_the_answer_pass_at_once() -> None:
    hint = {"type": "http.response.early_hint", "links": [b"</a>"]}
    gateway = Gateway(sent(hint, start(), part(WHOLE)))
    answered = await ask(gateway.app, scope_of("POST", PATH), ASKED)
    assert answered.messages[0] == hint
    assert len(gateway.events()) == 1


async def test_an_answer_longer_than_it_said_is_not_kept() -> None:
    chunk, waits = b" " * 65_536, list[int]()

    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        await read_all(receive)
        await send(start([*JSON, (b"content-length", b"10")]))
        for _ in range(64):
            await send(part(chunk, more=True))
        await send(part(WHOLE))

    async def receive() -> Message:
        return {"type": "http.request", "body": ASKED}

    async def send(message: Message) -> None:
        waits.append(len(message.get("body", b"")))

    gateway = Gateway(app)
    await gateway.app(scope_of("POST", PATH), receive, send)
    assert waits == [0, *[65_536] * 64, len(WHOLE)]
    (event,) = gateway.events()
    assert event.usage.output_tokens == 2


@pytest.mark.parametrize("status", [200, 206])
async def test_a_range_of_an_answer_passes_as_it_came(status: int) -> None:
    headers = {"content-type": "application/json", "content-range": "bytes 0-9/100"}
    gateway = Gateway(answering(status, headers, [WHOLE[:10]]))
    answered = await ask(gateway.app, scope_of("POST", PATH, [("range", "bytes=0-9")]), ASKED)
    assert (answered.status, answered.body) == (status, WHOLE[:10])
    (event,) = gateway.events()
    assert event.properties["usage_source"] != "reported"


async def test_a_head_has_an_answer_without_a_body() -> None:
    gateway = Gateway(sent(start([(b"content-length", b"100")]), part(b"")))
    answered = await ask(gateway.app, scope_of("HEAD", PATH))
    assert answered.headers["content-length"] == "100"
    assert gateway.events() == []


@pytest.mark.parametrize("raises", [OSError("gone"), asyncio.CancelledError()])
async def test_a_client_that_is_gone_has_cancelled(raises: BaseException) -> None:
    """Some servers say so by an error of `send`."""
    chunk = b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"word "}}]}\n\n'
    forwarded = 0

    async def receive() -> Message:
        return {"type": "http.request", "body": ASKED}

    async def send(_message: Message) -> None:
        nonlocal forwarded
        forwarded += 1
        if forwarded > 10:
            raise raises

    gateway = Gateway(answering(200, {"content-type": "text/event-stream"}, [chunk] * 50))
    with pytest.raises(type(raises)):
        await gateway.app(scope_of("POST", PATH), receive, send)
    (event,) = gateway.events()
    assert event.properties["outcome"] == "cancelled"
    assert event.properties["usage_source"] == "estimated"


async def test_clients_that_nobody_knows_share_no_run() -> None:
    gateway = Gateway(answering(200, {}, [WHOLE]), customer=ApiKeys({"k": "acme"}))
    for who in ([("x-api-key", "a")], [("x-api-key", "b")], []):
        headers = [("idempotency-key", "1"), *who]
        await ask(gateway.app, scope_of("POST", PATH, headers), ASKED)
    runs = [event.properties["run_id"] for event in gateway.events()]
    assert len(set(runs)) == 3


@pytest.mark.parametrize("root", ["/gateway", ""])
async def test_a_mounted_application_is_metered(root: str) -> None:
    from starlette.applications import Starlette
    from starlette.routing import Mount

    gateway = Gateway(answering(200, {"content-type": "application/json"}, [WHOLE]))
    outer = Starlette(routes=[Mount(root, app=gateway.app)])
    await ask(outer, scope_of("POST", f"{root}{PATH}"), ASKED)
    quote = await ask(outer, scope_of("POST", f"{root}/tokenmeter/preview"), ASKED)
    assert json.loads(quote.body)["model"] == "gpt-4o-mini"
    (event,) = gateway.events()
    assert event.usage.output_tokens == 2


async def test_a_lifespan_that_fails_fails_as_it_does_without_us() -> None:
    async def app(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise RuntimeError("no database")

    async def nothing(*_: Any) -> Any:
        return None

    gateway = Gateway(app)
    with pytest.raises(RuntimeError, match="no database"):
        await gateway.app({"type": "lifespan"}, nothing, nothing)
    assert gateway.events() == []
