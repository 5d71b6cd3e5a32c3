"""A limit counts a job by what is expected of it, and from its end on by what it used."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from tests.asgi.driving import ask, scope_of
from tests.asgi.test_job_holds import ASKED, worker
from tests.asgi.upstream import answering
from tokenmeter import TokenMeter
from tokenmeter.asgi import TokenMeterMiddleware
from tokenmeter.enforcement import Limit
from tokenmeter.enforcement.settling import SETTLER

if TYPE_CHECKING:
    from pathlib import Path

WITHIN = Limit(per="month", money=Decimal("0.50"))  # a video of four seconds costs 0.40
SUBMIT, POLL = scope_of("POST", "/v1/videos"), scope_of("GET", "/v1/videos/video_7")


async def submitted(gateway: TokenMeterMiddleware) -> int:
    return (await ask(gateway, SUBMIT, ASKED)).status


@pytest.mark.parametrize(("end", "then"), [("completed", 429), ("failed", 200)])
@pytest.mark.parametrize("backend", ["memory:", "sqlite:///{}/usage.db"])
async def test_a_job_that_failed_gives_back_what_it_was_expected_to_cost(
    tmp_path: Path, backend: str, end: str, then: int
) -> None:
    url = backend.format(tmp_path)
    one = TokenMeter(url, state_dir=tmp_path / "state")
    other = one if url == "memory:" else TokenMeter(url, state_dir=tmp_path / "state")
    submits = worker(one, "queued", limits=[WITHIN])
    assert [await submitted(submits) for _ in range(2)] == [200, 429]
    polls = worker(other, end, limits=[WITHIN])
    for _ in range(2):  # what is seen again gives nothing back
        await ask(polls, POLL)
        other.flush(30)
        SETTLER.drain(30)
    assert [await submitted(submits) for _ in range(2)] == [then, 429]
    one.shutdown()
    other.shutdown()


@pytest.mark.parametrize("backend", ["memory:", "sqlite:///{}/usage.db"])
async def test_all_models_of_a_batch_count_at_its_end(tmp_path: Path, backend: str) -> None:
    meter = TokenMeter(backend.format(tmp_path), state_dir=None)
    limits = [Limit(per="month", tokens=1_000), Limit(per="month", requests=9)]
    gateway = TokenMeterMiddleware(
        answering(200, {}, [b'{"id": "b1", "processing_status": "in_progress"}']),
        customer=lambda _r: "acme",
        meter=meter,
        limits=limits,
    )
    asked = {"max_tokens": 5, "messages": []}
    models = ("claude-haiku-4-5", "claude-sonnet-4-6")
    entries = [{"custom_id": m, "params": {**asked, "model": m}} for m in models]
    submit = scope_of("POST", "/v1/messages/batches")
    body = json.dumps({"requests": entries}).encode()
    assert (await ask(gateway, submit, body)).status == 200
    used = {"input_tokens": 100, "output_tokens": 400}
    said = [{"type": "message", "id": m, "model": m, "usage": used} for m in models]
    lines = [{"custom_id": m["id"], "result": {"type": "succeeded", "message": m}} for m in said]
    results = "".join(f"{json.dumps(line)}\n" for line in lines).encode()
    gateway.app = answering(200, {"content-type": "application/x-jsonl"}, [results])
    for _ in range(2):  # what is seen again counts no more
        await ask(gateway, scope_of("GET", "/v1/messages/batches/b1/results"))
        meter.flush(30)
        SETTLER.drain(30)
    one = json.dumps({**asked, "model": models[0]}).encode()
    assert (await ask(gateway, scope_of("POST", "/v1/messages"), one)).status == 429
    small = TokenMeterMiddleware(
        answering(200, {}, [b"{}"]),
        customer=lambda _r: "acme",
        meter=meter,
        limits=[Limit(per="month", tokens=1_005)],  # the counts are the same: it leaves five
    )
    if backend != "memory:":
        assert (await ask(small, scope_of("POST", "/v1/messages"), one)).status == 200
    meter.shutdown()
