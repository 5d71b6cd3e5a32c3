"""Counts of limits are forgotten when they are old, and not when a clock is wrong."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from tests.engine.sold import StillClock, either_database
from tokenmeter.engine.counts import KEPT, PRUNED_EVERY_S, StoredCounters
from tokenmeter.engine.local import Engine

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
HOUR = timedelta(seconds=PRUNED_EVERY_S)
MOST = Decimal(3)


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return either_database(request, tmp_path)


class Process:
    """The counts of one process, whose two clocks are moved together, or one alone."""

    def __init__(self, engine: Engine) -> None:
        self.clock = StillClock(NOW)
        self.seconds = 0.0
        self.counts = StoredCounters(
            engine.store, clock=self.clock, monotonic=lambda: self.seconds
        )

    def goes_on(self, by: timedelta) -> None:
        self.clock.now += by
        self.seconds += by.total_seconds()

    def add(self, window: datetime) -> bool:
        return self.counts.add("requests/month", window, Decimal(1), MOST)


def test_a_clock_that_jumps_forgets_no_count(database: str) -> None:
    engine = Engine(database)
    process = Process(engine)
    assert [process.add(NOW) for _ in range(4)] == [True, True, True, False]
    process.counts.keep("video_7", [("money", "k", NOW, Decimal(1))])
    process.goes_on(HOUR)
    process.clock.now += KEPT + HOUR  # ahead
    assert process.add(process.clock.now)
    process.clock.now -= KEPT + HOUR  # and put right
    process.goes_on(HOUR)
    assert not process.add(NOW)
    assert process.counts.taken_back("video_7")
    engine.close()


def test_what_is_old_is_forgotten(database: str) -> None:
    engine = Engine(database)
    process = Process(engine)
    assert [process.add(NOW) for _ in range(4)] == [True, True, True, False]
    for _ in range(2):  # what was old at the last look, and what a clock set right says
        process.goes_on(KEPT + HOUR)
        process.add(process.clock.now)
    assert process.add(NOW)
    engine.close()
