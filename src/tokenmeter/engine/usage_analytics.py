"""A customer's usage and what it costs, by price, property and window: Flexprice's analytics."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from tokenmeter.engine.billing import Billing
from tokenmeter.engine.charging import measurement_of
from tokenmeter.engine.clock import rfc3339
from tokenmeter.engine.contract import Contract, Item
from tokenmeter.engine.definitions import reading
from tokenmeter.engine.definitions.meters import rating_meter
from tokenmeter.engine.definitions.reading import Fields
from tokenmeter.engine.errors import ValidationError
from tokenmeter.engine.invoicing import rate_usage
from tokenmeter.engine.metering import SOURCE, MeterQuery, assignments, by_price
from tokenmeter.engine.store.documents import Document, Documents
from tokenmeter.engine.store.protocol import Store
from tokenmeter.rating.adjust import rate
from tokenmeter.rating.define import define_filters
from tokenmeter.rating.filters import Filter
from tokenmeter.rating.meter import Meter
from tokenmeter.rating.models import FlatFee
from tokenmeter.rating.price import Price
from tokenmeter.rating.rounding import ZERO, divided, plain, plus, times
from tokenmeter.rating.windows import Period, Window, window_of

LOOK_BACK = timedelta(days=7)
PROPERTY = "properties."
_FIELD = re.compile(r"[A-Za-z0-9_.]{1,200}", re.ASCII)
Group = tuple[str | None, ...]
Amount = tuple[Decimal, int]  # a quantity, and the events it is of


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of one customer's usage in [start, end)."""

    customer: str
    period: Period
    names: tuple[str, ...]  # properties to group by, and perhaps SOURCE
    filters: tuple[Filter, ...]
    window: Window | None
    features: tuple[str, ...]  # ids; none: all


@dataclass(frozen=True, slots=True)
class Known:
    """The documents that a question is about."""

    features: Mapping[str, Document]  # those asked for, by their meter
    meters: Mapping[str, Meter]
    held: tuple[str, ...]  # the customer's subscriptions
    zone: str  # the customer's own


@dataclass(slots=True)
class Cell:
    """What one price bills in one group."""

    quantity: Decimal = ZERO
    events: int = 0
    points: dict[datetime, Amount] = field(default_factory=dict[datetime, Amount])


Cells = dict[tuple[str, Group], Cell]  # by the price's key ("": none bills it) and group


