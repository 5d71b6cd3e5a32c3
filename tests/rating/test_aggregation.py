"""One number, buckets and points from the samples of a meter."""

from __future__ import annotations

from datetime import UTC, timedelta

import pytest

from tests.rating.made import MARCH, START, d, event, meter
from tokenmeter.event import Event
from tokenmeter.rating.aggregation import Grid, Tally, by_property, measure, points, tally
from tokenmeter.rating.meter import AggregationType, Meter
from tokenmeter.rating.windows import Period, Window, zone_of

T = AggregationType
EVENTS = [
    event("a", 0, tokens=10, user="u1"),
    event("b", 24, tokens=40, user="u2"),
    event("c", 30, tokens=10, user="u1"),
    event("late", 12, tokens=20),
]


def count(held: Meter, events: list[Event], period: Period = MARCH) -> str:
    return str(measure(held.aggregation, held.samples(events), period).value)


@pytest.mark.parametrize(
    ("kind", "field", "expected"),
    [
        (T.COUNT, "", "4"),
        (T.SUM, "tokens", "80"),
        (T.AVG, "tokens", "20"),
        (T.MAX, "tokens", "40"),
        (T.LATEST, "tokens", "10"),
        (T.COUNT_UNIQUE, "user", "2"),
    ],
)
def test_each_aggregation(kind: AggregationType, field: str, expected: str) -> None:
    assert count(meter(kind, field), EVENTS) == expected


@pytest.mark.parametrize("kind", [k for k in T if k is not T.SUM_WITH_MULTIPLIER])
def test_nothing_measured_is_zero(kind: AggregationType) -> None:
    assert count(meter(kind), []) == "0"


def test_a_zero_pulls_the_average_down_and_a_third_is_cut_to_sixteen_places() -> None:
    average = meter(T.AVG)
    events = [event("a", tokens=1), event("b", tokens=0), event("c")]
    assert count(average, events) == "0.3333333333333333"


def test_a_weighted_sum_counts_what_is_left_of_the_period() -> None:
    two_days = Period(START, START + timedelta(days=2))
    events = [event("a", 0, tokens=10), event("b", 24, tokens=10), event("c", 47.5, tokens=96)]
    assert count(meter(T.WEIGHTED_SUM), events, two_days) == "16"


def test_a_weighted_sum_over_no_time_is_zero() -> None:
    assert Tally(total=d(5)).value(T.WEIGHTED_SUM, Period(START, START)) == 0


def test_the_period_includes_its_start_and_not_its_end() -> None:
    events = [
        event("start", 0, tokens=1),
        event("end", 31 * 24, tokens=2),
        event("before", -1, tokens=4),
    ]
    assert count(meter(), events) == "1"


def test_a_repeated_event_id_counts_once_and_the_first_wins() -> None:
    twice = [event("a", tokens=1), event("a", tokens=5)]
    assert count(meter(), twice) == "1"
    assert count(meter(T.SUM, "tokens", bucket=Window.HOUR), twice) == "1"


def test_the_latest_is_by_time_and_then_by_event_id() -> None:
    events = [event("b", 2, tokens=7), event("c", 2, tokens=9), event("z", 1, tokens=5)]
    assert count(meter(T.LATEST), events) == "9"
    assert count(meter(T.LATEST), events[::-1]) == "9"


def test_a_bucketed_max_adds_up_the_highest_of_each_bucket() -> None:
    peak = meter(T.MAX, "tokens", bucket=Window.DAY)
    found = measure(peak.aggregation, peak.samples(EVENTS), MARCH)
    assert found.value == 60
    assert [b.value for b in found.buckets or ()] == [d(20), d(40)]


def test_a_grouped_max_keeps_one_value_for_each_bucket_and_group() -> None:
    peak = meter(T.MAX, "seats", bucket=Window.DAY, group_by="region")
    events = [
        event("a", 1, seats=5, region="us"),
        event("b", 2, seats=3, region="eu"),
        event("c", 3, seats=9, region="us"),
        event("d", 25, seats=1, region="us"),
    ]
    found = measure(peak.aggregation, peak.samples(events), MARCH)
    assert [(b.group, int(b.value)) for b in found.buckets or ()] == [
        ("eu", 3),
        ("us", 9),
        ("us", 1),
    ]
    assert found.value == 13


def test_a_meter_without_a_bucket_size_has_no_buckets() -> None:
    assert measure(meter().aggregation, [], MARCH).buckets is None
    bucketed = meter(T.SUM, "tokens", bucket=Window.HOUR)
    assert measure(bucketed.aggregation, [], MARCH).buckets == ()


def test_monthly_buckets_start_on_the_anchors_day() -> None:
    held = meter(T.SUM, "tokens", bucket=Window.MONTH)
    events = [event("a", 24 * 3, tokens=1), event("b", 24 * 5, tokens=2)]
    anchor = START.replace(day=5)
    found = measure(held.aggregation, held.samples(events), MARCH, anchor=anchor)
    assert [b.start.day for b in found.buckets or ()] == [5, 5]
    assert [b.start.month for b in found.buckets or ()] == [2, 3]


def test_points_are_per_local_day() -> None:
    held = meter()
    grid = Grid(Window.DAY, zone_of("Asia/Kolkata"))
    found = points(held.aggregation, held.samples(EVENTS), MARCH, grid=grid)
    assert [(p.start.isoformat(), int(p.value)) for p in found] == [
        ("2026-02-28T18:30:00+00:00", 30),
        ("2026-03-01T18:30:00+00:00", 50),
    ]


def test_a_point_of_a_weighted_sum_weighs_within_its_window() -> None:
    held = meter(T.WEIGHTED_SUM)
    found = points(
        held.aggregation, held.samples([event("a", 6, tokens=8)]), MARCH, grid=Grid(Window.DAY)
    )
    assert [p.value for p in found] == [d(6)]


def test_points_of_a_bucketed_meter_add_up_its_buckets() -> None:
    peak = meter(T.MAX, "tokens", bucket=Window.HOUR)
    found = points(peak.aggregation, peak.samples(EVENTS), MARCH, grid=Grid(Window.DAY, UTC))
    assert [p.value for p in found] == [d(30), d(50)]


def test_events_are_grouped_by_the_text_of_their_properties() -> None:
    held = by_property([event("a", n=1), event("b"), event("c", n="1", m="x")], ["n", "m"])
    assert {key: [e.event_id for e in events] for key, events in held.items()} == {
        ("", ""): ["b"],
        ("1", ""): ["a"],
        ("1", "x"): ["c"],
    }


def test_merging_with_an_empty_tally_changes_nothing() -> None:
    held = tally(meter().samples(EVENTS))
    assert held.merge(Tally()) == held == Tally().merge(held)
