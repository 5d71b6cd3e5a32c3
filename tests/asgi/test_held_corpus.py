"""What a gateway holds for a recorded call is what its answer cost, or more."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from urllib.parse import urlsplit

import pytest

from tests.asgi.driving import ask, scope_of
from tests.asgi.test_corpus import PLAIN, chunks
from tests.asgi.upstream import answering
from tests.corpus import Exchange, exchanges
from tokenmeter import Event, TokenMeter
from tokenmeter.asgi import TokenMeterMiddleware
from tokenmeter.enforcement import Ask

# Writing a prompt to a cache that nobody asked for, and a picture among texts to embed, cost a
# little more than what is held.
OVER_MAX = Decimal("1.25")


@pytest.fixture(scope="module")
def meter() -> Iterator[TokenMeter]:
    made = TokenMeter("memory:")
    yield made
    made.shutdown()


async def played(meter: TokenMeter, exchange: Exchange) -> tuple[Ask | None, list[Event]]:
    """Let a gateway see the exchange; return what its gate was asked, and the events."""
    asked: list[Ask] = []
    name, response = exchange.provider, exchange.response
    gateway = TokenMeterMiddleware(
        answering(response["status"], response["headers"], chunks(exchange)),
        customer=lambda _request: "acme",
        prefixes={} if name in PLAIN else {f"/{name}": name},
        meter=meter,
        enforce=asked.append,
    )
    parts = urlsplit(exchange.url)
    path = parts.path if name in PLAIN else f"/{name}{parts.path}"
    url = f"{path}?{parts.query}" if parts.query else path
    headers = list(exchange.request["headers"].items())
    before = len(meter.backend.events)
    await ask(gateway, scope_of(exchange.request["method"], url, headers), exchange.request_body)
    meter.flush(30)
    return (asked[0] if asked else None), meter.backend.events[before:]


@pytest.mark.parametrize("exchange", exchanges())
async def test_what_is_held_covers_what_the_answer_costs(
    meter: TokenMeter, exchange: Exchange
) -> None:
    asked, events = await played(meter, exchange)
    if asked is None or asked.quote is None or asked.quote.high is None:
        pytest.skip("nobody is asked, or nobody knows a price before the call")
    costs = [meter.cost_of(event) for event in events]
    cost = sum((each for each in costs if each is not None), Decimal(0))
    covered = cost <= asked.quote.high.amount * OVER_MAX
    if not covered and any(map(exchange_is_cut(exchange), events)):
        pytest.skip("its prompt was cut when it was recorded")
    assert covered, (cost, asked.quote.high)


def exchange_is_cut(exchange: Exchange) -> Callable[[Event], bool]:
    """Say of an event whether it has more tokens than its request has bytes."""
    size = len(exchange.request_body)
    return lambda event: int(event.usage.get("input_tokens", 0)) > size