class Analytics:
    """
    The usage of one environment's customers, with what it costs them.

    An item is what one price bills in one group. Its cost is the price's charge, shared out by
    quantity where units differ. What no price bills is listed with `unpriced`, and costs nothing.
    """

    def __init__(self, store: Store, billing: Billing, environment: str = "") -> None:
        self._store = store
        self._billing = billing
        self._environment = environment

    def answer(self, fields: Fields, now: datetime) -> dict[str, Any]:
        """Answer a request in Flexprice's fields."""
        asked = _asked(fields, now)
        known = self._known(asked)
        contracts = [self._billing.contract(subscription_id) for subscription_id in known.held]
        items = [i for one in contracts for i in self._sold(one, asked, known.features)]
        if not contracts:
            items = list(self._unsold(known.meters, (asked, known.zone), known.features))
        currency = contracts[0].currency if contracts else "usd"
        costs = [Decimal(i["total_cost"]) for i in items if i["currency"] == currency]
        total = plain(plus(costs))
        told = {"subtotal": total, "total_discount": "0", "total_cost": total}
        return {**told, "currency": currency, "items": items, "custom_analytics": []}

    def _known(self, asked: Asked) -> Known:
        """Look up what a question is about."""
        with self._store.reading() as connection:
            documents = Documents(connection, self._environment)
            features = {str(f.body.get("meter_id")): f for f in documents.all("feature")}
            meters = {m.id: rating_meter(m) for m in documents.all("meter")}
            customer = documents.by_lookup_key("customer", asked.customer)
            parent = "" if customer is None else customer.id
            held = tuple(d.id for d in documents.all("subscription", parent=parent))
        zone = "" if customer is None else reading.text(customer.body, "timezone")
        wanted = asked.features
        kept = {m: f for m, f in features.items() if not wanted or f.id in wanted}
        return Known(kept, meters, held, zone or "UTC")

    def _sold(
        self, contract: Contract, asked: Asked, features: Mapping[str, Document]
    ) -> Iterator[dict[str, Any]]:
        period = asked.period.within(contract.start, contract.end)
        if period is None:
            return
        by_meter: dict[str, list[Item]] = {}
        for item in contract.usage_items():
            if item.price.meter_id in features or not asked.features:
                by_meter.setdefault(item.price.meter_id, []).append(item)
        charged = {} if asked.filters else self._charged(contract, period)
        for meter_id, items in by_meter.items():
            meter, prices = contract.meters[meter_id], [i.price for i in items]
            query = _query(meter, asked, period, contract.zone)
            charged |= self._filtered(query, prices) if asked.filters else {}
            cells = self._cells(query, prices, asked)
            shown = Shown(meter, features.get(meter_id), asked, contract)
            for item in items:
                yield from shown.priced(item, cells, charged.get(item.price.key, ZERO))
            yield from shown.unpriced(cells)

    def _unsold(
        self, meters: Mapping[str, Meter], how: tuple[Asked, str], features: Mapping[str, Document]
    ) -> Iterator[dict[str, Any]]:
        """List the usage of a customer without a subscription, by the clock of a zone."""
        asked, zone = how
        for meter_id, meter in meters.items():
            if meter_id in features or not asked.features:
                query = _query(meter, asked, asked.period, zone)
                cells = self._cells(query, (), asked)
                yield from Shown(meter, features.get(meter_id), asked, None).unpriced(cells)

    def _charged(self, contract: Contract, period: Period) -> dict[str, Decimal]:
        charges, _ = rate_usage(self._store, contract, period, self._environment)
        found: dict[str, Decimal] = {}
        for charged in charges:
            key = charged.charge.price.key
            found[key] = plus((found.get(key, ZERO), charged.charge.unrounded))
        return found

    def _filtered(self, query: MeterQuery, prices: Sequence[Price]) -> dict[str, Decimal]:
        """Price some of the events by themselves: without allowances and commitments."""
        found = assignments(self._store, query, prices, self._environment).by_price
        period = Period(query.start, query.end)
        return {p.key: rate(p, measurement_of(found[p.key], period)).unrounded for p in prices}

    def _cells(self, query: MeterQuery, prices: Sequence[Price], asked: Asked) -> Cells:
        """Count by price and group; a cell's quantity is that of the whole time, as it counts."""
        grouped = replace(query, group_by=asked.names)
        found: Cells = {}
        for key, counted in by_price(self._store, grouped, prices, self._environment):
            found[key, tuple(counted.group.values())] = Cell(counted.quantity, counted.events)
        if asked.window is not None:
            windows = replace(grouped, window=asked.window)
            for key, counted in by_price(self._store, windows, prices, self._environment):
                cell = found[key, tuple(counted.group.values())]
                if counted.window_start is not None:
                    cell.points[counted.window_start] = (counted.quantity, counted.events)
        return found


def _query(meter: Meter, asked: Asked, period: Period, zone: str) -> MeterQuery:
    customers = (asked.customer,)
    return MeterQuery(meter, customers, period.start, period.end, filters=asked.filters, zone=zone)


