"""What a customer is charged for an answer stands beside what it cost."""

from __future__ import annotations

import asyncio
import json
import threading
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from tests.asgi.driving import Answered, ask, scope_of
from tests.asgi.funded import IMAGE_PATH, PRICE, funded
from tests.asgi.upstream import answering
from tokenmeter import Event, TokenMeter
from tokenmeter.asgi import TokenMeterMiddleware
from tokenmeter.asgi.answer import amount_headers
from tokenmeter.asgi.asking import GatewayRun
from tokenmeter.asgi.charges import Charges
from tokenmeter.capture.threads import in_thread
from tokenmeter.event import Property
from tokenmeter.money import Money

IMAGES = json.dumps({"created": 1793491200, "data": [{"b64_json": "aGk="}] * 3}).encode()
ASKED = json.dumps({"model": "gpt-image-1", "prompt": "x", "size": "1024x1024", "n": 3}).encode()
HEADERS = {"content-type": "application/json", "content-length": str(len(IMAGES))}


async def answered(
    url: str, who: str = "acme", *, status: int = 200, kind: str = "application/json"
) -> Answered:
    meter = TokenMeter(url)
    app = answering(status, {**HEADERS, "content-type": kind}, [IMAGES])
    gateway = TokenMeterMiddleware(app, customer=lambda _r: who, meter=meter)
    try:
        return await ask(gateway, scope_of("POST", IMAGE_PATH), ASKED)
    finally:
        meter.shutdown()


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'usage.db'}"


async def test_a_whole_answer_tells_its_charge(url: str) -> None:
    funded(url, "acme", credit="0").close()
    for _ in range(2):
        headers = (await answered(url)).headers
        assert Decimal(headers["x-tokenmeter-charge"]) == 3 * PRICE
        assert headers["x-tokenmeter-charge-currency"] == "usd"


async def test_what_a_plan_includes_is_not_charged(url: str) -> None:
    funded(url, "acme", credit="0", included=4).close()
    charges = [(await answered(url)).headers["x-tokenmeter-charge"] for _ in range(3)]
    assert [Decimal(charge) for charge in charges] == [0, 2 * PRICE, 3 * PRICE]


async def test_what_failed_is_charged_nothing(url: str) -> None:
    funded(url, "acme", credit="0").close()
    assert "x-tokenmeter-charge" not in (await answered(url, status=500)).headers


async def test_a_charge_that_nobody_knows_is_not_told(url: str) -> None:
    funded(url, "acme", credit="0").close()
    told = [
        await answered("memory:"),
        await answered(url, "nobody"),
        await answered(url, kind="text/event-stream"),
    ]
    assert not any("x-tokenmeter-charge" in each.headers for each in told)


class SlowToday:
    """An engine whose database does not answer."""

    def __init__(self) -> None:
        self.released = threading.Event()

    def may_charge(self, _event: Event) -> bool:
        return True

    def charge_of(self, _event: Event) -> Money:
        self.released.wait(10)
        return Money(PRICE, "usd")


async def test_no_answer_waits_long_for_its_charge() -> None:
    engine, loop = SlowToday(), asyncio.get_running_loop()
    event = Event("image_generated", "acme", "evt_1", datetime.now(UTC), {})
    before = loop.time()
    assert await Charges(engine).of([event]) is None
    assert loop.time() - before < 3
    engine.released.set()
    assert await Charges(engine).of([event, event]) == Money(2 * PRICE, "usd")


async def test_what_a_cancelled_caller_leaves_behind_is_undone() -> None:
    release, undone = asyncio.Event(), list[str]()
    loop = asyncio.get_running_loop()

    def work() -> str:
        asyncio.run_coroutine_threadsafe(release.wait(), loop).result(10)
        return "a hold"

    caller = asyncio.create_task(in_thread(work, undone.append))
    await asyncio.sleep(0.05)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert undone == []
    release.set()
    for _ in range(100):
        await asyncio.sleep(0.01)
        if undone:
            break
    assert undone == ["a hold"]


def test_usage_of_all_kinds_of_numbers_is_told_exactly(tmp_path: Path) -> None:
    usage: dict[str, Property] = {
        "provider": "kling",
        "video_seconds": Decimal("5.0410"),
        "video_jobs": 1,
        "audio_seconds": Decimal("1E+2"),
    }
    event = Event("video_generated", "evt_1", "acme", datetime.now(UTC), usage)
    meter = TokenMeter("memory:", state_dir=tmp_path)
    run = GatewayRun("run_1", meter)
    run.add(event)
    told = dict(amount_headers(run))
    meter.shutdown()
    expected = {"video_seconds": "5.0410", "video_jobs": 1, "audio_seconds": "100"}
    assert json.loads(told[b"x-tokenmeter-usage"]) == expected
