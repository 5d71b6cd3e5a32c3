"""What a request says of a new subscription."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from tokenmeter.engine.clock import rfc3339
from tokenmeter.engine.definitions import reading
from tokenmeter.engine.definitions.reading import Fields
from tokenmeter.engine.definitions.registry import Registry
from tokenmeter.engine.errors import ValidationError
from tokenmeter.engine.rhythm import current_period, cycle_of, start_of
from tokenmeter.engine.store.documents import Document
from tokenmeter.engine.unsold import refuse_unsold
from tokenmeter.rating.commitment import Commitment
from tokenmeter.rating.periods import BillingPeriod, billing_period_of, calendar_anchor
from tokenmeter.rating.rounding import ONE, plain
from tokenmeter.rating.windows import zone_of

CYCLES = ("anniversary", "calendar")
OVERRIDDEN = (
    *("amount", "billing_model", "tier_mode", "tiers", "transform_quantity"),
    *("price_unit_amount", "price_unit_tiers"),
)
_AMOUNTS = ("commitment_amount", "overage_factor")
_EVER = datetime.min.replace(tzinfo=UTC)
_PROMISES = {  # of a price within a subscription's request: as a line item names it
    "enable_true_up": "commitment_true_up_enabled",
    "overage_factor": "commitment_overage_factor",
}


def rhythm_in(registry: Registry, customer: Document, fields: Fields) -> dict[str, Any]:
    """Read when a subscription is billed: currency, period, cycle, anchor, end."""
    currency = reading.needed(fields, "currency").lower()
    period = billing_period_of(reading.needed(fields, "billing_period"))
    cycle = reading.choice(fields, "billing_cycle", CYCLES, "anniversary")
    start = reading.beginning(fields, "start_date") or registry.now
    start = whole_ms(start)
    zone = zone_of(reading.text(customer.body, "timezone"))
    anchor = reading.beginning(fields, "billing_anchor") or start
    if cycle == "calendar":
        anchor = calendar_anchor(start, period, zone)
    end = reading.moment(fields, "end_date")
    body = {
        "currency": currency,
        "billing_period": period.value,
        "billing_period_count": reading.whole(fields, "billing_period_count", least=1) or 1,
        "billing_cycle": cycle,
        "start_date": rfc3339(start),
        "end_date": None if end is None else rfc3339(after(end, start)),
        "billing_anchor": rfc3339(anchor),
    }
    cycle_of({**body, "timezone": reading.text(customer.body, "timezone")})
    return body


def commitment_in(fields: Fields) -> dict[str, Any]:
    """Read what a subscription promises to use."""
    found = {name: reading.amount(fields, name) for name in _AMOUNTS}
    if found["commitment_amount"]:
        Commitment(found["commitment_amount"], overage_factor=found["overage_factor"] or ONE)
    duration = reading.text(fields, "commitment_duration")
    if duration:
        billing_period_of(duration)
    kept = {name: plain(value) for name, value in found.items() if value is not None}
    return {**kept, **({"commitment_duration": duration} if duration else {})}


def overrides_price(fields: Fields) -> bool:
    """Tell whether a request asks for another price than the one that it names."""
    return any(fields.get(name) is not None for name in OVERRIDDEN)


def overriding(price: Document, own: Fields, subscription: Document) -> dict[str, Any]:
    """Return the fields of a price of the subscription's own: what is not given is inherited."""
    config = dict(reading.mapping(price.body, "price_unit_config"))
    if own.get("price_unit_amount") is not None:
        config["amount"] = own["price_unit_amount"]
    if own.get("price_unit_tiers") is not None:
        config["price_unit_tiers"] = own["price_unit_tiers"]
    return {
        **{k: v for k, v in price.body.items() if k not in {"lookup_key", "id"}},
        **reading.given(own, OVERRIDDEN),
        "price_unit_config": config or None,
        "display_name": price.body.get("display_name") or price.body.get("lookup_key"),
        "entity_type": "SUBSCRIPTION",
        "entity_id": subscription.id,
        "parent_price_id": price.id,
        "start_date": subscription.body["start_date"],
        "end_date": None,
    }