@dataclass(frozen=True, slots=True)
class Shown:
    """Writes the items of one meter."""

    meter: Meter
    feature: Document | None
    asked: Asked
    contract: Contract | None

    def priced(self, item: Item, cells: Cells, charged: Decimal) -> Iterator[dict[str, Any]]:
        """Write what a line item's price bills, an item for each group; nothing used is one."""
        price = item.price
        own = {group: cell for (key, group), cell in cells.items() if key == price.key}
        whole = plus(cell.quantity for cell in own.values())
        share = Share(price, charged, whole)
        for group, cell in (own or {(None,) * len(self.asked.names): Cell()}).items():
            line = {"price_id": price.price_id, "sub_line_item_id": item.id}
            yield {**self._item(group, cell, share), **line}

    def unpriced(self, cells: Cells) -> Iterator[dict[str, Any]]:
        """Write what no price bills."""
        for (key, group), cell in cells.items():
            if not key and cell.quantity:
                yield {**self._item(group, cell, Share(None, ZERO, ZERO)), "unpriced": True}

    def _item(self, group: Group, cell: Cell, share: Share) -> dict[str, Any]:
        named = dict(zip(self.asked.names, group, strict=True))
        source = named.pop(SOURCE, None)
        feature = {} if self.feature is None else self.feature.body
        contract = self.contract
        return {
            "feature_id": "" if self.feature is None else self.feature.id,
            "name": feature.get("name", self.meter.name),
            "unit": feature.get("unit_singular", ""),
            "unit_plural": feature.get("unit_plural", ""),
            "meter_id": self.meter.meter_id,
            "event_name": self.meter.event_name,
            "aggregation_type": self.meter.aggregation.kind.value,
            "subscription_id": "" if contract is None else contract.subscription_id,
            "external_customer_id": self.asked.customer,
            "properties": {name: value for name, value in named.items() if value is not None},
            "source": source or "",
            "total_usage": plain(cell.quantity),
            "total_cost": plain(share.of(cell.quantity)),
            "subtotal": plain(share.of(cell.quantity)),
            "total_discount": "0",
            "currency": "usd" if contract is None else contract.currency,
            "event_count": cell.events,
            "window_size": None if self.asked.window is None else self.asked.window.value,
            "points": [_point(at, cell.points[at], share) for at in sorted(cell.points)],
        }


@dataclass(frozen=True, slots=True)
class Share:
    """A price's charge, and how it is shared out by quantity."""

    price: Price | None
    charged: Decimal
    whole: Decimal

    def of(self, quantity: Decimal) -> Decimal:
        """Tell a quantity's part of the charge: exact where every unit costs the same."""
        model = None if self.price is None else self.price.money_model
        if isinstance(model, FlatFee) and times(model.amount, self.whole) == self.charged:
            return times(model.amount, quantity)
        return divided(times(self.charged, quantity), self.whole) if self.whole else ZERO


def _point(at: datetime, amount: Amount, share: Share) -> dict[str, Any]:
    quantity, events = amount
    cost = plain(share.of(quantity))
    told = {"usage": plain(quantity), "cost": cost, "event_count": events}
    return {"timestamp": rfc3339(at), **told}


def _asked(fields: Fields, now: datetime) -> Asked:
    end = reading.bound(fields, "end_time") or now
    start = reading.bound(fields, "start_time") or end - LOOK_BACK
    if end < start:
        raise ValidationError("end_time lies before start_time.")
    window = reading.text(fields, "window_size")
    return Asked(
        reading.needed(fields, "external_customer_id"),
        Period(start, end),
        tuple(_names(reading.texts(fields, "group_by"))),
        _filters(fields),
        window_of(window) if window else None,
        reading.texts(fields, "feature_ids"),
    )


def _filters(fields: Fields) -> tuple[Filter, ...]:
    wanted = {k: v for k, v in reading.mapping(fields, "property_filters").items() if v}
    sources = reading.texts(fields, "sources")
    return (*define_filters(wanted), *((Filter(SOURCE, sources),) if sources else ()))


def _names(group_by: Sequence[str]) -> Iterator[str]:
    for name in dict.fromkeys(group_by):
        if not _FIELD.fullmatch(name):
            raise ValidationError("group_by: a name has letters, digits, _ and dots.")
        if name.startswith(PROPERTY) and name != PROPERTY:
            yield name.removeprefix(PROPERTY)
        elif name == "source":
            yield SOURCE
        elif name != "feature_id":  # every item is of one feature
            raise ValidationError("group_by: group by feature_id, source or properties.<name>.")
