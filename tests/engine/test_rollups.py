from __future__ import annotations

import random
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from string import ascii_letters

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from tests.engine.metered import (
    NAME,
    RULES,
    START,
    ZONES,
    check_agrees,
    counts_apart,
    define,
    fresh,
    histories,
    kept,
    meter_of,
    queries,
)
from tokenmeter.engine import counting, gathering
from tokenmeter.engine.local import Engine
from tokenmeter.engine.metering import MeterQuery, assignments, measure
from tokenmeter.engine.spans import DAY_US, HOUR_US, made_until, spans_of
from tokenmeter.engine.store.bulk import ROWS_PER_STATEMENT
from tokenmeter.engine.store.rollup_schema import rollup_hours
from tokenmeter.event import Event
from tokenmeter.rating.aggregation import tally
from tokenmeter.rating.filters import Filter, filters_of
from tokenmeter.rating.meter import Aggregation, AggregationType
from tokenmeter.rating.models import FlatFee
from tokenmeter.rating.price import Price
from tokenmeter.rating.selection import assign
from tokenmeter.rating.windows import Window

ON_BOTH_DATABASES = True
KEYS = ("size", "model", "quality", "user", "user")
END = START + timedelta(days=40)


def image(number: int, at: datetime, customer: str = "cust_0", **more: str | int) -> Event:
    return Event(NAME, f"evt_{number}", customer, at, {"units": 10, **more})


def cells(engine: Engine) -> int:
    with engine.store.reading() as connection:
        return connection.execute(select(func.count()).select_from(rollup_hours)).scalar_one()


@settings(max_examples=50, deadline=None)
@given(histories(), queries(), st.integers(0, 25))
def test_a_rollup_answers_as_the_events_do(
    shared: Engine, events: list[Event], query: MeterQuery, late: int
) -> None:
    environment = fresh()
    shared.ingest(events[:late], environment=environment)
    define(shared, environment, query.meter, *KEYS)
    for batch in (events[late::2], events, events[late + 1 :: 2]):  # copies too
        shared.ingest(batch, environment=environment)
    shared.backfill()
    kind = query.meter.aggregation.kind
    if events and kind is not AggregationType.COUNT_UNIQUE:
        assert counts_apart(shared, environment, query.meter, "size", "model", "user")
    check_agrees(measure(shared.store, query, environment), events, query)


@settings(max_examples=25, deadline=None)
@given(histories(), st.sampled_from(ZONES), st.sampled_from(RULES))
def test_the_prices_of_a_rollup_bill_what_those_of_the_events_bill(
    shared: Engine, events: list[Event], zone: str, rule: Aggregation
) -> None:
    dollar = FlatFee(Decimal(1))
    change = START + timedelta(days=7, minutes=90)
    wanted: list[tuple[dict[str, object], datetime | None]] = [
        ({"model": "a"}, None),
        ({"model": "a", "size": ["1024", "s"]}, change),
        ({"quality": "hd", "size": "s", "model": "b"}, None),
        ({}, change),
    ]
    listed = [
        Price(f"price_{i}", "usd", dollar, meter_id="m", filters=filters_of(f), start=start)
        for i, (f, start) in enumerate(wanted)
    ]
    meter = meter_of(rule)
    environment = fresh()
    define(shared, environment, meter, *KEYS)
    shared.ingest(events, environment=environment)
    query = MeterQuery(meter, None, START, END, zone=zone)
    found = assignments(shared.store, query, listed, environment)
    expected = assign(meter, listed, events)
    assert {k: q.events for k, q in found.by_price.items()} == {
        k: tally(s).count for k, s in expected.by_price.items()
    }
    assert found.unpriced.events == len(expected.unpriced)
    for price_id, samples in expected.by_price.items():
        if rule.bucket_size is None and rule.kind is AggregationType.SUM:
            assert found.by_price[price_id].quantity == tally(samples).total


