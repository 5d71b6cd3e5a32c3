"""Line items: the prices that a subscription bills, each from when to when."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from tokenmeter.engine.clock import rfc3339
from tokenmeter.engine.definitions import reading
from tokenmeter.engine.definitions.prices import PRICE, is_billed, rating_price, rating_units
from tokenmeter.engine.definitions.reading import Fields
from tokenmeter.engine.definitions.registry import Draft, Registry, changed, shown
from tokenmeter.engine.errors import InvalidOperationError, ValidationError
from tokenmeter.engine.ids import new_id
from tokenmeter.engine.price_versions import version_at
from tokenmeter.engine.store.documents import Document, Documents
from tokenmeter.engine.store.rows import microseconds
from tokenmeter.engine.subscription_terms import fits, overrides_price, overriding
from tokenmeter.engine.unsold import refuse_unsold
from tokenmeter.rating.commitment import Commitment, CommitmentType, commitment_type_of
from tokenmeter.rating.filters import check_unambiguous
from tokenmeter.rating.rounding import ONE, ZERO, plain

LINE_ITEM = "line_item"
_AMOUNTS = ("commitment_amount", "commitment_quantity", "commitment_overage_factor")


def line_item(
    registry: Registry, subscription: Document, price: Document, fields: Fields
) -> Document:
    """Make the document of a line item; a fixed price has a quantity, usage is counted."""
    body = price.body
    _check(subscription, price, fields)
    start = reading.moment(fields, "start_date") or reading.moment(subscription.body, "start_date")
    end = reading.moment(fields, "end_date")
    if start is not None and end is not None and end <= start:
        raise ValidationError("end_date: a line item cannot end before it starts.")
    made: dict[str, Any] = {
        "subscription_id": subscription.id,
        "price_id": price.id,
        "price_type": body["type"],
        "meter_id": body.get("meter_id") or "",
        "display_name": body.get("display_name") or body.get("lookup_key") or "",
        "quantity": plain(_quantity(price, fields)),
        "currency": body["currency"],
        "billing_period": body["billing_period"],
        "invoice_cadence": body["invoice_cadence"],
        "start_date": None if start is None else rfc3339(start),
        "end_date": None if end is None else rfc3339(end),
        **_promise(fields),
    }
    now_us = microseconds(registry.now)
    return Document(
        LINE_ITEM,
        new_id("subs_line"),
        made,
        parent=subscription.id,
        created_us=now_us,
        updated_us=now_us,
    )


def ended(held: Document, fields: Fields, now: datetime) -> Draft:
    """End a line item at `effective_from`, or now; what has ended by then stays as it is."""
    start, end = (reading.moment(held.body, name) for name in ("start_date", "end_date"))
    at = reading.moment(fields, "effective_from") or max(now, start or now)
    if end is not None and end <= at:
        raise InvalidOperationError(f"The line item has ended already, at {rfc3339(end)}.")
    if start is not None and at < start:
        raise ValidationError("effective_from: a line item cannot end before it starts.")
    return changed(held, {"end_date": rfc3339(at)})


def replaced(
    registry: Registry, subscription: Document, held: Document, fields: Fields
) -> Document:
    """End a line item and begin one in its place, until the one before it would have ended."""
    until = held.body["end_date"]
    before = registry.put(held, ended(held, fields, registry.now))
    start = before.body["end_date"]
    price = registry.get("price", str(held.body["price_id"]))
    if overrides_price(fields):
        known = registry.documents.all("price", parent=price.parent, status=None)
        at = reading.moment(before.body, "end_date") or registry.now
        own = overriding(version_at(price, known, at), fields, subscription)
        price = registry.create(PRICE, {**own, "start_date": start})
    following = {**before.body, **fields, "start_date": start, "end_date": until}
    made = line_item(registry, subscription, price, following)
    root = {"root_line_item_id": held.body.get("root_line_item_id") or held.id}
    return registry.documents.insert(replace(made, body={**made.body, **root}))


def _check(subscription: Document, price: Document, fields: Fields) -> None:
    refuse_unsold(fields)
    rhythm = subscription.body["billing_period"]
    if reading.text(fields, "commitment_duration") not in ("", rhythm):
        raise ValidationError(
            f"commitment_duration: a line item's commitment lasts one period here, {rhythm}."
        )
    own, whole = price.body["currency"], subscription.body["currency"]
    if own != whole:
        raise ValidationError(
            f"price_id: the price is in {own.upper()}, the subscription in {whole.upper()}."
        )
    if price.body["type"] == "FIXED" and not fits(price.body, subscription.body):
        told, rhythm = (_every(body) for body in (price.body, subscription.body))
        raise ValidationError(
            f"price_id: a price for {told} does not go into a subscription billed for {rhythm}."
        )


def _every(body: Fields) -> str:
    count = reading.whole(body, "billing_period_count") or 1
    return f"{body['billing_period']}{f' x {count}' if count > 1 else ''}"


def _promise(fields: Fields) -> dict[str, Any]:
    """Return the fields of a commitment as they are kept: decimals as text."""
    commitment_of(fields)
    amounts = {name: reading.amount(fields, name) for name in _AMOUNTS}
    kept = {name: plain(value) for name, value in amounts.items() if value is not None}
    return {**kept, **reading.given(fields, ("commitment_type", "commitment_true_up_enabled"))}


def commitment_of(body: Fields) -> Commitment | None:
    """Read a line item's own commitment."""
    kind = commitment_type_of(reading.text(body, "commitment_type") or "amount")
    name = "commitment_quantity" if kind is CommitmentType.QUANTITY else "commitment_amount"
    value = reading.amount(body, name)
    if value is None:
        return None
    factor = reading.amount(body, "commitment_overage_factor")
    true_up = reading.flag(body, "commitment_true_up_enabled", default=False)
    return Commitment(value, kind, ONE if factor is None else factor, true_up)


