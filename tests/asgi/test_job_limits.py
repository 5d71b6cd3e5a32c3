"""A limit counts a job by what is expected of it, and from its end on by what it used."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from tests.asgi.driving import ask, scope_of
from tests.asgi.test_job_holds import ASKED, worker
from tokenmeter import TokenMeter
from tokenmeter.enforcement import Limit
from tokenmeter.enforcement.settling import SETTLER

if TYPE_CHECKING:
    from pathlib import Path

    from tokenmeter.asgi import TokenMeterMiddleware

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
