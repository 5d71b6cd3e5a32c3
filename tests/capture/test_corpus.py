"""Every recorded exchange, sent through the taps under its own URL, yields what it must."""

from __future__ import annotations

import json
from typing import Any

import httpx
import httpx2
import pytest

from tests.capture.expect import check
from tests.capture.play import Answer, Player, chunks_of
from tests.corpus import CORPUS, Exchange, exchanges, folder_names, load
from tokenmeter import TokenMeter

CHUNK_BYTES = 61


@pytest.fixture(scope="module")
def meter() -> Any:
    with pytest.MonkeyPatch.context():
        made = TokenMeter("memory:")
        made.instrument()
        yield made
        made.shutdown()


def player_of(exchange: Exchange) -> Player:
    answer = Answer(
        exchange.response["status"],
        exchange.response["headers"],
        chunks_of(exchange.body, CHUNK_BYTES),
    )
    return Player([answer])


def request_of(exchange: Exchange) -> dict[str, Any]:
    return {
        "method": exchange.request["method"],
        "url": exchange.url,
        "headers": exchange.request["headers"],
        "content": exchange.request_body,
    }


@pytest.mark.parametrize("library", [httpx2, httpx], ids=["httpx2", "httpx"])
@pytest.mark.parametrize("exchange", exchanges())
def test_recorded_usage_is_metered_by_a_sync_client(
    meter: TokenMeter, exchange: Exchange, library: Any
) -> None:
    player = player_of(exchange)
    with (
        meter.run() as run,
        player.client(library) as client,
        client.stream(**request_of(exchange)) as response,
    ):
        body = b"".join(response.iter_bytes())
    assert body == exchange.body or player.sent[0].content != exchange.request_body
    check(exchange, run.events)


@pytest.mark.parametrize("exchange", exchanges())
async def test_recorded_usage_is_metered_by_an_async_client(
    meter: TokenMeter, exchange: Exchange
) -> None:
    player = player_of(exchange)
    with meter.run() as run:
        async with (
            player.async_client() as client,
            client.stream(**request_of(exchange)) as response,
        ):
            body = b"".join([chunk async for chunk in response.aiter_bytes()])
    assert body == exchange.body or player.sent[0].content != exchange.request_body
    check(exchange, run.events)


@pytest.mark.parametrize("exchange", exchanges())
def test_recorded_usage_is_metered_when_the_body_is_read_at_once(
    meter: TokenMeter, exchange: Exchange
) -> None:
    with meter.run() as run, player_of(exchange).client() as client:
        client.request(**request_of(exchange))
    check(exchange, run.events)


@pytest.mark.skipif(not CORPUS.is_dir(), reason=f"no corpus at {CORPUS}")
def test_no_recording_is_left_out() -> None:
    """What the tests above, and those of aiohttp, requests and the SDKs, are given is all."""
    files = [path for path in CORPUS.rglob("*.json") if path.parent != CORPUS]
    assert len(exchanges()) == len(load()) == len(files)
    assert {path.parent.name for path in files} == set(folder_names())
    assert {exchange.id for exchange in load()} == {path.stem for path in files}
    index = CORPUS / "INDEX.json"
    if index.exists():
        assert len(files) == json.loads(index.read_text())["interactions"]
