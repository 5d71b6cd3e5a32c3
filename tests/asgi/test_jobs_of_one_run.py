"""Jobs of one run: each one's end settles its own hold, whatever else is under way."""

from __future__ import annotations

import asyncio
import json
import time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from tests.asgi.driving import ask, scope_of
from tests.asgi.funded import sold
from tests.asgi.test_job_holds import START_S, VIDEOS, released
from tests.asgi.upstream import read_all, reply
from tests.server.running import running
from tokenmeter import TokenMeter
from tokenmeter.asgi import TokenMeterMiddleware
from tokenmeter.enforcement import Enforcement, Limit
from tokenmeter.enforcement.settling import SETTLER

if TYPE_CHECKING:
    from pathlib import Path

    from tokenmeter.asgi.incoming import Receive, Scope, Send

KEY = [("idempotency-key", "one-run")]
JSON = [(b"content-type", b"application/json")]


class Studio:
    """A provider of videos, each with an id of its own; a test says what becomes of them."""

    def __init__(self) -> None:
        self.made: list[dict[str, Any]] = []
        self.same_for_all = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = await read_all(receive)
        answer = self.submitted(json.loads(asked)) if asked else self.found(scope["path"])
        await reply(send, 200, JSON, [json.dumps(answer).encode()])

    def submitted(self, asked: dict[str, Any]) -> dict[str, Any]:
        number = 0 if self.same_for_all else len(self.made)
        about = {"id": f"video_{number}", "object": "video", "model": "sora-2"}
        now = {"created_at": int(time.time()), "size": "720x1280", "status": "queued"}
        self.made.append({**about, **now, "seconds": asked["seconds"]})
        return self.made[-1]

    def found(self, path: str) -> dict[str, Any]:
        return self.made[int(path.rpartition("_")[2])]

    def ends(self, number: int, status: str = "completed") -> None:
        failed = {"error": {"code": "moderation_blocked"}} if status == "failed" else {}
        self.made[number] |= {"status": status, **failed}


async def submit(gateway: TokenMeterMiddleware, seconds: str) -> int:
    body = json.dumps({"model": "sora-2", "prompt": "a lake", "seconds": seconds}).encode()
    return (await ask(gateway, scope_of("POST", "/v1/videos", KEY), body)).status


async def poll(gateway: TokenMeterMiddleware, number: int, meter: TokenMeter) -> None:
    await ask(gateway, scope_of("GET", f"/v1/videos/video_{number}"))
    assert meter.flush(30)
    assert SETTLER.drain(30)


def guarded(studio: Studio, meter: TokenMeter, **rule: Any) -> TokenMeterMiddleware:
    return TokenMeterMiddleware(studio, customer=lambda _r: "acme", meter=meter, **rule)


@pytest.fixture
def url(tmp_path: Path) -> str:
    found = f"sqlite:///{tmp_path}/gateway.db"
    sold(found, VIDEOS, credit="1.00")
    time.sleep(START_S)
    return found


async def test_the_end_of_the_longer_one_settles_the_hold_of_the_longer_one(url: str) -> None:
    meter, studio = TokenMeter(url), Studio()
    gateway = guarded(studio, meter, enforce="wallet")
    assert [await submit(gateway, seconds) for seconds in ("4", "12")] == [200, 200]
    assert released(meter.engine) == Decimal("0.84")
    studio.ends(1)
    await poll(gateway, 1, meter)
    assert released(meter.engine) == Decimal("0.84")
    (wallet,) = meter.engine.wallets.of_customer("acme", real_time=True)
    assert Decimal(wallet["held_amount"]) == Decimal("0.04")
    meter.shutdown()


async def test_so_does_it_at_a_servers_wallet(url: str, tmp_path: Path) -> None:
    studio = Studio()
    with running(url) as server:
        backend = server.origin.replace("http://", f"flexprice+http://{server.key}@") + "/v1"
        meter = TokenMeter(backend, state_dir=tmp_path / "state")
        slow = Enforcement(timeout_s=10)
        gateway = guarded(studio, meter, enforce="wallet", enforcement=slow)
        assert [await submit(gateway, seconds) for seconds in ("4", "12")] == [200, 200]
        studio.ends(1)
        await poll(gateway, 1, meter)
        (wallet,) = server.engine.wallets.of_customer("acme", real_time=True)
        assert Decimal(wallet["held_amount"]) == Decimal("0.04")
        meter.shutdown()


