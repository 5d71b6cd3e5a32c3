"""Every recorded exchange through requests yields what it must."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import requests

from tests.capture.expect import check
from tests.capture.taps.sessions import playing
from tests.capture.test_corpus import FOLDERS, player_of
from tests.corpus import Exchange, exchanges
from tokenmeter import TokenMeter


@pytest.fixture(scope="module")
def meter() -> Any:
    made = TokenMeter("memory:")
    made.instrument()
    yield made
    made.shutdown()


READ: dict[str, Callable[[requests.Response], bytes]] = {
    "at once": lambda response: response.content,
    "iter_content": lambda response: b"".join(response.iter_content(97)),
    "iter_content(1)": lambda response: b"".join(response.iter_content()),
    "iter_lines": lambda response: b"\n".join(response.iter_lines()),
    "raw.read": lambda response: response.raw.read(),
    "raw.read(n)": lambda response: b"".join(iter(lambda: response.raw.read(97), b"")),
    "raw.stream": lambda response: b"".join(response.raw.stream(97)),
}


def headers_of(exchange: Exchange) -> dict[str, str]:
    """The recorded headers, without one that a recorder broke."""
    headers: dict[str, str] = exchange.request["headers"]
    return {name: value for name, value in headers.items() if "\n" not in value}


def without_breaks(body: bytes) -> bytes:
    return b"".join(body.splitlines())  # requests' iter_lines may lose or add some


@pytest.mark.parametrize("way", READ)
@pytest.mark.parametrize("exchange", exchanges(*FOLDERS, "bedrock"))
def test_recorded_usage_is_metered(meter: TokenMeter, exchange: Exchange, way: str) -> None:
    player = player_of(exchange)
    with (
        meter.run() as run,
        playing(player) as session,
        session.request(
            exchange.request["method"],
            exchange.request["url"].replace("<aws_region>", "us-east-1"),
            headers=headers_of(exchange),
            data=exchange.request_body,
            stream=way != "at once",
        ) as response,
    ):
        body = READ[way](response)
    edited = player.sent[0].body != exchange.request_body
    assert edited or without_breaks(body) == without_breaks(exchange.body)
    check(exchange, run.events)
    assert not meter.faults
