"""What Flexprice meters count: by customer, window and property, and price by price."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from tokenmeter.engine.sheets import Sheet
from tokenmeter.engine.store.protocol import Store
from tokenmeter.engine.store.raw import Range, StoredEvent, Stretch, scan
from tokenmeter.engine.store.rows import microseconds
from tokenmeter.errors import QueryError
from tokenmeter.rating.aggregation import Grid
from tokenmeter.rating.filters import Filter, choose, matches
from tokenmeter.rating.meter import Meter, Sample
from tokenmeter.rating.price import Price
from tokenmeter.rating.windows import Period, Window, known_zone

GROUPS_MAX = 10
CUSTOMERS_MAX = 1_000
CUSTOMER_NAMES = ("customer", "external_customer_id")


@dataclass(frozen=True, slots=True)
class MeterQuery:
    """
    What to count: one meter in [start, end), by customer, property and window.

    `group_by` names properties, or `customer`. Windows are those of the zone's clock; months
    start on the anchor's day. A bucketed meter without an anchor has its months start as its
    period does.
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


@dataclass(frozen=True, slots=True)
class Quantity:
    """
    What was counted in one group and window.

    `buckets` are those of a bucketed meter, in the order of time, then of its group; each is
    priced by itself, and `quantity` is their sum.
    """

    group: Mapping[str, str | None]  # None: the events do not say
    window_start: datetime | None
    quantity: Decimal
    events: int
    buckets: tuple[Decimal, ...] | None = None


@dataclass(frozen=True, slots=True)
class Assignments:
    """A meter's quantity by the price that bills it; `unpriced` is shown, never charged 0."""

    by_price: Mapping[str, Quantity]
    unpriced: Quantity


def measure(store: Store, query: MeterQuery, environment: str = "") -> list[Quantity]:
    """
    Count what a meter counts, as `rating` counts it.

    Without groups and windows there is one answer, 0 if nothing was used; with them there is
    one for each that has events, in the order of time and group.
    """
    sheet = _sheet(query)
    for event, sample in _samples(store, query, environment):
        group = tuple(_label(event, name) for name in query.group_by)
        sheet.add(sheet.page(event.timestamp, group), sample)
    if not query.group_by and query.window is None:
        sheet.page(query.start, ())
    return [
        Quantity(dict(zip(query.group_by, key.group, strict=True)), key.window_start, *answer)
        for key, answer in sheet.answers()
    ]


def assignments(
    store: Store, query: MeterQuery, prices: Sequence[Price], environment: str = ""
) -> Assignments:
    """
    Count what each price of a meter bills; see `rating.selection.assign` for the rule.

    A price that bills nothing is there with 0. Groups and windows cannot be asked for.
    """
    if query.group_by or query.window is not None:
        raise QueryError("prices bill a whole period; ask without groups and windows")
    sheet = _sheet(query)
    pages = {p.price_id: sheet.page(query.start, (p.price_id,)) for p in prices}
    unpriced = sheet.page(query.start, (None,))
    for event, sample in _samples(store, query, environment):
        price = choose((p for p in prices if p.is_current(event.timestamp)), event.properties)
        sheet.add(unpriced if price is None else pages[price.price_id], sample)
    found = {key.group[0]: Quantity({}, None, *answer) for key, answer in sheet.answers()}
    return Assignments({p.price_id: found[p.price_id] for p in prices}, found[None])


def _sheet(query: MeterQuery) -> Sheet:
    zone = known_zone(query.zone)
    if zone is None:
        raise QueryError(f"{query.zone[:40]!r} is no time zone; use an IANA name")
    if len(query.group_by) > GROUPS_MAX:
        raise QueryError(f"at most {GROUPS_MAX} dimensions can be grouped by; name fewer")
    if query.customers is not None and len(query.customers) > CUSTOMERS_MAX:
        raise QueryError(f"at most {CUSTOMERS_MAX} customers can be asked for; name fewer")
    grid = None if query.window is None else Grid(query.window, zone, query.anchor)
    buckets = query.meter.aggregation.bucket_size
    bucket_grid = None if buckets is None else Grid(buckets, zone, query.anchor)
    period = Period(query.start, query.end)
    return Sheet(query.meter.aggregation.kind, period, grid, bucket_grid)


def _samples(
    store: Store, query: MeterQuery, environment: str
) -> Iterator[tuple[StoredEvent, Sample]]:
    start, end = microseconds(query.start), microseconds(query.end)
    stretch = Stretch(environment, query.meter.event_name, [Range(start, end)], query.customers)
    with store.reading() as connection:
        for event in scan(connection, stretch):
            sample = query.meter.sample(event)
            if sample is not None and matches(query.filters, event.properties):
                yield event, sample


def _label(event: StoredEvent, name: str) -> str | None:
    if name in CUSTOMER_NAMES:
        return event.customer
    value = event.properties.get(name)
    return None if value is None else str(value)