def test_whole_hours_are_read_from_rollups_and_nothing_else(engine: Engine) -> None:
    meter = meter_of(RULES[1])
    define(engine, "", meter, "size")
    engine.ingest([image(i, START + timedelta(minutes=20 * i), size="s") for i in range(200)])
    with engine.store.writing() as connection:  # without events only rollups can answer
        connection.exec_driver_sql("DELETE FROM events")
    start = START + timedelta(hours=3)
    query = MeterQuery(meter, ("cust_0",), start, start + timedelta(days=2), group_by=("size",))
    assert [q.quantity for q in measure(engine.store, query)] == [Decimal(144 * 10)]
    days = MeterQuery(meter, None, START, END, window=Window.DAY, zone="America/Sao_Paulo")
    assert [q.quantity for q in measure(engine.store, days)] == [90, 720, 720, 470]
    halves = MeterQuery(meter, None, START, END, window=Window.DAY, zone="Asia/Kolkata")
    assert (
        sum(q.quantity for q in measure(engine.store, halves)) == 2000 - 80
    )  # three hours hold a midnight


def test_a_new_meter_is_answered_at_once_and_backfilled_with_every_ingest(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "BACKFILL_EVENTS_MAX", 4)
    monkeypatch.setattr(counting.backfill, "__defaults__", (4,))
    engine.ingest([image(i, START + timedelta(hours=i)) for i in range(10)])
    meter = meter_of(RULES[1])
    define(engine, "", meter)
    query = MeterQuery(meter, ("cust_0",), START, END)
    complete: list[bool] = []
    for number in range(10, 16):
        engine.ingest([image(number, START)])
        assert measure(engine.store, query)[0].quantity == 10 * (number + 1)
        complete.append(counts_apart(engine, "", meter))
    assert complete == [False, False, True, True, True, True]
    assert engine.backfill() == 0


def test_a_new_filter_key_counts_anew_and_answers_stay_right(engine: Engine) -> None:
    meter = meter_of(RULES[1])
    define(engine, "", meter, "size")
    engine.ingest([image(i, START, region="eu" if i % 2 else "us") for i in range(6)])
    assert not counts_apart(engine, "", meter, "region")
    define(engine, "", meter, "region")
    query = MeterQuery(meter, None, START, END, filters=(Filter("region", ("eu",)),))
    assert measure(engine.store, query)[0].quantity == 30
    engine.ingest([image(7, START, region="eu")])
    engine.backfill()
    assert counts_apart(engine, "", meter, "region", "size")
    assert measure(engine.store, query)[0].quantity == 40


def test_prices_with_more_keys_than_an_index_takes_are_answered_from_the_events(
    engine: Engine,
) -> None:
    meter, other = meter_of(RULES[1]), replace(meter_of(RULES[0]), event_name="other")
    rng = random.Random(7)  # what cannot be compressed
    keys = ["size", *("".join(rng.choices(ascii_letters, k=200)) for _ in range(20))]
    define(engine, "", meter, *keys)
    define(engine, "", other, "size")
    engine.ingest([image(at, START, size=f"{at % 2}", **{keys[1]: "x"}) for at in range(6)])
    assert not counts_apart(engine, "", meter)
    assert counts_apart(engine, "", other, "size")
    query = MeterQuery(meter, None, START, END, filters=(Filter("size", ("1",)),))
    assert measure(engine.store, query)[0].quantity == 30


