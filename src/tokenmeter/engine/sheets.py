"""Quantities as they are gathered: a page per group and window, buckets on a page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from tokenmeter.engine.parts import Part
from tokenmeter.engine.tallies import Running
from tokenmeter.rating.aggregation import Grid
from tokenmeter.rating.meter import AggregationType
from tokenmeter.rating.rounding import plus, trimmed
from tokenmeter.rating.windows import Period

Group = tuple[str | None, ...]


class Answer(NamedTuple):
    """What one page says: the quantity, its events, and the buckets if there are any."""

    quantity: Decimal
    events: int
    buckets: tuple[Decimal, ...] | None


class PageKey(NamedTuple):
    """Which window and group a page is of."""

    window_start: datetime | None
    group: Group


class BucketKey(NamedTuple):
    """Which bucket; all None where the meter has no buckets."""

    start: datetime | None
    group: str


_WHOLE = BucketKey(None, "")


@dataclass(frozen=True, slots=True)
class Page:
    """What was gathered for one group in one window."""

    period: Period  # the whole window, or what was asked for
    bucket_grid: Grid | None
    buckets: dict[BucketKey, Running] = field(default_factory=dict[BucketKey, Running])

    def running(self, kind: AggregationType, at: datetime, group: str) -> Running:
        """Return the bucket that holds a moment, made when it is first asked for."""
        grid = self.bucket_grid
        key = _WHOLE if grid is None else BucketKey(grid.start(at), group)
        held = self.buckets.get(key)
        if held is None:
            held = self.buckets[key] = Running(kind)
        return held

    def answer(self) -> Answer:
        """Read the page off."""
        events = sum(running.count for running in self.buckets.values())
        values = [trimmed(self.buckets[key].value(self.period)) for key in sorted(self.buckets)]
        if self.bucket_grid is not None:
            return Answer(trimmed(plus(values)), events, tuple(values))
        return Answer(values[0] if values else Decimal(0), events, None)


class Sheet:
    """All pages of one question."""

    def __init__(
        self, kind: AggregationType, period: Period, grid: Grid | None, bucket_grid: Grid | None
    ) -> None:
        self._kind = kind
        self._period = period
        self._grid = grid
        self._bucket_grid = bucket_grid
        self._pages: dict[PageKey, Page] = {}

    def page(self, at: datetime, group: Group) -> Page:
        """Return the page of a group in the window that holds a moment."""
        key = PageKey(None if self._grid is None else self._grid.start(at), group)
        if key not in self._pages:
            self._pages[key] = self._blank(key.window_start)
        return self._pages[key]

    def add(self, page: Page, part: Part) -> None:
        """Take a part to a page; it lies in one window and bucket."""
        page.running(self._kind, part.at, part.bucket_group).merge(part.state)

    def answers(self) -> Iterator[tuple[PageKey, Answer]]:
        """Read all pages off, in the order of time, then of group."""
        for key in sorted(self._pages, key=_in_order):
            yield key, self._pages[key].answer()

    def _blank(self, window_start: datetime | None) -> Page:
        period = self._period
        if window_start is not None and self._grid is not None:
            period = self._grid.at(window_start)
        grid = self._bucket_grid
        if grid is not None:  # as `rating.aggregation.measure` has it
            grid = Grid(grid.window, grid.zone, grid.anchor or period.start)
        return Page(period, grid)


def _in_order(key: PageKey) -> tuple[float, tuple[tuple[bool, str], ...]]:
    at = 0.0 if key.window_start is None else key.window_start.timestamp()
    return at, tuple((name is not None, name or "") for name in key.group)
