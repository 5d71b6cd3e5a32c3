"""Billing dates, beyond the vectors: limits, previous periods, walking."""

from __future__ import annotations

import pytest

from tests.rating.made import START
from tokenmeter.event import parse_timestamp as at
from tokenmeter.rating import periods as module
from tokenmeter.rating.errors import RatingError
from tokenmeter.rating.periods import (
    BillingPeriod,
    Cycle,
    ResetPeriod,
    billing_period_of,
    calendar_anchor,
    next_reset,
    reset_period_of,
)
from tokenmeter.rating.windows import Period, zone_of

B = BillingPeriod


def test_orders_and_months_are_flexprices() -> None:
    assert [p.order for p in B] == [1, 2, 3, 4, 5, 6, -1]
    assert [p.months for p in B] == [0, 0, 1, 3, 6, 12, 0]


def test_one_time_is_outside_the_order() -> None:
    assert not B.ONETIME.is_longer_than(B.DAILY)
    assert not B.ANNUAL.is_longer_than(B.ONETIME)
    assert not B.ONETIME.is_multiple_of(B.ONETIME)
    assert B.WEEKLY.is_multiple_of(B.WEEKLY)
    assert not B.WEEKLY.is_multiple_of(B.DAILY)
    assert not B.QUARTERLY.is_multiple_of(B.HALF_YEARLY)


def test_a_month_end_anchor_comes_back_after_a_short_month() -> None:
    cycle = Cycle(at("2026-01-31T09:30:00Z"))
    ends = [p.end for p in cycle.periods(at("2026-01-31T09:30:00Z"), at("2026-05-31T09:30:00Z"))]
    assert [e.day for e in ends] == [28, 31, 30, 31]
    assert {(e.hour, e.minute) for e in ends} == {(9, 30)}


def test_the_last_period_is_cut_at_the_end() -> None:
    cycle = Cycle(START, B.WEEKLY)
    found = list(cycle.periods(START, at("2026-03-10T00:00:00Z")))
    assert found[-1] == Period(at("2026-03-08T00:00:00Z"), at("2026-03-10T00:00:00Z"))


@pytest.mark.parametrize(
    ("period", "count", "expected"),
    [
        (B.DAILY, 2, "2026-02-27T00:00:00Z"),
        (B.WEEKLY, 1, "2026-02-22T00:00:00Z"),
        (B.MONTHLY, 1, "2026-02-01T00:00:00Z"),
        (B.QUARTERLY, 1, "2025-12-01T00:00:00Z"),
        (B.ANNUAL, 2, "2024-03-01T00:00:00Z"),
    ],
)
def test_the_full_period_that_ends_at_a_boundary(
    period: BillingPeriod, count: int, expected: str
) -> None:
    assert Cycle(START, period, count).previous(START) == at(expected)


def test_a_cycle_needs_a_positive_count_and_a_recurring_period() -> None:
    with pytest.raises(RatingError, match="positive integer"):
        Cycle(START, B.DAILY, 0)
    with pytest.raises(RatingError, match="one-time"):
        Cycle(START, B.ONETIME)
    with pytest.raises(RatingError, match="BIWEEKLY"):
        billing_period_of("BIWEEKLY")


def test_a_date_before_the_known_period_is_not_found() -> None:
    cycle = Cycle(START)
    known = Period(START, cycle.next(START))
    with pytest.raises(RatingError, match="could not find billing period for date"):
        cycle.containing(at("2026-02-01T00:00:00Z"), known)


def test_endless_periods_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PERIODS_MAX", 2)
    with pytest.raises(RatingError, match="More than 2"):
        list(Cycle(START, B.DAILY).periods(START, at("2026-03-05T00:00:00Z")))


def test_an_anchor_for_no_recurring_period_is_the_start() -> None:
    for period in (None, B.ONETIME):
        assert calendar_anchor(START, period) == START


