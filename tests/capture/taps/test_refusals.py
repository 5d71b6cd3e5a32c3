"""Enforcement at the taps of requests, aiohttp and botocore: each is refused in its own way."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import httpx2
import pytest
import requests
from botocore.exceptions import ClientError
from requests.adapters import HTTPAdapter
from urllib3 import Retry

from tests.asgi.funded import IMAGE_PATH, PRICE, funded
from tests.capture.play import Answer, Player
from tests.capture.taps import bedrock
from tests.capture.taps.server import Server, serving
from tests.capture.taps.sessions import PlayingAdapter
from tokenmeter import TokenMeter
from tokenmeter.capture.refusal import Refusal
from tokenmeter.enforcement import Ask
from tokenmeter.enforcement.settling import SETTLER

JSON = {"content-type": "application/json"}
IMAGE = json.dumps({"created": 1793491200, "data": [{"b64_json": "aGk="}]}).encode()
ASKED = {"model": "gpt-image-1", "prompt": "x", "size": "1024x1024"}
URL = f"https://api.openai.com{IMAGE_PATH}"
CALLS = 2  # that the credit covers


def not_you(_ask: Ask) -> str:
    return "Not you."


def never(_ask: Ask) -> Any:
    return Refusal(429, "Slowly.", 7)


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as made:
        yield made


@pytest.fixture
def meter(tmp_path: Path, server: Server) -> Iterator[TokenMeter]:
    url = f"sqlite:///{tmp_path / 'usage.db'}"
    funded(url, "acme", credit=str(PRICE * CALLS)).close()
    made = TokenMeter(url, hosts={f"127.0.0.1:{server.port}": "openai"})
    made.instrument()
    yield made
    made.shutdown()


def left(meter: TokenMeter) -> Any:
    assert SETTLER.drain(10)
    assert meter.flush(10)
    return meter.engine.wallets.available("acme")


def test_requests_gets_a_response_that_says_402(meter: TokenMeter) -> None:
    player = Player([Answer(200, JSON, [IMAGE])])
    with requests.Session() as session, meter.attribute(customer="acme", enforce="wallet"):
        session.mount("https://", PlayingAdapter(player))
        answers = [session.post(URL, json=ASKED) for _ in range(CALLS + 1)]
        streamed = session.post(URL, json=ASKED, stream=True)
    assert [answer.status_code for answer in answers] == [200] * CALLS + [402]
    assert answers[-1].json()["error"]["type"] == "insufficient_quota"
    assert b"".join(streamed.iter_content(7)) == answers[-1].content
    with pytest.raises(requests.HTTPError, match="402"):
        answers[-1].raise_for_status()
    assert answers[-1].request.url == URL
    assert len(player.sent) == CALLS
    assert left(meter) == 0
    assert len(meter.engine.events().events) == CALLS


def test_hooks_of_requests_see_a_refusal(meter: TokenMeter) -> None:
    def strict(response: requests.Response, **_: Any) -> None:
        response.raise_for_status()

    with (
        requests.Session() as session,
        meter.attribute(customer="acme", enforce=never),
        pytest.raises(requests.HTTPError) as refused,
    ):
        session.post(URL, json=ASKED, hooks={"response": strict})
    answer: Any = refused.value.response
    assert answer.headers["Retry-After"] == "7"


def test_a_hold_lasts_over_the_retries_of_urllib3(meter: TokenMeter, server: Server) -> None:
    server.play(Answer(500, JSON, [b"{}"]), Answer(200, JSON, [IMAGE]))
    retries = Retry(total=2, status_forcelist=[500], allowed_methods=None, backoff_factor=0)
    with requests.Session() as session, meter.attribute(customer="acme", enforce="wallet"):
        session.mount("http://", HTTPAdapter(max_retries=retries))
        assert session.post(server.url + IMAGE_PATH, json=ASKED).status_code == 200
    assert len(server.sent) == 2
    assert left(meter) == PRICE
    outcomes = [e.properties["outcome"] for e in meter.engine.events().events]
    assert sorted(outcomes) == ["failed", "success"]


async def test_aiohttp_gets_a_response_that_says_402(meter: TokenMeter, server: Server) -> None:
    server.play(Answer(200, JSON, [IMAGE]))
    url, statuses = server.url + IMAGE_PATH, list[int]()
    async with aiohttp.ClientSession() as session:
        with meter.attribute(customer="acme", enforce="wallet"):
            for _ in range(CALLS):
                async with session.post(url, json=ASKED) as answer:
                    statuses.append(answer.status)
                    await answer.read()
            async with session.post(url, json=ASKED) as refused:
                statuses.append(refused.status)
                error = (await refused.json())["error"]
            async with session.post(url, data=json.dumps(ASKED)) as again:
                chunks = [chunk async for chunk in again.content.iter_any()]
            with pytest.raises(aiohttp.ClientResponseError) as raised:
                await session.post(url, json=ASKED, raise_for_status=True)
    assert statuses == [200, 200, 402]
    assert error["type"] == "insufficient_quota"
    assert json.loads(b"".join(chunks))["error"] == error
    assert (raised.value.status, str(raised.value.request_info.url)) == (402, url)
    assert refused.headers["X-Should-Retry"] == "false"
    assert len(server.sent) == CALLS
    assert left(meter) == 0


async def test_a_session_that_raises_for_all_errors_raises(meter: TokenMeter) -> None:
    async with aiohttp.ClientSession("https://api.openai.com", raise_for_status=True) as session:
        with (
            meter.attribute(customer="acme", enforce=never),
            pytest.raises(aiohttp.ClientResponseError) as raised,
        ):
            await session.post(IMAGE_PATH, json=ASKED)
    assert (raised.value.status, raised.value.headers["Retry-After"]) == (429, "7")  # type: ignore[index]


@pytest.mark.parametrize(
    ("decides", "code", "status"),
    [
        (not_you, "ServiceQuotaExceededException", 402),
        (never, "ThrottlingException", 429),
    ],
)
@pytest.mark.parametrize("method", ["converse", "converse_stream"])
def test_boto3_raises_its_own_error(
    meter: TokenMeter, server: Server, decides: Any, code: str, status: int, method: str
) -> None:
    server.play(bedrock.converse())
    with (
        bedrock.client(server) as client,
        meter.attribute(customer="acme", enforce=decides),
        pytest.raises(ClientError) as refused,
    ):
        getattr(client, method)(**bedrock.ASK)
    error: Any = refused.value.response
    assert error["Error"]["Code"] == code
    assert error["Error"]["Message"] in {"Not you.", "Slowly."}
    assert error["ResponseMetadata"]["HTTPStatusCode"] == status
    assert server.sent == []
    assert left(meter) == CALLS * PRICE
    assert meter.engine.events().events == ()


def test_boto3_asks_again_after_a_refusal_that_waiting_helps(
    meter: TokenMeter, server: Server
) -> None:
    server.play(bedrock.converse())
    asked: list[Ask] = []

    def second(ask: Ask) -> Any:
        asked.append(ask)
        return Refusal(429, "Slowly.", 1) if len(asked) == 1 else None

    retries = {"total_max_attempts": 2, "mode": "standard"}
    with (
        bedrock.client(server, retries=retries) as client,
        meter.attribute(customer="acme", enforce=second),
    ):
        client.converse(**bedrock.ASK)
    assert len(asked) == 2
    assert len(server.sent) == 1


@pytest.mark.parametrize("library", ["aiohttp", "httpx2"])
async def test_a_caller_who_is_cancelled_while_it_is_decided_reserves_nothing(
    meter: TokenMeter, tmp_path: Path, library: str
) -> None:
    async def call() -> None:
        if library == "aiohttp":
            async with aiohttp.ClientSession() as session:
                await session.post(URL, json=ASKED)
        else:
            async with httpx2.AsyncClient() as client:
                await client.post(URL, json=ASKED)

    assert meter.engine.wallets.available("acme") == CALLS * PRICE
    writer = sqlite3.connect(tmp_path / "usage.db")
    writer.execute("begin immediate")  # a hold has to wait
    with meter.attribute(customer="acme", enforce="wallet"):
        caller = asyncio.create_task(call())
        await asyncio.sleep(0.5)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
    writer.rollback()
    writer.close()
    await asyncio.sleep(1)
    assert not meter.open_exchanges
    assert left(meter) == CALLS * PRICE
    assert meter.engine.events().events == ()
