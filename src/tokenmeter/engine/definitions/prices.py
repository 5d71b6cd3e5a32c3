"""Prices: checked as rating reads them, and kept as Flexprice writes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tokenmeter.engine.definitions import reading
from tokenmeter.engine.definitions.meters import meter_of
from tokenmeter.engine.definitions.reading import Fields
from tokenmeter.engine.definitions.registry import (
    Body,
    Draft,
    Kind,
    Registry,
    shown,
)
from tokenmeter.engine.definitions.units import rating_unit, unit_by_code
from tokenmeter.engine.errors import ValidationError
from tokenmeter.engine.store.documents import Document, Documents
from tokenmeter.event import timestamp_text
from tokenmeter.rating.define import Book, define_price
from tokenmeter.rating.filters import check_unambiguous
from tokenmeter.rating.models import FlatFee, Model, Package, Tier, Tiered
from tokenmeter.rating.price import Price, PriceUnit
from tokenmeter.rating.rounding import ZERO, plain

ENTITIES = {
    "PLAN": "plan",
    "SUBSCRIPTION": "subscription",
    "ADDON": "addon",
    "PRICE": "price",
    "COSTSHEET": "costsheet",
}
PRICES_MAX = 5_000  # active ones of one entity
SYMBOLS = {"usd": "$", "eur": "€", "gbp": "£", "jpy": "¥", "inr": "₹"}
_KEPT = ("billing_model", "billing_period", "invoice_cadence", "type", "tier_mode")
_DESCRIBED = ("description", "display_name", "group_id")


def rating_price(document: Document, units: Mapping[str, PriceUnit] | None = None) -> Price:
    """
    Build the price that rates, from its document.

    A price unit has the rate it had when the price was made, else that of `units`.
    """
    body = document.body
    known = dict(units or {})
    if body.get("conversion_rate"):
        rate = reading.amount(body, "conversion_rate") or ZERO
        known[body["price_unit"]] = PriceUnit(body["price_unit"], body["currency"], rate)
    return define_price({**body, "id": document.id}, Book(known))


def is_billed(document: Document) -> bool:
    """Tell whether a price is ever in force: one that was taken back before its start is not."""
    start, end = (reading.moment(document.body, name) for name in ("start_date", "end_date"))
    return start is None or end is None or start < end


def rating_units(documents: Documents) -> dict[str, PriceUnit]:
    """Build every price unit, by its code."""
    units = (rating_unit(document) for document in documents.all("price_unit"))
    return {unit.code: unit for unit in units}


def _make(registry: Registry, fields: Fields) -> Draft:
    entity = _entity(registry, fields)
    meter = _meter(registry, fields)
    unit_document = _unit(registry, fields)
    unit = None if unit_document is None else rating_unit(unit_document)
    checked = {
        **fields,
        "id": reading.key(fields) or "the new price",
        "meter_id": "" if meter is None else meter.id,
        "start_date": reading.moment(fields, "start_date") or registry.now,
        "end_date": reading.moment(fields, "end_date"),
    }
    price = define_price(checked, Book({} if unit is None else {unit.code: unit}))
    if entity.kind != "subscription":  # line items know when each is in force, and are checked
        _check_beside(registry, price, registry.documents.all("price", parent=entity.id))
    body = {
        **_terms(fields, price),
        **_amounts(price),
        **_described(fields, meter, entity),
        "filter_values": {f.key: list(f.values) for f in price.filters},
        "entity_type": reading.text(fields, "entity_type"),
        "entity_id": entity.id,
    }
    if unit_document is not None:
        body["price_unit_id"] = unit_document.id
    return Draft(body, reading.key(fields), entity.id)


def _check_beside(registry: Registry, price: Price, others: Sequence[Document]) -> None:
    """Refuse a price that could bill the same events as another one of its entity."""
    if len(others) >= PRICES_MAX:
        raise ValidationError(f"There are {PRICES_MAX} prices already; end some first.")
    if not price.meter_id:
        return
    units = rating_units(registry.documents)
    for other in others:
        if other.body.get("meter_id") != price.meter_id:
            continue
        known = rating_price(other, units)
        if _place(known) == _place(price):
            check_unambiguous([known, price])


def _place(price: Price) -> tuple[object, ...]:
    return (price.currency, price.billing_period, price.billing_period_count)


def _entity(registry: Registry, fields: Fields) -> Document:
    kind = ENTITIES[reading.choice(fields, "entity_type", ENTITIES)]
    return registry.referred(kind, reading.needed(fields, "entity_id"), "entity_id")


def _meter(registry: Registry, fields: Fields) -> Document | None:
    reference = reading.text(fields, "meter_id", limit=reading.KEY_CHARS_MAX)
    return meter_of(registry, reference) if reference else None


def _unit(registry: Registry, fields: Fields) -> Document | None:
    kind = reading.choice(fields, "price_unit_type", ("FIAT", "CUSTOM"), default="FIAT")
    if kind == "FIAT":
        return None
    config = reading.mapping(fields, "price_unit_config")
    return unit_by_code(registry, reading.needed(config, "price_unit"))


def _terms(fields: Fields, price: Price) -> Body:
    transform = reading.mapping(fields, "transform_quantity")
    kept = {name: reading.text(fields, name) for name in _KEPT}
    return {
        **kept,
        "currency": price.currency,
        "price_unit_type": "FIAT" if price.unit is None else "CUSTOM",
        "billing_period": price.billing_period.value,
        "billing_period_count": price.billing_period_count,
        "billing_cadence": "RECURRING",
        "transform_quantity": _transform(price.model, transform),
        "min_quantity": plain(price.min_quantity) if price.min_quantity else None,
        "trial_period_days": reading.whole(fields, "trial_period_days") or 0,
        "start_date": None if price.start is None else timestamp_text(price.start),
        "end_date": None if price.end is None else timestamp_text(price.end),
    }


def _transform(model: Model, sent: Fields) -> Body:
    if isinstance(model, Package):
        reading.whole(sent, "divide_by", least=1)
        return {"divide_by": int(model.divide_by), "round": model.round}
    return dict(sent)


def _amounts(price: Price) -> Body:
    """Write the amounts in money and, where the price has a unit of its own, in that too."""
    money = price.money_model
    amount = _unit_amount(money)
    found: Body = {
        "amount": amount,
        "display_amount": SYMBOLS.get(price.currency, f"{price.currency.upper()} ") + amount,
        "tiers": _tiers(money),
    }
    if price.unit is not None:
        found |= {
            "price_unit": price.unit.code,
            "price_unit_config": {
                "price_unit": price.unit.code,
                "amount": _unit_amount(price.model),
                "price_unit_tiers": _tiers(price.model),
            },
            "price_unit_amount": _unit_amount(price.model),
            "price_unit_tiers": _tiers(price.model),
            "conversion_rate": plain(price.unit.conversion_rate),
        }
    return found


def _unit_amount(model: Model) -> str:
    return plain(model.amount) if isinstance(model, FlatFee | Package) else "0"


def _tiers(model: Model) -> list[Body] | None:
    return [_tier(t) for t in model.tiers] if isinstance(model, Tiered) else None


def _tier(tier: Tier) -> Body:
    return {
        "up_to": None if tier.up_to is None else _whole_or_text(tier),
        "unit_amount": plain(tier.unit_amount),
        "flat_amount": plain(tier.flat_amount),
    }


def _whole_or_text(tier: Tier) -> int | str:
    bound = tier.up_to or ZERO
    return int(bound) if bound == bound.to_integral_value() else plain(bound)


def _described(fields: Fields, meter: Document | None, entity: Document) -> Body:
    _refuse_unsold(fields)
    found: Body = {name: reading.text(fields, name) for name in _DESCRIBED}
    default = entity.body.get("name", "") if meter is None else meter.body["name"]
    return {
        **found,
        "display_name": found["display_name"] or default,
        "lookup_key": reading.key(fields) or "",
        "meter_id": "" if meter is None else meter.id,
        "parent_price_id": reading.text(fields, "parent_price_id"),
        "metadata": reading.metadata(fields),
    }


def _change(_registry: Registry, document: Document, fields: Fields) -> Draft:
    """Change what does not bear on the amount; the rest makes a new version."""
    body: Body = {**document.body}
    for name in (*_DESCRIBED, "lookup_key"):
        if fields.get(name) is not None:
            body[name] = reading.text(fields, name)
    if fields.get("metadata") is not None:
        body["metadata"] = reading.metadata(fields)
    return Draft(body, body["lookup_key"] or None, document.parent)


def _refuse_unsold(fields: Fields) -> None:
    if reading.whole(fields, "trial_period_days"):
        raise ValidationError("trial_period_days: there are no trials here; leave it out.")
    if reading.text(fields, "bucket_size"):
        raise ValidationError("bucket_size: a meter has buckets, not its price.")


def _expand(registry: Registry, body: Body) -> Body:
    document = registry.get("price", body["id"])
    if "display_amount" not in body and is_billed(document):  # a catalog file made it
        body = {**body, **_amounts(rating_price(document, rating_units(registry.documents)))}
    meter = registry.documents.find("meter", body.get("meter_id") or "")
    return body if meter is None else {**body, "meter": shown(meter)}


PRICE = Kind("price", "price", _make, _change, _expand)