def test_large_batches_of_many_meters_count_as_their_events_do(engine: Engine) -> None:
    rng = random.Random(5)
    odd: list[dict[str, str | int]] = [
        {"units": "1.5"},
        {"units": -3},
        {"units": 2**32},
        {"own": 1},
    ]
    events = [
        Event(
            NAME,
            f"evt_{at}",
            f"cust_{rng.randrange(60)}",
            START + timedelta(minutes=rng.randrange(40 * 60)),
            {
                "units": rng.randrange(2**32),
                "size": f"{rng.randrange(3)}",
                **(rng.choice(odd) if at % 50 == 0 else {}),
            },
        )
        for at in range(2 * 3 * ROWS_PER_STATEMENT + 7)
    ]
    kinds = [RULES[0], RULES[1], RULES[3], RULES[4], Aggregation(AggregationType.SUM, "own")]
    meters = list(map(meter_of, kinds))
    for meter in meters:
        define(engine, "", meter, "size")
    for first in range(0, len(events), 3 * ROWS_PER_STATEMENT):
        engine.ingest(events[first : first + 3 * ROWS_PER_STATEMENT])
    for meter in meters:
        assert counts_apart(engine, "", meter, "size")
        for window in (None, Window.HOUR, Window.DAY):
            query = MeterQuery(meter, None, START, END, window=window, group_by=("size",))
            check_agrees(measure(engine.store, query), events, query)


def test_a_late_event_counts_in_its_own_hour(engine: Engine) -> None:
    meter = meter_of(RULES[1])
    define(engine, "", meter)
    engine.ingest([image(0, START + timedelta(days=3)), image(1, START)])
    engine.ingest([image(2, START + timedelta(minutes=59))])
    hour = MeterQuery(meter, None, START, START + timedelta(hours=1))
    assert measure(engine.store, hour)[0].quantity == 20


def test_events_that_no_meter_counts_make_no_cells(engine: Engine) -> None:
    define(engine, "", meter_of(RULES[1], Filter("size", ("s",))))
    engine.ingest([image(0, START, size="m"), image(1, START, size="s", billable="false")])
    engine.ingest([Event("other", "evt_2", "cust_0", START, {"size": "s"})])
    assert cells(engine) == 0
    engine.ingest([image(3, START, size="s")])
    assert cells(engine) == 1


def _broken(*_arguments: object) -> None:
    raise ZeroDivisionError


def failed(engine: Engine, event: Event) -> None:
    """Ingest an event, and fail in the midst of counting it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gathering, "add_cells", _broken)
        with pytest.raises(ZeroDivisionError):
            engine.ingest([event])


def test_a_batch_that_fails_counts_nothing(engine: Engine) -> None:
    define(engine, "", meter_of(RULES[1]))
    engine.ingest([image(0, START)])
    failed(engine, image(1, START, "cust_new", size="new"))
    engine.ingest([image(1, START, "cust_new", size="new")])
    query = MeterQuery(meter_of(RULES[1]), None, START, END)
    assert measure(engine.store, query)[0].quantity == 20
    assert kept(engine, []) != kept(engine, [])


@given(
    st.integers(0, 50 * HOUR_US),
    st.integers(0, 50 * HOUR_US),
    st.lists(st.integers(0, 100).map(lambda half: half * HOUR_US // 2), max_size=6),
    st.integers(0, 100 * HOUR_US),
)
def test_the_parts_of_a_span_share_nothing_and_leave_nothing_out(
    start: int, length: int, cuts: list[int], until: int
) -> None:
    spans = spans_of(start, start + length, cuts)
    made = made_until(spans, until // DAY_US * DAY_US)
    assert all(last <= until for _first, last in made.days)
    assert sum(b - a for a, b in made.days + made.hours) == sum(
        b - a for a, b in spans.days + spans.hours
    )
    ordered = sorted([*made.days, *made.hours, *made.raw])
    assert all(one[1] <= other[0] for one, other in pairwise(ordered))
    ordered = sorted([*spans.days, *spans.hours, *spans.raw])
    assert sum(b - a for a, b in ordered) == length
    assert all(one[1] <= other[0] for one, other in pairwise(ordered))
    for ranges, unit in ((spans.days, DAY_US), (spans.hours, HOUR_US)):
        for first, last in ranges:
            assert first % unit == last % unit == 0
            assert not any(first < cut < last and cut % unit for cut in cuts)