@pytest.mark.parametrize(
    ("period", "expected"),
    [
        (B.DAILY, "2026-03-01T18:30:00Z"),
        (B.WEEKLY, "2026-03-01T18:30:00Z"),
        (B.MONTHLY, "2026-03-31T18:30:00Z"),
        (B.QUARTERLY, "2026-03-31T18:30:00Z"),
        (B.HALF_YEARLY, "2026-06-30T18:30:00Z"),
        (B.ANNUAL, "2026-12-31T18:30:00Z"),
    ],
)
def test_calendar_boundaries_are_local(period: BillingPeriod, expected: str) -> None:
    assert calendar_anchor(START, period, zone_of("Asia/Kolkata")) == at(expected)


def test_an_allowance_that_never_resets_has_no_date() -> None:
    assert next_reset(START, ResetPeriod.NEVER, Cycle(START), (START, None)) is None


@pytest.mark.parametrize(
    ("reset", "expected"),
    [("DAILY", "2026-03-20T18:30:00Z"), ("MONTHLY", "2026-04-04T18:30:00Z")],
)
def test_an_allowance_resets_at_local_midnight(reset: str, expected: str) -> None:
    start = at("2026-01-05T04:00:00Z")
    cycle = Cycle(start, B.ANNUAL, zone=zone_of("Asia/Kolkata"))
    moment, kind = at("2026-03-20T12:00:00Z"), reset_period_of(reset)
    assert next_reset(moment, kind, cycle, (start, None)) == at(expected)
    assert next_reset(moment, kind, cycle, (start, moment)) == moment


def test_only_days_and_months_have_a_reset_date() -> None:
    for name in ("WEEKLY", "SOMETIMES"):
        with pytest.raises(RatingError, match="unsupported entitlement usage reset period"):
            next_reset(START, reset_period_of(name), Cycle(START), (START, None))


@pytest.mark.parametrize(
    ("start", "anchor", "period", "count", "expected"),
    [
        ("2026-03-04T10:00:00Z", "2026-01-01T14:30:00Z", B.DAILY, 2, "2026-03-06T14:30:00Z"),
        ("2026-03-04T10:00:00Z", "2026-01-05T14:30:00Z", B.WEEKLY, 2, "2026-03-16T14:30:00Z"),
        ("2026-03-02T10:00:00Z", "2026-01-05T14:30:00Z", B.WEEKLY, 1, "2026-03-09T14:30:00Z"),
        ("2026-03-04T10:00:00Z", "2026-01-14T14:30:00Z", B.MONTHLY, 2, "2026-03-14T14:30:00Z"),
        ("2026-03-14T10:00:00Z", "2026-01-14T14:30:00Z", B.MONTHLY, 2, "2026-05-14T14:30:00Z"),
        ("2026-04-01T10:00:00Z", "2026-01-31T00:00:00Z", B.MONTHLY, 1, "2026-04-30T00:00:00Z"),
        ("2026-03-04T10:00:00Z", "2026-04-01T00:00:00Z", B.QUARTERLY, 1, "2026-04-01T00:00:00Z"),
        ("2026-04-01T00:00:00Z", "2026-04-01T00:00:00Z", B.QUARTERLY, 1, "2026-07-01T00:00:00Z"),
        ("2024-02-29T00:00:00Z", "2024-02-29T00:00:00Z", B.ANNUAL, 1, "2025-02-28T00:00:00Z"),
    ],
)
def test_the_end_of_a_period_is_on_the_anchors_day_and_clock(
    start: str, anchor: str, period: BillingPeriod, count: int, expected: str
) -> None:
    cycle = Cycle(at(anchor), period, count)
    assert cycle.next(at(start)) == at(expected)
    cut = at(start) + (at(expected) - at(start)) / 2
    assert cycle.next(at(start), cut) == cut


def test_a_date_is_found_by_walking_ahead() -> None:
    cycle = Cycle(START)
    known = Period(START, cycle.next(START))
    assert cycle.containing(START, known) == known
    assert cycle.containing(at("2026-06-30T23:59:59Z"), known).start == at("2026-06-01T00:00:00Z")


def test_a_reset_before_the_subscription_starts_is_an_error() -> None:
    with pytest.raises(RatingError, match="failed to find monthly reset period"):
        next_reset(at("2026-02-01T00:00:00Z"), ResetPeriod.MONTHLY, Cycle(START), (START, None))
