"""The recorded exchanges, replayed through the gateway: the same usage, the same bytes."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from tests.asgi.driving import Answered, ask, scope_of
from tests.asgi.upstream import answering, forwarding
from tests.capture.expect import check
from tests.capture.play import Answer, Player, chunks_of
from tests.corpus import Exchange, exchanges
from tokenmeter import TokenMeter
from tokenmeter.asgi import TokenMeterMiddleware
from tokenmeter.asgi.incoming import App

CHUNK_BYTES = 61
PLAIN = {"openai", "anthropic", "google"}  # their paths are known without a prefix


@pytest.fixture(scope="module")
def meters() -> Iterator[dict[str, TokenMeter]]:
    """One for each way: what one of them has seen before is one event with what it sees again."""
    made = {way: TokenMeter("memory:") for way in ("tapped", "read")}
    yield made
    for meter in made.values():
        meter.shutdown()


async def replayed(meter: TokenMeter, exchange: Exchange, app: App) -> Answered:
    name = exchange.provider
    gateway = TokenMeterMiddleware(
        app,
        customer=lambda _request: "acme",
        prefixes={} if name in PLAIN else {f"/{name}": name},
        meter=meter,
    )
    parts = urlsplit(exchange.url)
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    scope = scope_of(
        exchange.request["method"],
        path if name in PLAIN else f"/{name}{path}",
        list(exchange.request["headers"].items()),
    )
    return await ask(gateway, scope, exchange.request_body)


def chunks(exchange: Exchange) -> list[bytes]:
    return chunks_of(exchange.body, CHUNK_BYTES)


@pytest.mark.parametrize("exchange", exchanges())
async def test_usage_is_metered_at_the_applications_own_client(
    meters: dict[str, TokenMeter], exchange: Exchange
) -> None:
    meter, response = meters["tapped"], exchange.response
    player = Player([Answer(response["status"], response["headers"], chunks(exchange))])
    before = len(meter.backend.events)
    async with player.async_client() as client:
        meter.wrap(client)
        answered = await replayed(meter, exchange, forwarding(client, exchange.url))
    assert answered.body == exchange.body or player.sent[0].content != exchange.request_body
    meter.flush(30)
    check(exchange, meter.backend.events[before:])


@pytest.mark.parametrize("exchange", exchanges())
async def test_usage_is_metered_in_the_answer_where_no_client_is_tapped(
    meters: dict[str, TokenMeter], exchange: Exchange
) -> None:
    meter, response = meters["read"], exchange.response
    app = answering(response["status"], response["headers"], chunks(exchange))
    before = len(meter.backend.events)
    answered = await replayed(meter, exchange, app)
    assert answered.body == exchange.body
    assert answered.status == response["status"]
    meter.flush(30)
    check(exchange, meter.backend.events[before:])
