"""Cost sheets: provider cost by meter, beside the revenue of the same time; Flexprice's answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from tokenmeter.engine.billing import Billing
from tokenmeter.engine.clock import rfc3339
from tokenmeter.engine.definitions import reading
from tokenmeter.engine.definitions.meters import rating_meter
from tokenmeter.engine.definitions.prices import rating_price, rating_units
from tokenmeter.engine.definitions.reading import Fields
from tokenmeter.engine.errors import ValidationError
from tokenmeter.engine.margin import charged_in, contracts, percent
from tokenmeter.engine.metering import MeterQuery, Quantity, assignments
from tokenmeter.engine.store.documents import Documents
from tokenmeter.engine.store.protocol import Store
from tokenmeter.rating.adjust import rate
from tokenmeter.rating.aggregation import Bucket, Measurement
from tokenmeter.rating.define import define_filters
from tokenmeter.rating.meter import Meter
from tokenmeter.rating.price import Price
from tokenmeter.rating.rounding import ZERO, divided, minus, plain, plus
from tokenmeter.rating.windows import Period

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def cost_analytics(
    store: Store, billing: Billing, fields: Fields, environment: str
) -> dict[str, Any]:
    """
    Rate usage by the active cost sheet and set the revenue beside it; nothing is rounded.

    The sheet's `filter_values` choose the price as a plan's do. `property_filters` and
    `feature_ids` restrict the cost; the revenue is the customer's, or everybody's.
    """
    period = _period(fields)
    customer = reading.text(fields, "external_customer_id")
    with store.reading() as connection:
        documents = Documents(connection, environment)
        meters, prices = _sheet(documents, fields)
    rows: list[dict[str, Any]] = []
    for meter_id, several in prices.items():
        asked = MeterQuery(
            meters[meter_id],
            (customer,) if customer else None,
            period.start,
            period.end,
            define_filters(reading.mapping(fields, "property_filters")),
        )
        found = assignments(store, asked, several, environment).by_price
        rows += [_row(meters[meter_id], p, found[p.key]) for p in several]
    revenues = _revenues(store, billing, period, customer, environment)
    return _answer(rows, revenues, period)


def _period(fields: Fields) -> Period:
    start, end = reading.bound(fields, "start_time"), reading.bound(fields, "end_time")
    if start is None or end is None:
        raise ValidationError("start_time and end_time are required.")
    if end < start:
        raise ValidationError("end_time: it lies before start_time.")
    return Period(start, end)


def _sheet(
    documents: Documents, fields: Fields
) -> tuple[dict[str, Meter], dict[str, list[Price]]]:
    """Read the active cost sheet: the one that was made last."""
    sheets: Sequence[Any] = documents.all("costsheet")
    wanted = set(reading.texts(fields, "feature_ids"))
    features = [f for f in documents.all("feature") if f.id in wanted]
    only = {str(f.body.get("meter_id")) for f in features}
    units = rating_units(documents)
    prices: dict[str, list[Price]] = {}
    for document in documents.all("price", parent=sheets[-1].id) if sheets else ():
        price = rating_price(document, units)
        if price.meter_id and (not wanted or price.meter_id in only):
            first = not document.body.get("parent_price_id")
            prices.setdefault(price.meter_id, []).append(_ever(price) if first else price)
    return {m.id: rating_meter(m) for m in documents.all("meter", status=None)}, prices


def _ever(price: Price) -> Price:
    """A cost holds for usage of before it was written down, too; a later version does not."""
    return replace(price, start=None)


def _row(meter: Meter, price: Price, quantity: Quantity) -> dict[str, Any]:
    buckets = quantity.buckets
    parts = None if buckets is None else tuple(Bucket(_EPOCH, "", b) for b in buckets)
    cost = rate(price, Measurement(quantity.quantity, parts)).unrounded
    return {
        "meter_id": meter.meter_id,
        "meter_name": meter.name,
        "price_id": price.price_id,
        "filter_values": {f.key: list(f.values) for f in price.filters},
        "total_cost": plain(cost),
        "total_quantity": plain(quantity.quantity),
        "total_events": quantity.events,
        "currency": price.currency,
    }


def _revenues(
    store: Store, billing: Billing, period: Period, customer: str, environment: str
) -> dict[str, Decimal]:
    """Add up what is charged, by currency."""
    found: dict[str, Decimal] = {}
    for contract in contracts(store, billing, customer, environment):
        held = period.within(contract.start, contract.end)
        if held is not None:
            charges = charged_in(store, contract, held, environment)
            amounts = (c.charge.unrounded for c in charges)
            found[contract.currency] = plus((found.get(contract.currency, ZERO), *amounts))
    return found


def _answer(
    rows: Sequence[Mapping[str, Any]], revenues: Mapping[str, Decimal], period: Period
) -> dict[str, Any]:
    """Set cost and revenue of one currency beside each other: the cost's, if there is one."""
    currencies = list(dict.fromkeys((*(row["currency"] for row in rows), *revenues)))
    currency = currencies[0] if currencies else "usd"
    cost = plus(Decimal(row["total_cost"]) for row in rows if row["currency"] == currency)
    revenue = revenues.get(currency, ZERO)
    margin = minus(revenue, cost)
    roi = divided(margin, cost) if cost else ZERO
    return {
        "cost_analytics": list(rows),
        "total_revenue": plain(revenue),
        "total_cost": plain(cost),
        "margin": plain(margin),
        "margin_percent": plain(percent(margin, revenue)),
        "roi": plain(roi),
        "roi_percent": plain(percent(margin, cost)),
        "currency": currency,
        "other_currencies": currencies[1:],  # of which nothing is in the totals
        "start_time": rfc3339(period.start),
        "end_time": rfc3339(period.end),
    }
