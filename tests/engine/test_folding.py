"""Cells of days, made of those of their hours when a later day comes."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from sqlalchemy import select

from tests.engine.made import url
from tests.engine.metered import RULES, START, check_agrees, define, meter_of
from tests.engine.test_rollups import END, failed, image
from tokenmeter.engine.local import Engine
from tokenmeter.engine.metering import MeterQuery, measure
from tokenmeter.engine.store.rollup_schema import rollup_days
from tokenmeter.event import Event
from tokenmeter.rating.windows import Window

ON_BOTH_DATABASES = True


def days_of(engine: Engine) -> list[int]:
    first = int(START.timestamp()) // 86_400
    with engine.store.reading() as connection:
        found = connection.execute(select(rollup_days.c.at).distinct()).scalars()
        return sorted(day - first for day in found)


def test_a_day_is_made_when_a_later_one_comes_and_then_takes_what_is_late(engine: Engine) -> None:
    meters = [meter_of(rule) for rule in (RULES[0], RULES[1], RULES[4], RULES[8])]
    for meter in meters:
        define(engine, "", meter, "size")
    hours = [0, 1, 1, 30, 31, 47, 2, 100, 26, 3, 99, 101]  # those after a later day are late
    events: list[Event] = []
    for number, hour in enumerate(hours):
        units = "2.5" if number % 3 == 0 else number + 1
        at = START + timedelta(hours=hour)
        events.append(image(number, at, size=f"{number % 2}", units=units))
        engine.ingest(events[-1:])
        newest = max(hours[: number + 1]) // 24
        assert days_of(engine) == [day for day in (0, 1) if day < newest]
    with engine.store.writing() as connection:  # without events only rollups can answer
        connection.exec_driver_sql("DELETE FROM events")
    for meter in meters:
        for window in (None, Window.HOUR, Window.DAY):
            query = MeterQuery(meter, None, START, END, window=window, group_by=("size",))
            check_agrees(measure(engine.store, query), events, query)


def test_processes_make_each_day_once(tmp_path: Path) -> None:
    meter = meter_of(RULES[1])
    with Engine(url(tmp_path / "usage.db")) as one, Engine(url(tmp_path / "usage.db")) as other:
        define(one, "", meter)
        for number in range(60):
            at = START + timedelta(hours=7 * number)
            (one, other)[number % 2].ingest([image(number, at), image(1000 + number, START)])
        query = MeterQuery(meter, None, START, END)
        assert [q.quantity for q in measure(other.store, query)] == [1200]
        assert days_of(one) == list(range(59 * 7 // 24))


def test_a_batch_that_fails_makes_no_day(engine: Engine) -> None:
    define(engine, "", meter_of(RULES[1]))
    engine.ingest([image(0, START)])
    failed(engine, image(1, START + timedelta(days=1)))
    assert days_of(engine) == []
    engine.ingest([image(2, START), image(1, START + timedelta(days=1))])
    assert days_of(engine) == [0]
    query = MeterQuery(meter_of(RULES[1]), None, START, END)
    assert measure(engine.store, query)[0].quantity == 30