def price_in(registry: Registry, subscription: Document, fields: Fields) -> Document:
    """Find the price that a request names, or make the one that it describes."""
    described = reading.mapping(fields, "price")
    if not described or reading.key(fields, "price_id"):
        return registry.referred("price", reading.needed(fields, "price_id"), "price_id")
    own = {"entity_type": "SUBSCRIPTION", "entity_id": subscription.id}
    currency = subscription.body["currency"]
    return registry.create(PRICE, {"currency": currency, **described, **own})


def line_items_of(documents: Documents, subscription_id: str) -> Sequence[Document]:
    """Return the line items of a subscription, the oldest first."""
    return documents.all(LINE_ITEM, parent=subscription_id)


def billed(documents: Documents, subscription_id: str) -> frozenset[str]:
    """Name the prices that a subscription bills, and those they stand for."""
    prices = [str(i.body["price_id"]) for i in line_items_of(documents, subscription_id)]
    found = [documents.get("price", price_id) for price_id in prices]
    return frozenset({*prices, *(str(p.body.get("parent_price_id") or p.id) for p in found)})


def at_one_time(known: Sequence[Document], made: Document) -> list[Document]:
    """Find the line items that bill at the same time as a new one, if only for a while."""
    return [i for i in known if _begins_before_end(i, made) and _begins_before_end(made, i)]


def _begins_before_end(one: Document, other: Document) -> bool:
    start, end = reading.moment(one.body, "start_date"), reading.moment(other.body, "end_date")
    return start is None or end is None or start < end


def refuse_ambiguous(documents: Documents, beside: Sequence[Document], price: Document) -> None:
    """Refuse a price that bills the same events, with equal right, as one beside it."""
    meter = price.body.get("meter_id")
    same = [str(i.body["price_id"]) for i in beside if meter and i.body["meter_id"] == meter]
    units = rating_units(documents)
    others = [p for p in (documents.get("price", i) for i in same) if is_billed(p)]
    check_unambiguous([rating_price(p, units) for p in (*others, price)])


def expanded(registry: Registry, body: Mapping[str, Any], names: Container[str]) -> dict[str, Any]:
    """Show a subscription's plan, customer and prices in full, those that are named."""
    found = dict(body)
    for name in ("plan", "customer"):
        if name in names or f"{name}s" in names:
            found[name] = shown(registry.get(name, body[f"{name}_id"]))
    if "prices" in names or "price" in names:
        items = body["line_items"]
        found["line_items"] = [
            {**item, "price": shown(registry.get("price", item["price_id"]))} for item in items
        ]
    return found


def _quantity(price: Document, fields: Fields) -> Any:
    if price.body["type"] == "USAGE":
        return ZERO
    given = reading.amount(fields, "quantity")
    if given is not None and given < 0:
        raise ValidationError("quantity is at least 0.")
    least = reading.amount(price.body, "min_quantity") or ZERO
    return max(ONE if given is None else given, least)
