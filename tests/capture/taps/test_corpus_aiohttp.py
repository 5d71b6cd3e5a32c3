"""Every recorded exchange through aiohttp yields what it must."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator

import aiohttp
import pytest

from tests.capture.expect import check
from tests.capture.play import Answer, chunks_of
from tests.capture.taps.server import Server, serving
from tests.capture.test_corpus import CHUNK_BYTES
from tests.corpus import Exchange, exchanges
from tokenmeter import TokenMeter


@pytest.fixture(scope="module")
def meter() -> Iterator[TokenMeter]:
    made = TokenMeter("memory:")
    made.instrument()
    yield made
    made.shutdown()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving() as made:
        yield made


async def _lines(response: aiohttp.ClientResponse) -> bytes:
    return b"".join([line async for line in response.content])


async def _chunks(response: aiohttp.ClientResponse) -> bytes:
    return b"".join([chunk async for chunk, _ in response.content.iter_chunks()])


async def _any(response: aiohttp.ClientResponse) -> bytes:
    return b"".join([chunk async for chunk in response.content.iter_any()])


READ: dict[str, Callable[[aiohttp.ClientResponse], Awaitable[bytes]]] = {
    "read": lambda response: response.read(),
    "lines": _lines,
    "iter_any": _any,
    "iter_chunks": _chunks,
}


def answer_of(exchange: Exchange) -> Answer:
    size = max(CHUNK_BYTES, len(exchange.body) // 50)
    chunks = chunks_of(exchange.body, size)
    return Answer(exchange.response["status"], exchange.response["headers"], chunks)


@pytest.mark.parametrize("way", READ)
@pytest.mark.parametrize("exchange", exchanges())
async def test_recorded_usage_is_metered(
    meter: TokenMeter, server: Server, exchange: Exchange, way: str
) -> None:
    server.play(answer_of(exchange))
    method, url = exchange.request["method"], exchange.url.replace("https://", "http://")
    headers = {k: v for k, v in exchange.request["headers"].items() if "\n" not in v}
    with meter.run() as run:
        async with (
            aiohttp.ClientSession(proxy=server.url) as session,
            session.request(
                method,
                url,
                headers=headers,
                data=exchange.request_body or None,
            ) as response,
        ):
            body = await READ[way](response)
    edited = server.sent[0].body != exchange.request_body
    assert edited or body == exchange.body
    check(exchange, run.events)
    assert not meter.faults
