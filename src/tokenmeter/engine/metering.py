"""What Flexprice meters count: by customer, window and property, and price by price."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from tokenmeter.engine.parts import (
    SOURCE as SOURCE,
)
from tokenmeter.engine.parts import (
    Asked,
    Part,
    bucket_grid_of,
    cuts_of,
    grid_of,
    parts,
)
from tokenmeter.engine.parts import (
    MeterQuery as MeterQuery,
)
from tokenmeter.engine.rollups import names_of
from tokenmeter.engine.sheets import Sheet
from tokenmeter.engine.store.protocol import Store
from tokenmeter.engine.store.rows import microseconds
from tokenmeter.errors import QueryError
from tokenmeter.rating.filters import choose
from tokenmeter.rating.price import Price
from tokenmeter.rating.windows import Period

GROUPS_MAX = 24  # the prices of one event name may tell events apart by many properties
CUSTOMERS_MAX = 1_000
CHOICES_MAX = 10_000  # remembered
CUSTOMER_NAMES = ("customer", "external_customer_id")


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
    """A meter's quantity by the key of the price that bills it; `unpriced` is never charged 0."""

    by_price: Mapping[str, Quantity]
    unpriced: Quantity


def measure(store: Store, query: MeterQuery, environment: str = "") -> list[Quantity]:
    """
    Count what a meter counts, as `rating` counts it.

    Without groups and windows there is one answer, 0 if nothing was used; with them there is
    one for each that has events, in the order of time and group.
    """
    sheet = sheet_of(query)
    names = [name for name in query.group_by if name not in CUSTOMER_NAMES]
    asked = Asked(query, environment, tuple(names), cuts_of(query))
    with store.reading() as connection:
        for part in parts(connection, asked):
            group = tuple(_label(part, name) for name in query.group_by)
            sheet.add(sheet.page(part.at, group), part)
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
    sheet = sheet_of(query)
    pages = {p.key: sheet.page(query.start, (p.key,)) for p in prices}
    unpriced = sheet.page(query.start, (None,))
    for part, price in _priced(store, query, prices, environment):
        sheet.add(unpriced if price is None else pages[price.key], part)
    found = {key.group[0]: Quantity({}, None, *answer) for key, answer in sheet.answers()}
    return Assignments({p.key: found[p.key] for p in prices}, found[None])


def _priced(
    store: Store, query: MeterQuery, prices: Sequence[Price], environment: str
) -> Iterator[tuple[Part, Price | None]]:
    """Yield what is counted in parts, each with the price that bills it."""
    names = {n for n in query.group_by if n not in CUSTOMER_NAMES}
    names |= names_of(f.key for p in prices for f in p.filters)
    changes = [at for p in prices for at in (p.start, p.end) if at is not None]
    cuts = (*cuts_of(query), *map(microseconds, changes))
    chooser = Chooser(prices)
    with store.reading() as connection:
        for part in parts(connection, Asked(query, environment, tuple(names), cuts)):
            yield part, chooser.price(part)


def by_price(
    store: Store, query: MeterQuery, prices: Sequence[Price], environment: str = ""
) -> list[tuple[str, Quantity]]:
    """Count what each price bills in each group and window, with its key; "": none bills it."""
    sheet = sheet_of(query)
    for part, price in _priced(store, query, prices, environment):
        labels = (_label(part, name) for name in query.group_by)
        group = ("" if price is None else price.key, *labels)
        sheet.add(sheet.page(part.at, group), part)
    return [
        (
            str(key.group[0]),
            Quantity(
                dict(zip(query.group_by, key.group[1:], strict=True)), key.window_start, *answer
            ),
        )
        for key, answer in sheet.answers()
    ]


class Chooser:
    """Chooses prices, and remembers: the same labels at the same prices are met often."""

    def __init__(self, prices: Sequence[Price]) -> None:
        self._prices = prices
        self._names = sorted(names_of(f.key for p in prices for f in p.filters))
        changes = {at for p in prices for at in (p.start, p.end) if at is not None}
        self._changes = sorted(changes)
        self._known: dict[tuple[object, ...], Price | None] = {}

    def price(self, part: Part) -> Price | None:
        """Return the price that bills a part, None if none does."""
        told = [part.labels.get(name, self) for name in self._names]
        key = (bisect_right(self._changes, part.at), *told)
        if key not in self._known:
            if len(self._known) >= CHOICES_MAX:
                self._known.clear()
            current = (p for p in self._prices if p.is_current(part.at))
            self._known[key] = choose(current, part.labels)
        return self._known[key]


def sheet_of(query: MeterQuery) -> Sheet:
    """Check a question, and prepare the sheet for its answer."""
    if len(query.group_by) > GROUPS_MAX:
        raise QueryError(f"at most {GROUPS_MAX} dimensions can be grouped by; name fewer")
    if query.customers is not None and len(query.customers) > CUSTOMERS_MAX:
        raise QueryError(f"at most {CUSTOMERS_MAX} customers can be asked for; name fewer")
    period = Period(query.start, query.end)
    return Sheet(query.meter.aggregation.kind, period, grid_of(query), bucket_grid_of(query))


def _label(part: Part, name: str) -> str | None:
    if name in CUSTOMER_NAMES:
        return part.customer
    value = part.labels.get(name)
    return None if value is None else str(value)
