"""Windows on a local clock, through clock changes and odd time zones."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from tests.rating.made import START
from tokenmeter.event import parse_timestamp as at
from tokenmeter.rating import windows as module
from tokenmeter.rating.errors import RatingError
from tokenmeter.rating.windows import (
    Period,
    Window,
    add_days,
    add_months,
    known_zone,
    window_after,
    window_of,
    window_start,
    windows,
    zone_of,
)

NEW_YORK = zone_of("America/New_York")


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        (Window.MINUTE, "2026-08-13T14:37:00Z"),
        (Window.QUARTER_HOUR, "2026-08-13T14:30:00Z"),
        (Window.HALF_HOUR, "2026-08-13T14:30:00Z"),
        (Window.HOUR, "2026-08-13T14:00:00Z"),
        (Window.THREE_HOURS, "2026-08-13T12:00:00Z"),
        (Window.SIX_HOURS, "2026-08-13T12:00:00Z"),
        (Window.TWELVE_HOURS, "2026-08-13T12:00:00Z"),
        (Window.DAY, "2026-08-13T00:00:00Z"),
        (Window.WEEK, "2026-08-10T00:00:00Z"),
        (Window.MONTH, "2026-08-01T00:00:00Z"),
    ],
)
def test_the_start_of_each_window(window: Window, expected: str) -> None:
    assert window_start(at("2026-08-13T14:37:15.5Z"), window) == at(expected)


@pytest.mark.parametrize(
    ("moment", "day", "expected"),
    [
        ("2026-03-04T10:00:00Z", 5, "2026-02-05T00:00:00Z"),
        ("2026-03-05T00:00:00Z", 5, "2026-03-05T00:00:00Z"),
        ("2026-02-28T10:00:00Z", 31, "2026-02-28T00:00:00Z"),
        ("2026-03-30T10:00:00Z", 31, "2026-02-28T00:00:00Z"),
        ("2026-01-10T10:00:00Z", 31, "2025-12-31T00:00:00Z"),
    ],
)
def test_a_month_starts_on_the_anchors_day_or_the_months_last(
    moment: str, day: int, expected: str
) -> None:
    anchor = datetime(2026, 1, day, 12, 30, tzinfo=UTC)
    assert window_start(at(moment), Window.MONTH, UTC, anchor) == at(expected)


def test_the_month_after_a_short_one_is_back_on_the_anchors_day() -> None:
    anchor = datetime(2026, 1, 31, tzinfo=UTC)
    february = at("2026-02-28T00:00:00Z")
    assert window_after(february, Window.MONTH, UTC, anchor) == at("2026-03-31T00:00:00Z")
    assert window_after(february.replace(day=1), Window.MONTH) == at("2026-03-01T00:00:00Z")


def test_both_hours_of_a_clock_going_back_are_windows_of_their_own() -> None:
    first, second = at("2026-11-01T05:40:00Z"), at("2026-11-01T06:40:00Z")
    assert window_start(first, Window.HOUR, NEW_YORK) == at("2026-11-01T05:00:00Z")
    assert window_start(second, Window.HOUR, NEW_YORK) == at("2026-11-01T06:00:00Z")
    assert window_after(at("2026-11-01T05:00:00Z"), Window.HOUR, NEW_YORK) == at(
        "2026-11-01T06:00:00Z"
    )


@pytest.mark.parametrize(
    ("day", "hours"), [("2026-03-08T05:00:00Z", 23), ("2026-11-01T04:00:00Z", 25)]
)
def test_a_day_of_a_clock_change_has_23_or_25_hours(day: str, hours: int) -> None:
    after = window_after(at(day), Window.DAY, NEW_YORK)
    assert after - at(day) == timedelta(hours=hours)
    period = Period(at(day), after)
    assert len(list(windows(period, Window.HOUR, NEW_YORK))) == hours
    assert len(list(windows(period, Window.THREE_HOURS, NEW_YORK))) == 8


@pytest.mark.parametrize(
    ("zone", "day"),
    [
        ("Africa/Cairo", "2026-04-24T12:00:00Z"),  # midnight itself is skipped
        ("Australia/Lord_Howe", "2026-04-04T18:00:00Z"),  # back by half an hour
        ("Asia/Kathmandu", "2026-04-04T18:00:00Z"),
        ("Pacific/Apia", "2011-12-30T08:00:00Z"),  # a day is skipped
    ],
)
@pytest.mark.parametrize("window", list(Window))
def test_windows_follow_each_other_without_gap_or_end(zone: str, day: str, window: Window) -> None:
    tz = zone_of(zone)
    period = Period(at(day) - timedelta(hours=30), at(day) + timedelta(hours=30))
    starts = list(windows(period, window, tz))
    assert starts[0] <= period.start
    assert all(a < b for a, b in pairwise(starts))
    for start, after in pairwise(starts):
        assert window_start(start, window, tz) == start
        assert window_start(after - timedelta(seconds=1), window, tz) == start


def test_a_week_starts_on_monday() -> None:
    sunday = at("2026-08-16T23:00:00Z")
    assert window_start(sunday, Window.WEEK) == at("2026-08-10T00:00:00Z")
    assert window_after(at("2026-08-10T00:00:00Z"), Window.WEEK) == at("2026-08-17T00:00:00Z")


@pytest.mark.parametrize("name", ["", "Not/A_Zone", "../etc/passwd", "America", "a\0b"])
def test_an_unknown_time_zone_is_utc(name: str) -> None:
    assert zone_of(name) is UTC
    assert known_zone(name) is None


def test_window_sizes_are_read_in_any_case() -> None:
    assert window_of("15min") is Window.QUARTER_HOUR
    with pytest.raises(RatingError, match="FORTNIGHT"):
        window_of("FORTNIGHT")


def test_too_many_windows_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WINDOWS_MAX", 3)
    hours = windows(Period(START, START + timedelta(hours=3)), Window.HOUR)
    assert len(list(hours)) == 3
    with pytest.raises(RatingError, match="larger window"):
        list(windows(Period(START, START + timedelta(hours=4)), Window.HOUR))


def test_days_are_added_on_the_local_clock() -> None:
    assert add_days(at("2026-03-05T05:00:00Z"), 5, NEW_YORK) == at("2026-03-10T04:00:00Z")
    assert add_days(at("2026-11-01T06:30:00Z"), 1, NEW_YORK) == at("2026-11-02T06:30:00Z")


def test_months_are_added_with_the_day_clamped() -> None:
    assert add_months(START, -14, 31) == at("2025-01-31T00:00:00Z")
    assert add_months(START, 11, 30) == at("2027-02-28T00:00:00Z")


def test_a_period_is_half_open_and_can_be_cut() -> None:
    period = Period(START, START + timedelta(days=2))
    assert START in period
    assert period.end not in period
    assert "today" not in period
    middle = START + timedelta(days=1)
    assert period.within(middle, None) == Period(middle, period.end)
    assert period.within(None, middle) == Period(START, middle)
    assert period.within(None, None) == period
    assert period.within(period.end, None) is None


def test_a_period_needs_order_and_time_zones() -> None:
    with pytest.raises(RatingError, match="before it starts"):
        Period(START, START - timedelta(seconds=1))
    for naive in (START.replace(tzinfo=None),):
        with pytest.raises(RatingError, match="time zone"):
            Period(naive, START)
        with pytest.raises(RatingError, match="time zone"):
            Period(START, naive)
