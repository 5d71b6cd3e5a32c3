"""A subscription as rating needs it: prices with the time each is in force, allowances."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from tokenmeter.engine.definitions import reading
from tokenmeter.engine.definitions.entitlements import rating_entitlement
from tokenmeter.engine.definitions.meters import rating_meter
from tokenmeter.engine.definitions.prices import rating_price, rating_units
from tokenmeter.engine.definitions.reading import Fields
from tokenmeter.engine.line_items import commitment_of, line_items_of
from tokenmeter.engine.price_versions import versions_of
from tokenmeter.engine.rhythm import cycle_of, start_of
from tokenmeter.engine.store.documents import Document, Documents
from tokenmeter.engine.store.rows import moment
from tokenmeter.rating.commitment import Commitment
from tokenmeter.rating.entitlement import Entitlement, combined
from tokenmeter.rating.meter import Meter
from tokenmeter.rating.periods import BillingPeriod, Cycle, billing_period_of
from tokenmeter.rating.price import Price, PriceType
from tokenmeter.rating.rounding import ONE, ZERO

_MADE = timedelta(seconds=1)  # a price that starts when it is made, starts with no intent


@dataclass(frozen=True, slots=True)
class Item:
    """A line item under one version of its price; the price's dates are the time both hold."""

    id: str
    root: str  # the line item that this one came in place of, at first; or its own id
    price: Price
    quantity: Decimal  # of a fixed price
    commitment: Commitment | None
    name: str


@dataclass(frozen=True, slots=True)
class Contract:
    """What one subscription bills, and how."""

    subscription_id: str
    customer_id: str
    external_id: str
    currency: str
    zone: str
    cycle: Cycle
    start: datetime
    end: datetime | None
    items: tuple[Item, ...]
    meters: Mapping[str, Meter]  # all of the environment, by id
    allowances: Mapping[str, Entitlement]  # by meter
    promise: Commitment | None
    promise_lasts: BillingPeriod | None  # None: one billing period
    features: Mapping[str, str]  # name of the feature, by meter

    def usage_items(self) -> list[Item]:
        """Return the items that bill usage."""
        return [i for i in self.items if i.price.type is PriceType.USAGE]

    def fixed_items(self) -> list[Item]:
        """Return the items that bill a fixed price."""
        return [i for i in self.items if i.price.type is PriceType.FIXED]


def read_contract(documents: Documents, subscription: Document) -> Contract:
    """Read everything that a subscription bills by."""
    body = subscription.body
    customer = documents.get("customer", body["customer_id"])
    parents = (str(body["plan_id"]), subscription.id)
    meters = {m.id: rating_meter(m) for m in documents.all("meter", status=None)}
    features = {f.id: f for f in documents.all("feature", status=None) if f.body.get("meter_id")}
    duration = reading.text(body, "commitment_duration")
    return Contract(
        subscription.id,
        customer.id,
        reading.text(customer.body, "external_id"),
        reading.text(body, "currency"),
        reading.text(body, "timezone") or "UTC",
        cycle_of(body),
        start_of(body),
        reading.moment(body, "end_date"),
        tuple(_apart(_items(documents, subscription))),
        meters,
        _allowances(documents, parents, features),
        _promise(body),
        billing_period_of(duration) if duration else None,
        {str(f.body["meter_id"]): str(f.body["name"]) for f in features.values()},
    )


def _items(documents: Documents, subscription: Document) -> Iterator[Item]:
    body = subscription.body
    prices = {p.id: p for p in documents.all("price", parent=str(body["plan_id"]), status=None)}
    prices |= {p.id: p for p in documents.all("price", parent=subscription.id, status=None)}
    units = rating_units(documents)
    end = reading.moment(body, "end_date")
    for line in line_items_of(documents, subscription.id):
        price_id = str(line.body["price_id"])
        first = prices.get(price_id) or documents.get("price", price_id)
        for version in versions_of(first, prices.values()):
            price = rating_price(version, units)
            begun = max(_known((_start(version), reading.moment(line.body, "start_date"))))
            over = min(
                _known((price.end, reading.moment(line.body, "end_date"), end)), default=None
            )
            if over is None or begun < over:
                quantity = reading.amount(line.body, "quantity")
                yield Item(
                    line.id,
                    str(line.body.get("root_line_item_id") or line.id),
                    replace(price, start=begun, end=over),
                    ONE if quantity is None else quantity,
                    commitment_of(line.body),
                    str(line.body.get("display_name") or price.display_name),
                )


def _apart(items: Iterable[Item]) -> Iterator[Item]:
    """Tell later line items of a price from its first one: each bills what its own time used."""
    known: set[str] = set()
    for item in items:
        price = item.price
        yield (
            replace(item, price=replace(price, item=item.id)) if price.price_id in known else item
        )
        known.add(price.price_id)


def _start(price: Document) -> datetime | None:
    """
    Tell from when a price is in force; None: ever since.

    A price that starts when it was made counts for usage of before, too: who writes a catalog
    today can bill the month that is running. A later version, or a date ahead, is meant.
    """
    start = reading.moment(price.body, "start_date")
    if start is None or price.body.get("parent_price_id"):
        return start
    return start if start > moment(price.created_us) + _MADE else None


def _known(moments: Iterable[datetime | None]) -> list[datetime]:
    return [m for m in moments if m is not None]


def _allowances(
    documents: Documents, parents: Iterable[str], features: Mapping[str, Document]
) -> dict[str, Entitlement]:
    held: dict[str, list[Entitlement]] = {}
    for parent in parents:
        for document in documents.all("entitlement", parent=parent):
            feature = features.get(str(document.body.get("feature_id")))
            if feature is not None:
                meter = str(feature.body["meter_id"])
                held.setdefault(meter, []).append(rating_entitlement(document))
    found = {meter: combined(several) for meter, several in held.items()}
    return {meter: one for meter, one in found.items() if one is not None}


def _promise(body: Fields) -> Commitment | None:
    """Read a subscription's commitment; one without a factor above 1 or a true-up has none."""
    amount = reading.amount(body, "commitment_amount") or ZERO
    factor = reading.amount(body, "overage_factor") or ONE
    true_up = reading.flag(body, "enable_true_up", default=False)
    if amount <= 0 or not (factor > 1 or true_up):
        return None
    return Commitment(amount, overage_factor=factor, true_up=true_up)
