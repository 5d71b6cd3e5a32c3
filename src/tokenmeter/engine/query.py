"""What may be asked of the stored events, and the answers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import cast, get_args

from tokenmeter.engine.store import events as stored_events
from tokenmeter.engine.store import usage as stored_usage
from tokenmeter.engine.store.conditions import COLUMNS, Conditions
from tokenmeter.engine.store.events import Place
from tokenmeter.engine.store.exact import divide
from tokenmeter.engine.store.protocol import Store
from tokenmeter.engine.store.rows import microseconds, moment, plain, to_event
from tokenmeter.engine.store.usage import Aggregation, Grouping, Key, Window
from tokenmeter.errors import QueryError
from tokenmeter.event import Event
from tokenmeter.usage import METRICS, NOTHING, Number, Usage

# The dimensions that can be asked for although no event may have them; any property that an
# event has is one more.
DIMENSIONS = frozenset(COLUMNS) | {
    "attempt",
    "cost_source",
    "environment",
    "error_type",
    "http_status",
    "is_retry",
    "operation",
    "quality",
    "request_model",
    "resolution",
    "service_tier",
    "size",
    "streamed",
    "usage_source",
}
DIMENSION_NAME_MAX = 200
GROUPS_MAX = 10
EVENTS_LIMIT_MAX = 1_000

Filters = Mapping[str, object]  # one value, or a list of those that are let through

_ALIASES = {"external_customer_id": "customer", "UNIQUE_COUNT": "COUNT_UNIQUE"}
_UNNAMEABLE = re.compile(r'["\\\x00-\x1f]')
_CURSOR = re.compile(r"(\d{1,19})-(\d{1,19})", re.ASCII)


@dataclass(frozen=True, slots=True)
class UsageRow:
    """
    What one group used in one window.

    `events` are `billable` or `unbilled`; they tell of `attempts`, some of them `retries` or
    `failed`. Cost counts all of them. `cost_usd` is None if no event has a cost; `unpriced`
    events have none although something was, or may have been, used.
    """

    group: Mapping[str, str | None]  # None: the events do not say
    window_start: datetime | None
    events: int
    attempts: int
    retries: int
    failed: int
    billable: int
    unpriced: int
    cost_usd: Decimal | None
    usage: Usage

    @property
    def unbilled(self) -> int:
        """The events that no meter counts."""
        return self.events - self.billable


@dataclass(frozen=True, slots=True)
class EventPage:
    """
    Events in order, also to iterate over.

    `cursor` asks for the page after it, None says there is none.
    """

    events: tuple[Event, ...]
    cursor: str | None

    def __iter__(self) -> Iterator[Event]:
        return iter(self.events)


def dimension_name(name: str) -> str:
    """Return the name of a dimension if it can be asked for; raise QueryError if not."""
    known = _ALIASES.get(name, name)
    if not known or len(known) > DIMENSION_NAME_MAX or _UNNAMEABLE.search(known):
        raise QueryError(
            f"{name[:40]!r} cannot name a dimension; use 1 to {DIMENSION_NAME_MAX} characters "
            "without double quotes, backslashes and control characters"
        )
    return known


def conditions(
    *,
    start: datetime | None,
    end: datetime | None,
    filters: Filters | None,
    environment: str | None = None,
) -> Conditions:
    """Check a time range, half-open, and filters; raise QueryError if they make no sense."""
    start_us, end_us = _instant(start), _instant(end)
    if start_us is not None and end_us is not None and end_us < start_us:
        raise QueryError("the end lies before the start; swap them")
    chosen = {dimension_name(k): _values(k, wanted) for k, wanted in (filters or {}).items()}
    return Conditions(start_us, end_us, chosen, environment)


def grouping(by: Iterable[str], window: Window | None) -> Grouping:
    """Check how to group; raise QueryError if that is not possible."""
    names = tuple(dict.fromkeys(dimension_name(name) for name in by))
    if len(names) > GROUPS_MAX:
        raise QueryError(f"at most {GROUPS_MAX} dimensions can be grouped by; name fewer")
    if window is not None and window not in get_args(Window):
        raise QueryError(f"{window!r} is no window; use {', '.join(get_args(Window))}")
    return Grouping(names, window)


def usage(
    store: Store, wanted: Conditions, grouped: Grouping, *, metrics: Iterable[str] | None
) -> list[UsageRow]:
    """Answer `Engine.usage`: both halves of the answer are of one moment."""
    chosen = sorted(METRICS if metrics is None else metrics)
    with store.reading() as connection:
        counted = stored_usage.counts(connection, wanted, grouped)
        summed = stored_usage.sums(connection, wanted, grouped, metrics=chosen)
    return [
        UsageRow(
            group=dict(zip(grouped.by, key.group, strict=True)),
            window_start=None if key.window_us is None else moment(key.window_us),
            events=row.events,
            attempts=row.attempts,
            retries=row.retries,
            failed=row.failed,
            billable=row.billable,
            unpriced=row.unpriced,
            cost_usd=None if row.cost is None else Decimal(row.cost),
            usage=Usage(summed[key]) if key in summed else NOTHING,
        )
        for key, row in sorted(counted.items(), key=_in_order)
    ]


def events(
    store: Store,
    wanted: Conditions,
    *,
    limit: int,
    cursor: str | None,
    oldest_first: bool = False,
) -> EventPage:
    """Answer `Engine.events`."""
    if not 1 <= limit <= EVENTS_LIMIT_MAX:
        raise QueryError(f"a page holds 1 to {EVENTS_LIMIT_MAX} events; change the limit")
    after = None if cursor is None else _place(cursor)
    with store.reading() as connection:
        rows = stored_events.page(
            connection, wanted, limit=limit + 1, after=after, oldest_first=oldest_first
        )
    page = rows[:limit]
    more = f"{page[-1]['timestamp_us']}-{page[-1]['id']}" if len(rows) > limit else None
    return EventPage(tuple(to_event(row) for row in page), more)


def aggregate(store: Store, wanted: Conditions, *, aggregation: str, field: str) -> Number:
    """Answer `Engine.aggregate`; of nothing it is 0, as in Flexprice."""
    kind = _ALIASES.get(aggregation.upper(), aggregation.upper())
    if kind not in get_args(Aggregation):
        raise QueryError(f"{aggregation!r} is unknown; use {', '.join(get_args(Aggregation))}")
    name = dimension_name(field)
    chosen = cast(Aggregation, kind)
    with store.reading() as connection:
        total = stored_usage.quantity(connection, wanted, aggregation=chosen, field=name)
        if chosen == "AVG" and total is not None:
            count = stored_usage.quantity(connection, wanted, aggregation="COUNT", field=name)
            total = divide(total, int(count or 1))
    return 0 if total is None else total


def _instant(time: datetime | None) -> int | None:
    if time is None:
        return None
    if time.tzinfo is None:
        raise QueryError("a time without a zone is ambiguous; give an aware datetime")
    return microseconds(time)


def _values(name: str, wanted: object) -> Sequence[str]:
    """Compare as text, as Flexprice does: True is "true", 1080 is "1080"."""
    several = wanted if isinstance(wanted, list | tuple | set | frozenset) else [wanted]
    values = [plain(value) for value in cast(Iterable[object], several)]
    if None in values or not values:
        raise QueryError(f"the filter on {name[:40]!r} needs text, numbers or booleans")
    return [str(value) for value in values]


def _place(cursor: str) -> Place:
    parts = _CURSOR.fullmatch(cursor)
    if parts is None:
        raise QueryError("this cursor is not one of ours; pass the one the last page gave")
    return Place(int(parts[1]), int(parts[2]))


def _in_order(item: tuple[Key, object]) -> tuple[int, tuple[str, ...]]:
    """Sort by time, then by group; events that do not say come first."""
    key = item[0]
    return key.window_us or 0, tuple(value or "" for value in key.group)
