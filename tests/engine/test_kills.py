"""A process killed at any statement of an ingest: all of the batch is there, or nothing of it."""

from __future__ import annotations

import os
import signal
from datetime import timedelta
from pathlib import Path
from typing import Any

from tests.engine.made import url
from tests.engine.metered import RULES, START, check_agrees, counts_apart, define, meter_of
from tests.engine.test_processes import run_script
from tests.engine.test_rollups import END, image
from tokenmeter.engine.local import Engine
from tokenmeter.engine.metering import MeterQuery, measure
from tokenmeter.event import Event
from tokenmeter.rating.windows import Window

METERS = [meter_of(rule) for rule in (RULES[0], RULES[1], RULES[5])]
STATEMENTS_MAX = 300  # of one ingest, and of the backfill behind it
TRIED = range(0, STATEMENTS_MAX, 5)
BEFORE = [image(at, START + timedelta(hours=at), size=f"{at % 2}") for at in range(6)]
BATCH = [
    BEFORE[5],  # a copy
    image(6, START + timedelta(hours=1), "cust_0", size="1", units="0.5"),
    image(7, START + timedelta(days=1, hours=1), "cust_new", size="new", note="x"),
    image(8, START + timedelta(days=3), "cust_1", size="0", units=7),
]


def prepared(database: str) -> None:
    """Store the first events: one meter counts them, the others have to be backfilled."""
    with Engine(database) as engine:
        define(engine, "", METERS[1], "size")
        engine.ingest(BEFORE)
        for meter in (METERS[0], *METERS[2:]):
            define(engine, "", meter, "size")


def dying(database: str, statement: int) -> None:
    """Ingest the batch, and be killed before a statement; exit with 0 if there are fewer."""
    left = statement

    def count(_sql: str) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    with Engine(database) as engine:
        with engine.store.reading() as connection:
            driver: Any = connection.connection.driver_connection
        driver.set_trace_callback(count)
        engine.ingest(BATCH)
        driver.set_trace_callback(None)


DYING = """
import os, sys
from tests.engine.test_kills import TRIED, dying
for statement in TRIED:
    child = os.fork()
    if child == 0:
        dying(f"{sys.argv[1]}.{statement}", statement)
        os._exit(0)
    if os.waitpid(child, 0)[1] == 0:
        print(statement)
        break
"""


def test_a_process_killed_at_any_statement_stores_and_counts_all_or_nothing(
    tmp_path: Path,
) -> None:
    base = tmp_path / "usage.db"
    prepared(url(base))
    for statement in TRIED:
        (tmp_path / f"usage.db.{statement}").write_bytes(base.read_bytes())
    done = run_script(DYING, url(base))
    assert done.returncode == 0, done.stderr
    survived = int(done.stdout)  # which had fewer statements
    assert survived > 20
    states: list[bool] = []
    for statement in range(0, survived + 1, TRIED.step):
        with Engine(url(tmp_path / f"usage.db.{statement}")) as engine:
            states.append(whole(engine))
            engine.ingest(BATCH)
            assert whole(engine)
            assert all(counts_apart(engine, "", meter, "size") for meter in METERS)
    assert states == sorted(states)  # from some statement on, the COMMIT, all is there
    assert set(states) == {False, True}


def whole(engine: Engine) -> bool:
    """Tell whether the batch is there; what is counted must be what is stored."""
    found = sorted(engine.events(limit=100).events, key=lambda event: event.event_id)
    together = BEFORE + BATCH[1:]
    assert found in (BEFORE, together)
    checked(engine, found)
    return found == together


def checked(engine: Engine, events: list[Event]) -> None:
    for meter in METERS:
        for window in (None, Window.DAY):
            query = MeterQuery(meter, None, START, END, window=window, group_by=("size",))
            check_agrees(measure(engine.store, query), events, query)
