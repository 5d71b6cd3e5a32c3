"""Copies of one request, by its Idempotency-Key, are attempts of one call: also at once."""

from __future__ import annotations

import asyncio
import gc
import json
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from tests.asgi.driving import ask, scope_of
from tests.asgi.upstream import answering, forwarding, read_all, reply
from tokenmeter import TokenMeter
from tokenmeter.asgi import TokenMeterMiddleware
from tokenmeter.asgi.asking import GatewayRun
from tokenmeter.enforcement import Refusal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tokenmeter.asgi.incoming import App, Receive, Scope, Send
    from tokenmeter.event import Event

COPIES = 5
KEY = [("idempotency-key", "order-1")]
CHAT, URL = "/v1/chat/completions", "https://api.openai.com/v1/chat/completions"
ASKED = json.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}]}).encode()


class Upstream:
    """A provider that answers once all that are expected have come; each answer has its id."""

    def __init__(self, expected: int, statuses: list[int]) -> None:
        self.all_here = asyncio.Barrier(expected)
        self.statuses = statuses
        self.answered = 0

    async def __call__(self, _request: httpx2.Request) -> httpx2.Response:
        await self.all_here.wait()
        self.answered += 1
        usage = {"prompt_tokens": 9, "completion_tokens": 2}
        about = {"id": f"chatcmpl-{self.answered}", "model": "gpt-4o", "usage": usage}
        content = json.dumps(about).encode()
        stream = httpx2.ByteStream(content)
        kind = {"content-type": "application/json"}
        return httpx2.Response(self.statuses.pop(), headers=kind, stream=stream)


@pytest.fixture
def meter() -> Iterator[TokenMeter]:
    made = TokenMeter("memory:")
    yield made
    made.shutdown()


def tapped(meter: TokenMeter, upstream: Upstream) -> App:
    client = meter.wrap(httpx2.AsyncClient(transport=httpx2.MockTransport(upstream)))
    return forwarding(client, URL)


def untapped(_meter: TokenMeter, upstream: Upstream) -> App:
    return forwarding(httpx2.AsyncClient(transport=httpx2.MockTransport(upstream)), URL)


def events(meter: TokenMeter) -> list[Event]:
    assert meter.flush(30)
    return sorted(meter.backend.events, key=lambda event: int(event.properties["attempt"]))


@pytest.mark.parametrize("statuses", [[200] * COPIES, [500] * COPIES, [200, 500, 200, 500, 200]])
@pytest.mark.parametrize("build", [tapped, untapped])
async def test_copies_in_flight_at_once_are_numbered(
    meter: TokenMeter, build: Any, statuses: list[int]
) -> None:
    app = build(meter, Upstream(COPIES, list(statuses)))
    gateway = TokenMeterMiddleware(app, customer=lambda _r: "acme", meter=meter)
    scopes = [scope_of("POST", CHAT, KEY) for _ in range(COPIES)]
    await asyncio.gather(*(ask(gateway, scope, ASKED) for scope in scopes))
    found = events(meter)
    assert [event.properties["attempt"] for event in found] == [1, 2, 3, 4, 5]
    assert len({event.event_id for event in found}) == COPIES
    assert len({event.properties["call_id"] for event in found}) == 1
    assert len({event.properties["run_id"] for event in found}) == 1
    retries = [event.properties.get("is_retry") for event in found]
    assert retries == [None, *["true"] * (COPIES - 1)]
    app = build(meter, Upstream(1, [200]))  # and one that comes when all have ended
    gateway.app = app
    await ask(gateway, scope_of("POST", CHAT, KEY), ASKED)
    last = events(meter)[-1]
    assert last.properties["attempt"] == COPIES + 1
    assert last.properties["retry_of"] == found[-1].event_id


async def test_copies_with_another_body_are_another_call_of_the_run(meter: TokenMeter) -> None:
    upstream = Upstream(2, [200, 200])
    gateway = TokenMeterMiddleware(
        tapped(meter, upstream), customer=lambda _r: "acme", meter=meter
    )
    other = ASKED.replace(b"Hi", b"Ho")
    await asyncio.gather(
        *(ask(gateway, scope_of("POST", CHAT, KEY), body) for body in (ASKED, other))
    )
    first, second = events(meter)
    assert first.properties["run_id"] == second.properties["run_id"]
    assert first.properties["call_id"] != second.properties["call_id"]
    assert [e.properties["attempt"] for e in (first, second)] == [1, 1]


@pytest.mark.parametrize("at_once", [True, False])
async def test_two_like_calls_of_one_request_are_two_and_its_copy_repeats_both(
    meter: TokenMeter, at_once: bool
) -> None:
    upstream = Upstream(2 if at_once else 1, [200] * 4)
    client = meter.wrap(httpx2.AsyncClient(transport=httpx2.MockTransport(upstream)))

    async def samples(_scope: Scope, receive: Receive, send: Send) -> None:
        body = await read_all(receive)
        calls = [client.post(URL, content=body) for _ in range(2)]
        if at_once:
            await asyncio.gather(*calls)
        else:
            for call in calls:
                await call
        await reply(send, 200, [], [b"{}"])

    gateway = TokenMeterMiddleware(samples, customer=lambda _r: "acme", meter=meter)
    for _ in range(2):
        await ask(gateway, scope_of("POST", CHAT, KEY), ASKED)
    found = events(meter)
    assert [event.properties["attempt"] for event in found] == [1, 1, 2, 2]
    firsts = {event.event_id for event in found[:2]}
    assert {event.properties["retry_of"] for event in found[2:]} == firsts
    await client.aclose()


async def test_a_copy_that_was_refused_is_no_attempt(meter: TokenMeter) -> None:
    refuses = [True]

    def decide(_ask: Any) -> Any:
        return Refusal(402, "no") if refuses[0] else None

    client = meter.wrap(httpx2.AsyncClient(transport=httpx2.MockTransport(Upstream(1, [200] * 2))))

    async def calls(_scope: Scope, receive: Receive, send: Send) -> None:
        answer = await client.post(URL, content=await read_all(receive))
        await reply(send, answer.status_code, [], [answer.content])

    gateway = TokenMeterMiddleware(
        calls,
        customer=lambda _r: "acme",
        meter=meter,
        routes=lambda request: request.path == "/mine",
        enforce=decide,
    )
    for refused in (False, True, False):
        refuses[0] = refused
        await ask(gateway, scope_of("POST", "/mine", KEY), ASKED)
    first, second = events(meter)
    assert (second.properties["attempt"], second.properties["retry_of"]) == (2, first.event_id)
    await client.aclose()


async def test_a_request_that_is_over_is_not_kept_for_its_copies(meter: TokenMeter) -> None:
    app = answering(200, {"content-type": "application/json"}, [b"{}"])
    gateway = TokenMeterMiddleware(app, customer=lambda _r: "acme", meter=meter)
    for number in range(20):
        keyed = [("idempotency-key", f"order-{number}")]
        await ask(gateway, scope_of("POST", CHAT, keyed), ASKED)
    gc.collect()
    kept = [found for found in gc.get_objects() if type(found) is GatewayRun]
    assert len(kept) <= 1  # the last one, by this task