async def test_an_end_that_is_seen_again_lets_no_other_call_of_its_run_go(url: str) -> None:
    meter, studio = TokenMeter(url), Studio()
    gateway = guarded(studio, meter, enforce="wallet")
    assert await submit(gateway, "4") == 200
    studio.ends(0)
    await poll(gateway, 0, meter)
    under_way, hears = asyncio.Event(), asyncio.Event()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        under_way.set()
        await hears.wait()
        await studio(scope, receive, send)

    gateway.app = slow
    other = asyncio.create_task(submit(gateway, "12"))
    await under_way.wait()
    gateway.app = studio
    for _ in range(3):
        await poll(gateway, 0, meter)
    assert released(meter.engine) == Decimal("0.84")  # 0.04 used, 0.12 held
    hears.set()
    assert await other == 200
    meter.shutdown()


async def test_what_the_provider_takes_for_one_job_is_held_once_at_its_end(url: str) -> None:
    meter, studio = TokenMeter(url), Studio()
    studio.same_for_all = True
    gateway = guarded(studio, meter, enforce="wallet")
    assert [await submit(gateway, "4") for _ in range(2)] == [200, 200]
    assert released(meter.engine) == Decimal("0.92")
    studio.ends(0)
    await poll(gateway, 0, meter)
    assert released(meter.engine) == Decimal("0.96")
    meter.shutdown()


async def test_a_job_whose_first_attempt_failed_is_held_until_its_end(url: str) -> None:
    meter, studio, tries = TokenMeter(url), Studio(), [500, 200]

    def upstream(_request: httpx2.Request) -> httpx2.Response:
        if tries.pop(0) == 200:
            return httpx2.Response(200, json=studio.submitted({"seconds": "4"}))
        return httpx2.Response(500, json={"error": {"message": "no"}})

    client = meter.wrap(httpx2.AsyncClient(transport=httpx2.MockTransport(upstream)))

    async def persistent(_scope: Scope, receive: Receive, send: Send) -> None:
        """Try again, as an SDK does."""
        body = await read_all(receive)
        videos = "https://api.openai.com/v1/videos"
        assert (await client.post(videos, content=body)).is_server_error
        answer = await client.post(videos, content=body)
        await reply(send, answer.status_code, JSON, [answer.content])

    gateway = TokenMeterMiddleware(
        persistent, customer=lambda _r: "acme", meter=meter, enforce="wallet"
    )
    assert await submit(gateway, "4") == 200
    assert not tries
    assert released(meter.engine) == Decimal("0.96")
    await client.aclose()
    meter.shutdown()


async def test_a_limit_gives_back_what_the_job_that_failed_was_expected_to_cost(url: str) -> None:
    meter, studio = TokenMeter(url), Studio()
    gateway = guarded(studio, meter, limits=[Limit(per="month", money=Decimal("0.16"))])
    assert [await submit(gateway, seconds) for seconds in ("4", "12", "4")] == [200, 200, 429]
    studio.ends(1, "failed")
    await poll(gateway, 1, meter)
    assert [await submit(gateway, seconds) for seconds in ("12", "4")] == [200, 429]
    meter.shutdown()


async def test_a_quota_gives_back_what_the_job_that_failed_was_expected_to_take(
    tmp_path: Path,
) -> None:
    url = f"sqlite:///{tmp_path}/quota.db"
    sold(url, VIDEOS, included=16)
    meter, studio = TokenMeter(url), Studio()
    gateway = guarded(studio, meter, enforce="quota")
    assert [await submit(gateway, seconds) for seconds in ("4", "12", "4")] == [200, 200, 429]
    studio.ends(1, "failed")
    await poll(gateway, 1, meter)
    await asyncio.sleep(4.2)  # by then the end has surely arrived, and is looked up
    assert [await submit(gateway, seconds) for seconds in ("12", "4")] == [200, 429]
    meter.shutdown()
