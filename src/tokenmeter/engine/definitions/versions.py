"""New versions of prices: the old one ends where the new one starts."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from tokenmeter.engine.definitions import reading
from tokenmeter.engine.definitions.prices import PRICE
from tokenmeter.engine.definitions.reading import Fields
from tokenmeter.engine.definitions.registry import ARCHIVED, Draft, Registry
from tokenmeter.engine.errors import ValidationError
from tokenmeter.engine.store.documents import Document
from tokenmeter.event import timestamp_text

_UNIT_TIERS = "price_unit_tiers"
# A change of one of these makes a new price.
CRITICAL = (
    "amount",
    "billing_model",
    "tier_mode",
    "tiers",
    "transform_quantity",
    "price_unit_amount",
    _UNIT_TIERS,
)


def change_price(registry: Registry, document: Document, fields: Fields) -> Document:
    """Change a price, in place or, where the amount is concerned, from `effective_from` on."""
    if not any(fields.get(name) is not None for name in CRITICAL):
        return registry.update(PRICE, document, fields)
    at = reading.moment(fields, "effective_from") or registry.now
    ended = end_price(registry, document, at, free_key=True)
    return registry.create(PRICE, _next(ended, document, fields, at))


def end_price(
    registry: Registry, document: Document, at: datetime, *, free_key: bool = False
) -> Document:
    """End a price at a moment, which it does not cover any more."""
    start, end = reading.moment(document.body, "start_date"), _end(document)
    if start is not None and at < start:
        raise ValidationError("A price cannot end before it starts.")
    if end is not None and end <= registry.now:
        raise ValidationError("This price has ended already.")
    key = None if free_key else document.lookup_key
    ended = registry.put(document, _draft(document, {"end_date": timestamp_text(at)}, key))
    return registry.retire(ended, ARCHIVED) if at == start else ended  # which never was in force


def _draft(document: Document, changes: dict[str, Any], key: str | None) -> Draft:
    return Draft({**document.body, **changes}, key, document.parent)


def _end(document: Document) -> datetime | None:
    return reading.moment(document.body, "end_date")


def _next(ended: Document, before: Document, fields: Fields, at: datetime) -> dict[str, Any]:
    """Return the fields of the next version: those sent, and the others as they were."""
    sent = {name: value for name, value in fields.items() if value is not None}
    body = {**ended.body, **sent}
    if body.get("price_unit_type") == "CUSTOM":
        own = {"amount": sent.get("price_unit_amount"), "price_unit_tiers": sent.get(_UNIT_TIERS)}
        changed = {name: value for name, value in own.items() if value is not None}
        body["price_unit_config"] = {**body["price_unit_config"], **changed}
    return {
        **body,
        # A price of a catalog is shown by its key; without, it would get its plan's name.
        "display_name": body.get("display_name") or before.lookup_key,
        "entity_type": before.body["entity_type"],
        "entity_id": before.body["entity_id"],
        "start_date": timestamp_text(at),
        "end_date": before.body.get("end_date"),
        "parent_price_id": before.body.get("parent_price_id") or before.id,
    }
