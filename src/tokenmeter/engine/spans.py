"""Which stretches of time are whole days and hours of rollups, and which are read raw."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
RAW_RANGES_MAX = 500  # more pieces than that: reading all of it raw is the better way

Range = tuple[int, int]  # microseconds, half-open


@dataclass(frozen=True, slots=True)
class Spans:
    """A stretch of time, taken apart; the parts share nothing and leave nothing out."""

    days: list[Range] = field(default_factory=list[Range])
    hours: list[Range] = field(default_factory=list[Range])
    raw: list[Range] = field(default_factory=list[Range])


def made_until(spans: Spans, until_us: int) -> Spans:
    """Return what is known of days before an instant, and of later ones by their hours."""
    days, hours = list[Range](), list(spans.hours)
    for first, last in spans.days:
        _put(days, first, min(last, until_us))
        _put(hours, max(first, until_us), last)
    return Spans(days, hours, spans.raw)


def spans_of(start_us: int, end_us: int, cuts: Iterable[int] = ()) -> Spans:
    """
    Take [start, end) apart so that no whole hour or day lies on both sides of a cut.

    Cuts are the starts of windows, buckets and prices.
    """
    inside = {cut for cut in cuts if start_us < cut < end_us}
    edges = sorted({start_us, end_us} | inside)
    spans = Spans()
    for first, last in pairwise(edges):
        _part(spans, first, last)
    if len(spans.raw) > RAW_RANGES_MAX:
        return Spans(raw=[(start_us, end_us)])
    return spans


def _part(spans: Spans, start: int, end: int) -> None:
    first, last = _up(start, HOUR_US), end - end % HOUR_US
    if first >= last:
        _put(spans.raw, start, end)
        return
    _put(spans.raw, start, first)
    day, last_day = _up(first, DAY_US), last - last % DAY_US
    if day < last_day:
        _put(spans.hours, first, day)
        _put(spans.days, day, last_day)
        _put(spans.hours, last_day, last)
    else:
        _put(spans.hours, first, last)
    _put(spans.raw, last, end)


def _put(ranges: list[Range], start: int, end: int) -> None:
    if start >= end:
        return
    if ranges and ranges[-1][1] == start:
        ranges[-1] = (ranges[-1][0], end)
    else:
        ranges.append((start, end))


def _up(instant: int, step: int) -> int:
    return -(-instant // step) * step
