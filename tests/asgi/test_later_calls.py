"""An application that makes several calls of one request: each is covered, or not made."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import tokenmeter
from tests.asgi.driving import ask, scope_of
from tests.asgi.funded import IMAGE_PATH, PRICE, funded
from tests.asgi.test_enforcement import ASKED, IMAGE, JSON
from tests.asgi.upstream import read_all, reply
from tests.capture.play import Answer, Player
from tokenmeter import TokenMeter
from tokenmeter.asgi import TokenMeterMiddleware
from tokenmeter.asgi.incoming import Receive, Scope, Send
from tokenmeter.enforcement.settling import SETTLER

URL = f"https://api.openai.com{IMAGE_PATH}"
MADE = Answer(200, JSON, [IMAGE])
BROKEN = Answer(500, JSON, [b'{"error":{"message":"no"}}'])


class Studio:
    """An application that draws several pictures for one request; it tells how that went."""

    def __init__(self, meter: TokenMeter, answers: list[Answer], times: int) -> None:
        self.player = Player(answers)
        self._client = meter.wrap(self.player.async_client())
        self._times = times
        self.statuses = list[int]()
        self.at_once = self.named = False

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        await read_all(receive)
        if self.named:
            with tokenmeter.attribute(feature="posters"):
                await self._draw_all()
        else:
            await self._draw_all()
        told = json.dumps({"data": []}).encode()
        await reply(send, 200, [(b"content-type", b"application/json")], [told])

    async def _draw_all(self) -> None:
        if self.at_once:
            await asyncio.gather(*(self._draw() for _ in range(self._times)))
            return
        for _ in range(self._times):
            await self._draw()

    async def _draw(self) -> None:
        answer = await self._client.post(URL, json=ASKED)
        self.statuses.append(answer.status_code)


class Case:
    """One request to such an application, and what the wallet says of it."""

    def __init__(self, folder: Path, credit: str) -> None:
        url = f"sqlite:///{folder / 'usage.db'}"
        funded(url, "acme", credit=credit).close()
        self.meter = TokenMeter(url)

    async def ask(self, studio: Studio) -> None:
        app = TokenMeterMiddleware(
            studio, customer=lambda _r: "acme", meter=self.meter, enforce="wallet"
        )
        await ask(app, scope_of("POST", IMAGE_PATH), json.dumps(ASKED).encode())
        assert SETTLER.drain(10)
        assert self.meter.flush(30)

    def available(self) -> Any:
        return self.meter.engine.wallets.available("acme")


@pytest.fixture
def case(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Case]:
    made = Case(tmp_path, request.param)
    yield made
    made.meter.shutdown()


@pytest.mark.parametrize("case", ["0.50"], indirect=True)
@pytest.mark.parametrize("named", [False, True])
async def test_a_second_call_that_the_wallet_does_not_cover_is_not_made(
    case: Case, *, named: bool
) -> None:
    studio = Studio(case.meter, [MADE], times=3)
    studio.named = named
    await case.ask(studio)
    assert studio.statuses == [200, 402, 402]
    assert len(studio.player.sent) == 1
    assert case.available() == 0


@pytest.mark.parametrize("case", ["1.00"], indirect=True)
async def test_nor_one_that_is_made_at_the_same_time(case: Case) -> None:
    studio = Studio(case.meter, [MADE], times=5)
    studio.at_once = True
    await case.ask(studio)
    assert sorted(studio.statuses) == [200, 200, 402, 402, 402]
    assert case.available() == 0


@pytest.mark.parametrize("case", ["2.00"], indirect=True)
async def test_each_call_that_is_covered_is_settled_once(case: Case) -> None:
    studio = Studio(case.meter, [MADE], times=3)
    await case.ask(studio)
    assert studio.statuses == [200, 200, 200]
    assert case.available() == PRICE


@pytest.mark.parametrize("case", ["0.50"], indirect=True)
async def test_what_repeats_a_failed_attempt_needs_no_further_credit(case: Case) -> None:
    studio = Studio(case.meter, [BROKEN, BROKEN, MADE], times=3)
    await case.ask(studio)
    assert studio.statuses == [500, 500, 200]
    assert case.available() == 0
