"""A submitted job keeps its hold until somebody sees its end, in whatever worker."""

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
from tests.asgi.upstream import answering
from tests.server.running import running
from tokenmeter import TokenMeter
from tokenmeter.asgi import TokenMeterMiddleware
from tokenmeter.enforcement import Enforcement
from tokenmeter.enforcement.settling import SETTLER
from tokenmeter.engine.local import Engine

if TYPE_CHECKING:
    from pathlib import Path

ASKED = json.dumps({"model": "sora-2", "prompt": "a lake", "seconds": "4"}).encode()
SECONDS = {"aggregation": {"type": "SUM", "field": "video_seconds"}}  # at $0.01
VIDEOS = {"event_name": "video_generated", **SECONDS}
START_S = 1.1  # the provider's times have no fractions: a video is made after its plan begins


def video(status: str) -> dict[str, Any]:
    now = int(time.time())
    failed = {"error": {"code": "moderation_blocked"}} if status == "failed" else {}
    about = {"id": "video_7", "object": "video", "model": "sora-2", "seconds": "4"}
    return {**about, "created_at": now, "size": "720x1280", "status": status, **failed}


def worker(meter: TokenMeter, status: str, **rule: Any) -> TokenMeterMiddleware:
    """One of several: what the provider answers to it is what the video has come to."""
    kind = {"content-type": "application/json"}
    app = answering(200, kind, [json.dumps(video(status)).encode()])
    return TokenMeterMiddleware(app, customer=lambda _r: "acme", meter=meter, **rule)


def released(engine: Engine) -> Decimal:
    """What could be held, looked up anew."""
    SETTLER.drain(5)
    (wallet,) = engine.wallets.of_customer("acme")
    engine.wallets.forget(wallet["id"])
    return engine.wallets.available("acme")


@pytest.mark.parametrize(("end", "left"), [("completed", "0.96"), ("failed", "1.00")])
async def test_a_job_whose_end_another_worker_sees_is_charged_once(
    tmp_path: Path, end: str, left: str
) -> None:
    url = f"sqlite:///{tmp_path}/gateway.db"
    sold(url, VIDEOS, credit="1.00")
    await asyncio.sleep(START_S)
    one, other = (TokenMeter(url, state_dir=tmp_path / "state") for _ in range(2))
    submits = worker(one, "queued", enforce="wallet")
    assert (await ask(submits, scope_of("POST", "/v1/videos"), ASKED)).status == 200
    one.flush(30)
    assert released(one.engine) == Decimal("0.96")  # held
    polls = worker(other, end, enforce="wallet")
    for _ in range(2):
        await ask(polls, scope_of("GET", "/v1/videos/video_7"))
        other.flush(30)
    assert released(other.engine) == Decimal(left)
    one.shutdown()
    other.shutdown()


async def test_so_is_one_whose_wallet_is_a_servers(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/server.db"
    sold(url, VIDEOS, credit="1.00")
    await asyncio.sleep(START_S)
    with running(url) as server:
        backend = server.origin.replace("http://", f"flexprice+http://{server.key}@") + "/v1"
        meter = TokenMeter(backend, state_dir=tmp_path / "state")
        terms = {"enforce": "wallet", "enforcement": Enforcement(timeout_s=10)}
        submits = worker(meter, "queued", **terms)
        assert (await ask(submits, scope_of("POST", "/v1/videos"), ASKED)).status == 200
        meter.flush(30)
        assert released(server.engine) == Decimal("0.96")
        await ask(worker(meter, "completed", **terms), scope_of("GET", "/v1/videos/video_7"))
        meter.flush(30)
        assert released(server.engine) == Decimal("0.96")  # it is used now, and not held beside
        run = next(iter(server.engine.events().events)).properties["run_id"]
        waiting = server.get("/holds", external_customer_id="acme", reference=run)
        assert (waiting.status, waiting.body) == (200, {"items": []})
        meter.shutdown()


def test_a_job_that_an_application_submits_by_itself_is_settled_at_its_end(
    tmp_path: Path,
) -> None:
    url = f"sqlite:///{tmp_path}/app.db"
    sold(url, VIDEOS, credit="1.00")
    time.sleep(START_S)
    meter, ends = TokenMeter(url, state_dir=tmp_path / "state"), ["queued", "queued"]

    def answer(request: httpx2.Request) -> httpx2.Response:
        name = "video_8" if request.url.path.endswith("8") or len(ends) == 1 else "video_7"
        status = ends.pop(0) if request.method == "POST" else "completed"
        return httpx2.Response(200, json={**video(status), "id": name})

    with (
        meter.wrap(httpx2.Client(transport=httpx2.MockTransport(answer))) as client,
        meter.attribute(customer="acme", enforce="wallet"),
    ):
        videos = "https://api.openai.com/v1/videos"
        for _ in range(2):
            client.post(videos, json=json.loads(ASKED)).raise_for_status()
        meter.flush(30)
        assert released(meter.engine) == Decimal("0.92")
        client.get(f"{videos}/video_7")
        meter.flush(30)
        assert released(meter.engine) == Decimal("0.92")  # one is charged, one held
        (wallet,) = meter.engine.wallets.of_customer("acme", real_time=True)
        assert Decimal(wallet["held_amount"]) == Decimal("0.04")
    meter.shutdown()


async def test_the_quota_of_a_job_is_counted_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/gateway.db"
    sold(url, VIDEOS, included=12)
    await asyncio.sleep(START_S)
    meter = TokenMeter(url)
    submits = worker(meter, "queued", enforce="quota")
    gate: Any = submits
    assert (await ask(submits, scope_of("POST", "/v1/videos"), ASKED)).status == 200
    await ask(worker(meter, "completed"), scope_of("GET", "/v1/videos/video_7"))
    meter.flush(30)
    SETTLER.drain(5)
    await asyncio.sleep(4.2)  # by then its event has surely arrived, and is looked up
    statuses = [(await ask(gate, scope_of("POST", "/v1/videos"), ASKED)).status for _ in range(3)]
    assert statuses == [200, 200, 429]
    meter.shutdown()
