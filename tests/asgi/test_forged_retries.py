"""Where a policy may not bill retries, no client can say that its call is one."""

from __future__ import annotations

from typing import Any

import pytest

from tests.asgi.driving import ask, scope_of
from tests.asgi.test_tricks import ASKED, JSON, PATH, WHOLE
from tests.asgi.upstream import answering, forwarding
from tests.capture.play import Answer, Player
from tokenmeter import Policy, TokenMeter
from tokenmeter.asgi import TokenMeterMiddleware
from tokenmeter.asgi.incoming import App

FIRST_ONLY = Policy(billable=lambda observation: observation.attempt == 1)
TOLD = {name.decode(): value.decode() for name, value in JSON}


async def events_of(app: Any, meter: TokenMeter, headers: list[tuple[bytes, bytes]]) -> list[Any]:
    gateway: App = TokenMeterMiddleware(app, customer=lambda _r: "acme", meter=meter)
    scope = scope_of("POST", PATH)
    await ask(gateway, {**scope, "headers": [*scope["headers"], *headers]}, ASKED)
    meter.shutdown()
    events: list[Any] = meter.backend.events
    return events


FORGED = [
    [(b"x-stainless-retry-count", b"3")],
    [(b"X-Stainless-Retry-Count", b"3")],
    [(b"x-stainless-retry-count", b"3"), (b"x-stainless-retry-count", b"0")],
    [(b"x-stainless-retry-count", b"0"), (b"x-stainless-retry-count", b"3")],
]


@pytest.mark.parametrize("headers", FORGED)
async def test_a_client_cannot_say_that_its_call_is_a_retry(
    headers: list[tuple[bytes, bytes]],
) -> None:
    meter = TokenMeter("memory:", policy=FIRST_ONLY)
    (event,) = await events_of(answering(200, TOLD, [WHOLE]), meter, headers)
    assert event.properties["attempt"] == 1
    assert event.properties["billable"] == "true"
    assert "is_retry" not in event.properties


@pytest.mark.parametrize("headers", FORGED)
async def test_nor_where_the_call_is_metered_on_its_way_to_the_provider(
    headers: list[tuple[bytes, bytes]],
) -> None:
    meter, player = TokenMeter("memory:", policy=FIRST_ONLY), Player([Answer(200, TOLD, [WHOLE])])
    client = meter.wrap(player.async_client())
    app = forwarding(client, f"https://api.openai.com{PATH}")
    (event,) = await events_of(app, meter, headers)
    assert (event.properties["attempt"], event.properties["billable"]) == (1, "true")


async def test_what_every_sdk_says_reaches_the_application() -> None:
    seen = list[Any]()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.extend(scope["headers"])
        await answering(200, TOLD, [WHOLE])(scope, receive, send)

    await events_of(app, TokenMeter("memory:"), [(b"x-stainless-retry-count", b"0")])
    assert seen == [(b"x-stainless-retry-count", b"0")]


async def test_where_retries_are_billed_as_all_calls_are_an_sdks_count_tags_them() -> None:
    meter = TokenMeter("memory:")
    (event,) = await events_of(answering(200, TOLD, [WHOLE]), meter, FORGED[0])
    facts = event.properties
    assert (facts["attempt"], facts["is_retry"], facts["billable"]) == (4, "true", "true")