def included(fields: Fields, prices: Sequence[Document]) -> Sequence[Document]:
    """Choose the plan's prices that `include_price_ids` names; all where there is no such list."""
    if fields.get("include_price_ids") is None:
        return prices
    named = set(reading.texts(fields, "include_price_ids"))
    unknown = named - {price.id for price in prices}
    if unknown:
        raise ValidationError(
            f"include_price_ids: {min(unknown)!r} is no price of this plan that fits."
        )
    return [price for price in prices if price.id in named]


def first_versions(prices: Sequence[Document]) -> Sequence[Document]:
    """Keep of each price the version that is in force first; those that follow it come with it."""
    by_start = sorted(prices, key=lambda p: reading.moment(p.body, "start_date") or _EVER)
    first: dict[str, Document] = {}
    for price in by_start:
        first.setdefault(str(price.body.get("parent_price_id") or price.id), price)
    kept = {price.id for price in first.values()}
    return [price for price in prices if price.id in kept]


def fits(price: Fields, subscription: Fields) -> bool:
    """Tell whether a price's period goes into a subscription's; usage is billed with any count."""
    own, whole = (billing_period_of(body["billing_period"]) for body in (price, subscription))
    if own is BillingPeriod.ONETIME:
        return True
    if own is not whole and not whole.is_multiple_of(own):
        return False
    lengths = [
        (period.months or 1) * (reading.whole(body, "billing_period_count") or 1)
        for period, body in ((own, price), (whole, subscription))
    ]
    return price["type"] == "USAGE" or lengths[1] % lengths[0] == 0


def is_on(price: Document, now: datetime) -> bool:
    """Tell whether a price has not ended."""
    end = reading.moment(price.body, "end_date")
    return end is None or end > now


def after(end: datetime, start: datetime) -> datetime:
    """
    Return an end that lies after the start; refuse another.

    In whole milliseconds, as starts are: one that begins then bills nothing that this one does.
    """
    if end <= start:
        raise ValidationError("end_date: a subscription cannot end before it starts.")
    return max(whole_ms(end), start + timedelta(milliseconds=1))


def whole_ms(at: datetime) -> datetime:
    """Cut a time to milliseconds."""
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


def cancelled_at(body: Fields, fields: Fields, now: datetime) -> datetime:
    """
    Read when a cancelled subscription ends: with its period, at `cancel_at`, or now.

    As at Flexprice, not before the running period: what came before it is invoiced.
    """
    if reading.text(fields, "proration_behavior") not in ("", "none"):
        raise ValidationError(
            "proration_behavior: nothing is given back here for a fixed price that was paid in "
            "advance; leave it out, or send none."
        )
    running = current_period(body, now)
    if reading.flag(fields, "cancel_at_period_end", default=False):
        return running.end
    at = reading.moment(fields, "cancel_at")
    if at is not None and at <= running.start:
        raise ValidationError(
            f"cancel_at lies after the start of the running period, {rfc3339(running.start)}."
        )
    return at or now


def new_end(body: Fields, fields: Fields, now: datetime) -> dict[str, Any]:
    """Read another end of a subscription: `end_date`, `cancel_at`, or that of its period."""
    if reading.text(fields, "status") not in ("", body["subscription_status"]):
        raise ValidationError("status: cancel the subscription to end it.")
    cancelled = reading.moment(fields, "cancel_at")
    end = reading.moment(fields, "end_date") or cancelled
    found: dict[str, Any] = {} if cancelled is None else {"cancel_at": rfc3339(cancelled)}
    if fields.get("cancel_at_period_end") is not None:
        later = reading.flag(fields, "cancel_at_period_end", default=False)
        found["cancel_at_period_end"] = later
        if later:
            end = current_period(body, now).end
            found["cancel_at"] = rfc3339(end)
        elif end is None and body.get("cancel_at_period_end"):
            found |= {"end_date": None, "cancel_at": None}  # it was to end, and goes on
    return found if end is None else {**found, "end_date": rfc3339(after(end, start_of(body)))}


def own_terms(fields: Fields) -> dict[str, dict[str, Any]]:
    """Read what a subscription says of some prices of its plan, by what it names them."""
    found = {
        reading.needed(own, "price_id"): dict(own)
        for own in reading.objects(fields, "override_line_items")
    }
    promises = reading.mapping(fields, "line_item_commitments")
    for price in promises:
        own = reading.mapping(promises, price)
        refuse_unsold(own)
        renamed = {_PROMISES.get(name, name): value for name, value in own.items()}
        found[price] = {"price_id": price, **found.get(price, {}), **renamed}
    return found
