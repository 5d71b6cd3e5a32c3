"""Price units: a currency of the seller's own, such as credits."""

from __future__ import annotations

from typing import Any

from tokenmeter.engine.definitions import reading
from tokenmeter.engine.definitions.reading import Fields
from tokenmeter.engine.definitions.registry import Draft, Kind, Registry, changed
from tokenmeter.engine.errors import AlreadyExistsError, ValidationError
from tokenmeter.engine.store.documents import Document
from tokenmeter.rating.price import CURRENCY_CHARS, PriceUnit
from tokenmeter.rating.rounding import ZERO, plain


def rating_unit(document: Document) -> PriceUnit:
    """Build the price unit that converts, from its document."""
    body = document.body
    rate = reading.amount(body, "conversion_rate") or ZERO
    return PriceUnit(body["code"], body["base_currency"], rate)


def unit_by_code(registry: Registry, code: str) -> Document | None:
    """Find a price unit by its code, in any case."""
    units = registry.documents.all("price_unit")
    return next((u for u in units if u.body["code"].lower() == code.lower()), None)


def _make(registry: Registry, fields: Fields) -> Draft:
    currency = reading.needed(fields, "base_currency").lower()
    if len(currency) != CURRENCY_CHARS or not currency.isalpha():
        raise ValidationError("base_currency has three letters.")
    rate = reading.amount(fields, "conversion_rate")
    if rate is None:
        raise ValidationError("conversion_rate is required.")
    unit = PriceUnit(reading.needed(fields, "code"), currency, rate)
    if unit_by_code(registry, unit.code) is not None:
        raise AlreadyExistsError(f"A price unit {unit.code!r} exists already; take another code.")
    body: dict[str, Any] = {
        "name": reading.needed(fields, "name"),
        "code": unit.code,
        "symbol": reading.needed(fields, "symbol"),
        "base_currency": currency,
        "conversion_rate": plain(rate),
        "metadata": reading.metadata(fields),
    }
    return Draft(body, unit.code)


def _change(_registry: Registry, document: Document, fields: Fields) -> Draft:
    """Change what does not bear on prices: the name and the metadata."""
    changes: dict[str, Any] = {}
    if fields.get("name") is not None:
        changes["name"] = reading.needed(fields, "name")
    if fields.get("metadata") is not None:
        changes["metadata"] = reading.metadata(fields)
    return changed(document, changes)


PRICE_UNIT = Kind("price_unit", "price_unit", _make, _change)
