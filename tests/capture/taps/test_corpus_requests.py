"""Every recorded exchange through requests yields what it must."""

from __future__ import annotations

from typing import Any

import pytest

from tests.capture.expect import check
from tests.capture.taps.sessions import playing
from tests.capture.taps.ways import WAYS
from tests.capture.test_corpus import player_of
from tests.corpus import Exchange, exchanges
from tokenmeter import TokenMeter


@pytest.fixture(scope="module")
def meter() -> Any:
    made = TokenMeter("memory:")
    made.instrument()
    yield made
    made.shutdown()


SINGLY_MAX = 4096  # bytes of an answer that are read one by one; of a longer one, by sevens
READ = ("content", "iter_content", "iter_content 1", "iter_lines", "raw.read all", "raw.read")


def headers_of(exchange: Exchange) -> dict[str, str]:
    """The recorded headers, without one that a recorder broke."""
    headers: dict[str, str] = exchange.request["headers"]
    return {name: value for name, value in headers.items() if "\n" not in value}


def without_breaks(body: bytes) -> bytes:
    return b"".join(body.splitlines())  # requests' iter_lines may lose or add some


@pytest.mark.parametrize("way", READ)
@pytest.mark.parametrize("exchange", exchanges())
def test_recorded_usage_is_metered(meter: TokenMeter, exchange: Exchange, way: str) -> None:
    player = player_of(exchange)
    with (
        meter.run() as run,
        playing(player) as session,
        session.request(
            exchange.request["method"],
            exchange.url,
            headers=headers_of(exchange),
            data=exchange.request_body,
            stream=way != "content",
        ) as response,
    ):
        by_sevens = way == "iter_content 1" and len(exchange.body) > SINGLY_MAX
        body = b"".join(response.iter_content(7)) if by_sevens else WAYS[way](response)
    edited = player.sent[0].body != exchange.request_body
    assert edited or without_breaks(body) == without_breaks(exchange.body)
    check(exchange, run.events)
    assert not meter.faults
