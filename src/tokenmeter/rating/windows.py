"""Windows of time, from a minute to a month, in the customer's own time zone."""

from __future__ import annotations

import calendar
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from enum import StrEnum
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tokenmeter.rating.errors import RatingError

ZONES_MAX = 600  # time zones kept in memory; IANA has about 600
WINDOWS_MAX = 100_000  # windows in one answer


class Window(StrEnum):
    """The sizes of a window, by Flexprice's names."""

    MINUTE = "MINUTE"
    QUARTER_HOUR = "15MIN"
    HALF_HOUR = "30MIN"
    HOUR = "HOUR"
    THREE_HOURS = "3HOUR"
    SIX_HOURS = "6HOUR"
    TWELVE_HOURS = "12HOUR"
    DAY = "DAY"
    WEEK = "WEEK"
    MONTH = "MONTH"


_MINUTES = {Window.MINUTE: 1, Window.QUARTER_HOUR: 15, Window.HALF_HOUR: 30, Window.HOUR: 60}
_HOURS = {Window.THREE_HOURS: 3, Window.SIX_HOURS: 6, Window.TWELVE_HOURS: 12}


@dataclass(frozen=True, slots=True)
class Period:
    """A stretch of time, half-open: [start, end)."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if self.start.tzinfo is None or self.end.tzinfo is None:
            raise RatingError("A period needs times with a time zone.", field="start")
        if self.end < self.start:
            raise RatingError("A period cannot end before it starts.", field="end")

    def __contains__(self, moment: object) -> bool:
        return isinstance(moment, datetime) and self.start <= moment < self.end

    @property
    def length(self) -> timedelta:
        """From start to end."""
        return self.end - self.start

    def within(self, start: datetime | None, end: datetime | None) -> Period | None:
        """Cut to [start, end), where None is open; None when nothing is left."""
        first = self.start if start is None else max(self.start, start)
        last = self.end if end is None else min(self.end, end)
        return Period(first, last) if first < last else None


def window_of(name: str) -> Window:
    """Read a window size, in any case."""
    try:
        return Window(name.upper())
    except ValueError:
        raise RatingError(
            f"{name!r} is not a window size; use one of {', '.join(Window)}.", field="window_size"
        ) from None


@lru_cache(maxsize=ZONES_MAX)
def zone_of(name: str) -> tzinfo:
    """Find a time zone by its IANA name; an empty or unknown name is UTC."""
    return known_zone(name) or UTC


def known_zone(name: str) -> tzinfo | None:
    """Find a time zone by its IANA name; None when there is none of that name."""
    try:
        return ZoneInfo(name) if name else None
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def window_start(
    moment: datetime, window: Window, zone: tzinfo = UTC, anchor: datetime | None = None
) -> datetime:
    """
    Find the start of the window that holds a moment, as UTC.

    Hours, days and weeks (from Monday) are those of the zone's clock. A month starts on the
    anchor's day, or on the month's last day where there is no such day.
    """
    local = moment.astimezone(zone)
    if window in _MINUTES:
        return _floor_minutes(local, _MINUTES[window])
    if window in _HOURS:
        return _floor_hours(local, _HOURS[window])
    if window is Window.MONTH:
        return _floor_month(local, anchor.astimezone(zone).day if anchor else 1)
    back = local.weekday() if window is Window.WEEK else 0
    return _utc(_midnight(local) - timedelta(days=back))


def window_after(
    start: datetime, window: Window, zone: tzinfo = UTC, anchor: datetime | None = None
) -> datetime:
    """Find the start of the window that follows the one that starts at `start`, as UTC."""
    if window in _MINUTES:
        step = timedelta(minutes=_MINUTES[window])
        following = window_start(start + step, window, zone)
        # Where a clock goes back by half an hour, one step can end in the same window.
        return following if following > start else window_start(start + 2 * step, window, zone)
    local = start.astimezone(zone)
    if window in _HOURS:
        hours = _HOURS[window]
        return _utc(_midnight(local) + timedelta(hours=(local.hour // hours + 1) * hours))
    if window is Window.MONTH:
        day = anchor.astimezone(zone).day if anchor else 1
        return _utc(add_months(_midnight(local), 1, day))
    return _utc(_midnight(local) + timedelta(days=7 if window is Window.WEEK else 1))


def windows(
    period: Period, window: Window, zone: tzinfo = UTC, anchor: datetime | None = None
) -> Iterator[datetime]:
    """List the starts of all windows that touch a period, the first perhaps before it."""
    start = window_start(period.start, window, zone, anchor)
    listed = 0
    while start < period.end:
        if listed == WINDOWS_MAX:
            raise RatingError(
                f"The period has more than {WINDOWS_MAX} windows; take a larger window.",
                field="window_size",
            )
        yield start
        listed += 1
        start = window_after(start, window, zone, anchor)


def add_days(moment: datetime, days: int, zone: tzinfo = UTC) -> datetime:
    """Go to the same clock time some days on, as UTC."""
    return _utc(moment.astimezone(zone).replace(fold=0) + timedelta(days=days))


def add_months(moment: datetime, months: int, day: int) -> datetime:
    """Go to `day` of the month some months on, or to its last day; the clock stays."""
    year, index = divmod(moment.year * 12 + moment.month - 1 + months, 12)
    last = calendar.monthrange(year, index + 1)[1]
    return moment.replace(year=year, month=index + 1, day=min(day, last), fold=0)


def _floor_minutes(local: datetime, minutes: int) -> datetime:
    minute = local.minute - local.minute % minutes
    return _utc(local.replace(minute=minute, second=0, microsecond=0))


def _floor_hours(local: datetime, hours: int) -> datetime:
    return _utc(_midnight(local) + timedelta(hours=local.hour // hours * hours))


def _floor_month(local: datetime, day: int) -> datetime:
    today = _midnight(local)
    start = add_months(today, 0, day)
    return _utc(start if start <= today else add_months(today, -1, day))


def _midnight(local: datetime) -> datetime:
    return local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)


def _utc(local: datetime) -> datetime:
    return local.astimezone(UTC)
