"""
From the samples of a meter to one number, to buckets, and to points per window.

A tally holds what every aggregation needs and merges with another, so that an answer from
hourly rollups is the answer from the raw events.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal

from tokenmeter.rating.filters import Properties, text
from tokenmeter.rating.meter import Aggregation, AggregationType, MeterEvent, Sample
from tokenmeter.rating.rounding import EXACT, ZERO, divided, minus, plus, times
from tokenmeter.rating.windows import Period, Window, window_after, window_start

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Tally:
    """
    The samples of some stretch of time, added up; two tallies merge in any order.

    The stretches must not share an event.
    """

    count: int = 0
    total: Decimal = ZERO
    moment: Decimal = ZERO  # sum of quantity x seconds since 1970, for WEIGHTED_SUM
    highest: Decimal = ZERO
    latest: tuple[datetime, str, Decimal] | None = None  # time, event id, quantity
    uniques: frozenset[str] = frozenset()

    def merge(self, other: Tally) -> Tally:
        """Add two tallies."""
        held = [t for t in (self.latest, other.latest) if t is not None]
        return Tally(
            self.count + other.count,
            EXACT.add(self.total, other.total),
            EXACT.add(self.moment, other.moment),
            max(self.highest, other.highest),
            max(held, default=None),
            self.uniques | other.uniques,
        )

    def value(self, kind: AggregationType, period: Period) -> Decimal:
        """
        Read one aggregation off the tally; 0 when nothing was read.

        AVG is cut to 16 places. LATEST is the last by timestamp, then by event id.
        """
        if kind is AggregationType.AVG:
            return divided(self.total, Decimal(self.count)) if self.count else ZERO
        if kind is AggregationType.WEIGHTED_SUM:
            return self._weighted(period)
        held = {
            AggregationType.COUNT: Decimal(self.count),
            AggregationType.COUNT_UNIQUE: Decimal(len(self.uniques)),
            AggregationType.MAX: self.highest,
            AggregationType.LATEST: self.latest[2] if self.latest else ZERO,
        }
        return held.get(kind, self.total)

    def _weighted(self, period: Period) -> Decimal:
        """
        Weigh each quantity by the part of the period that was left when it came.

        Flexprice's event queries do so; its billing adds the quantities up unweighted.
        """
        seconds = _seconds(period.length)
        if not seconds:
            return ZERO
        until = _seconds(period.end - _EPOCH)
        return divided(minus(times(self.total, until), self.moment), seconds)


def tally(samples: Iterable[Sample]) -> Tally:
    """Add up samples; a repeated event id counts once, the first one wins."""
    seen: set[str] = set()
    total = moment = highest = ZERO
    latest: tuple[datetime, str, Decimal] | None = None
    uniques: set[str] = set()
    for sample in samples:
        if sample.event_id in seen:
            continue
        seen.add(sample.event_id)
        total = EXACT.add(total, sample.quantity)
        moment = EXACT.add(moment, times(sample.quantity, _since_epoch(sample.timestamp)))
        highest = max(highest, sample.quantity)
        here = (sample.timestamp, sample.event_id, sample.quantity)
        latest = here if latest is None else max(latest, here)
        if sample.unique:
            uniques.add(sample.unique)
    return Tally(len(seen), total, moment, highest, latest, frozenset(uniques))


def _since_epoch(moment: datetime) -> Decimal:
    return _seconds(moment - _EPOCH)


def _seconds(length: timedelta) -> Decimal:
    return Decimal(length // _MICROSECOND).scaleb(-6, EXACT)


@dataclass(frozen=True, slots=True)
class Bucket:
    """One bucket of a bucketed meter, priced by itself."""

    start: datetime
    group: str
    value: Decimal


@dataclass(frozen=True, slots=True)
class Measurement:
    """What a meter counted in a period; `buckets` only where the meter has a bucket size."""

    value: Decimal
    buckets: tuple[Bucket, ...] | None = None


@dataclass(frozen=True, slots=True)
class Point:
    """What a meter counted in one window."""

    start: datetime
    value: Decimal


@dataclass(frozen=True, slots=True)
class Grid:
    """Windows of one size on a zone's clock, months from the anchor's day."""

    window: Window
    zone: tzinfo = UTC
    anchor: datetime | None = None

    def start(self, moment: datetime) -> datetime:
        """Find the start of the window that holds a moment."""
        return window_start(moment, self.window, self.zone, self.anchor)

    def at(self, start: datetime) -> Period:
        """Give the whole window that starts at `start`."""
        return Period(start, window_after(start, self.window, self.zone, self.anchor))

    def split(self, samples: Iterable[Sample]) -> dict[datetime, list[Sample]]:
        """Sort samples into their windows, in the order of time; empty ones are left out."""
        held: dict[datetime, list[Sample]] = {}
        for sample in samples:
            held.setdefault(self.start(sample.timestamp), []).append(sample)
        return dict(sorted(held.items()))


def measure(
    rule: Aggregation,
    samples: Iterable[Sample],
    period: Period,
    *,
    zone: tzinfo = UTC,
    anchor: datetime | None = None,
) -> Measurement:
    """
    Count the samples within [start, end).

    A bucketed meter adds up its buckets: of MAX the highest of each bucket, or of each bucket
    and group. Monthly buckets start on the anchor's day, or on the day the period starts.
    """
    inside = [r for r in samples if r.timestamp in period]
    if rule.bucket_size is None:
        return Measurement(tally(inside).value(rule.kind, period))
    grid = Grid(rule.bucket_size, zone, anchor or period.start)
    held = _buckets(rule, _once(inside), period, grid)
    buckets = tuple(held)
    return Measurement(plus(b.value for b in buckets), buckets)


def _once(samples: Sequence[Sample]) -> list[Sample]:
    return list({r.event_id: r for r in reversed(samples)}.values())[::-1]


def _buckets(
    rule: Aggregation, samples: Sequence[Sample], period: Period, grid: Grid
) -> Iterator[Bucket]:
    for start, inside in grid.split(samples).items():
        groups: dict[str, list[Sample]] = {}
        for sample in inside:
            groups.setdefault(sample.group, []).append(sample)
        for group in sorted(groups):
            yield Bucket(start, group, tally(groups[group]).value(rule.kind, period))


def points(
    rule: Aggregation, samples: Iterable[Sample], period: Period, *, grid: Grid
) -> tuple[Point, ...]:
    """
    Count per window of the grid; windows without samples are left out.

    The points of a MAX, AVG or LATEST do not add up to the meter's total; `measure` gives it.
    """
    inside = [r for r in samples if r.timestamp in period]
    found: list[Point] = []
    for start, held in grid.split(inside).items():
        value = measure(rule, held, grid.at(start), zone=grid.zone, anchor=grid.anchor).value
        found.append(Point(start, value))
    return tuple(found)


def by_property(
    events: Iterable[MeterEvent], names: Sequence[str]
) -> Mapping[tuple[str, ...], list[MeterEvent]]:
    """Sort events by the text of some properties, "" where one is absent."""
    held: dict[tuple[str, ...], list[MeterEvent]] = {}
    for event in events:
        held.setdefault(_key(event.properties, names), []).append(event)
    return dict(sorted(held.items()))


def _key(properties: Properties, names: Sequence[str]) -> tuple[str, ...]:
    return tuple(text(properties.get(name, "")) for name in names)
