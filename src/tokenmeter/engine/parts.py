"""The parts an answer is made of: cells of rollups where they do, else the events."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from tokenmeter.engine.rollups import names_of, slot_for
from tokenmeter.engine.spans import DAY_US, HOUR_US, Spans, made_until, spans_of
from tokenmeter.engine.store.cells import Cell, Wanted, read_cells
from tokenmeter.engine.store.interning import numbers_of
from tokenmeter.engine.store.raw import Range, Stretch, scan
from tokenmeter.engine.store.rollups import Counted
from tokenmeter.engine.store.rows import microseconds, moment
from tokenmeter.engine.tallies import State, form_of, merge, read, state_of, state_of_columns
from tokenmeter.errors import QueryError
from tokenmeter.rating.aggregation import Grid
from tokenmeter.rating.filters import Filter, matches, text
from tokenmeter.rating.meter import Meter
from tokenmeter.rating.windows import Period, Window, known_zone, windows

if TYPE_CHECKING:
    from tokenmeter.engine.store.protocol import Connection

LABELS_KEPT_MAX = 10_000  # parsed combinations
SOURCE = "\x00source"  # an event's source as a name to group and filter by: no property's
_SUB_HOUR = frozenset({Window.MINUTE, Window.QUARTER_HOUR, Window.HALF_HOUR})


@dataclass(frozen=True, slots=True)
class MeterQuery:
    """
    What to count: one meter in [start, end), by customer, property and window.

    `group_by` names properties, or `customer`; SOURCE is the source, there and in filters.
    Windows are those of the zone's clock; months start on the anchor's day. A bucketed meter
    without an anchor has its months start as its period does.
    """

    meter: Meter
    customers: tuple[str, ...] | None
    start: datetime
    end: datetime
    filters: tuple[Filter, ...] = ()
    group_by: tuple[str, ...] = ()
    window: Window | None = None
    zone: str = "UTC"
    anchor: datetime | None = None


class Asked(NamedTuple):
    """A question, and what an answer must be kept apart by."""

    query: MeterQuery
    environment: str
    names: tuple[str, ...]  # of properties
    cuts: Sequence[int]  # microseconds; no part may lie on both sides of one


class Part(NamedTuple):
    """Some samples of one customer that lie together."""

    customer: str
    at: datetime  # when, or the start of the hour or day
    labels: Mapping[str, object]  # those that were asked for, and perhaps more
    state: State
    bucket_group: str


def grid_of(query: MeterQuery) -> Grid | None:
    """Return the windows that are asked for."""
    return None if query.window is None else Grid(query.window, _zone(query), query.anchor)


def bucket_grid_of(query: MeterQuery) -> Grid | None:
    """Return the buckets of the meter; an anchor of None is for the sheet to fill in."""
    size = query.meter.aggregation.bucket_size
    return None if size is None else Grid(size, _zone(query), query.anchor)


def cuts_of(query: MeterQuery) -> tuple[int, ...]:
    """Return the starts of windows and buckets; raise QueryError for an unknown zone."""
    period = Period(query.start, query.end)
    zone = _zone(query)
    if _is_fine(query):
        return ()  # all is read raw
    found: list[int] = []
    if query.window is not None:
        found += map(microseconds, windows(period, query.window, zone, query.anchor))
    size = query.meter.aggregation.bucket_size
    if size is not None:
        anchor = query.anchor or query.start
        found += map(microseconds, windows(period, size, zone, anchor))
    return tuple(found)


def parts(connection: Connection, asked: Asked) -> Iterator[Part]:
    """Yield all that a meter counted, in no order; each event is in one part."""
    query = asked.query
    start, end = microseconds(query.start), microseconds(query.end)
    if "\x00" in f"{asked.environment}{query.meter.event_name}":
        return  # no event holds one, and PostgreSQL takes none
    slot = None if _is_fine(query) else _slot(connection, asked)
    if slot is None:
        yield from _raw(connection, asked, Spans(raw=[(start, end)] if start < end else []))
        return
    spans = made_until(spans_of(start, end, asked.cuts), slot.days_until * DAY_US)
    ids = None if query.customers is None else numbers_of(connection, query.customers)
    if ids != []:
        for grain, unit in (("days", DAY_US), ("hours", HOUR_US)):
            ranges = [(a // unit, b // unit) for a, b in getattr(spans, grain)]
            if ranges:
                wanted = Wanted(slot, ids, ranges, together=not _has_seams(asked))
                yield from _cells(connection, grain, wanted, query)
    yield from _raw(connection, asked, spans)


def _has_seams(asked: Asked) -> bool:
    """Tell whether it matters when something was used within the time that is asked for."""
    query = asked.query
    if query.window is not None or query.meter.aggregation.bucket_size is not None:
        return True
    start, end = microseconds(query.start), microseconds(query.end)
    return any(start < cut < end for cut in asked.cuts)


def _slot(connection: Connection, asked: Asked) -> Counted | None:
    names = {*asked.names, *names_of(f.key for f in asked.query.filters)}
    return slot_for(connection, asked.environment, asked.query.meter, sorted(names))


def _cells(
    connection: Connection, grain: str, wanted: Wanted, query: MeterQuery
) -> Iterator[Part]:
    unit = DAY_US if grain == "days" else HOUR_US
    how = query.meter.aggregation
    form = form_of(how.kind)
    for cell in read_cells(connection, grain, wanted):
        labels = _parsed(cell.labels)
        if not query.filters or matches(query.filters, labels):
            group = text(labels.get(how.group_by, "")) if how.group_by else ""
            state = _state(form, cell)
            yield Part(cell.customer, moment(cell.at * unit), labels, state, group)


def _state(form: int, cell: Cell) -> State:
    told = [read(state) for state in cell.states]
    if cell.counted:  # only what fits columns has one
        told.append(state_of_columns(form, cell.counted, cell.total))
    first, *others = told
    for state in others:
        merge(first, state)
    return first


@lru_cache(maxsize=LABELS_KEPT_MAX)
def _parsed(labels: str) -> Mapping[str, object]:
    parsed: dict[str, object] = json.loads(labels)
    return parsed


def _raw(connection: Connection, asked: Asked, spans: Spans) -> Iterator[Part]:
    query = asked.query
    if not spans.raw:
        return
    ranges = [Range(*part) for part in spans.raw]
    stretch = Stretch(asked.environment, query.meter.event_name, ranges, query.customers)
    form = form_of(query.meter.aggregation.kind)
    with_source = SOURCE in {*asked.names, *(f.key for f in query.filters)}
    for event in scan(connection, stretch):
        sample = query.meter.sample(event)
        labels = {**event.properties, SOURCE: event.source} if with_source else event.properties
        if sample is not None and matches(query.filters, labels):
            state = state_of(form, sample)
            yield Part(event.customer, event.timestamp, labels, state, sample.group)


def _is_fine(query: MeterQuery) -> bool:
    """Tell whether windows or buckets are smaller than an hour, or start anew in each window."""
    size = query.meter.aggregation.bucket_size
    fine = query.window in _SUB_HOUR or size in _SUB_HOUR
    return fine or (size is Window.MONTH and query.window is not None and query.anchor is None)


def _zone(query: MeterQuery) -> tzinfo:
    zone = known_zone(query.zone)
    if zone is None:
        raise QueryError(f"{query.zone[:40]!r} is no time zone; use an IANA name")
    return zone
