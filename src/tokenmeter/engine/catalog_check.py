"""Check a catalog's entries as rating will read them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from tokenmeter.rating.define import Book, define_meter, define_price, number_in, text_in
from tokenmeter.rating.entitlement import Entitlement
from tokenmeter.rating.errors import RatingError
from tokenmeter.rating.filters import check_unambiguous
from tokenmeter.rating.grant import define_grant
from tokenmeter.rating.periods import reset_period_of
from tokenmeter.rating.price import Price, PriceUnit
from tokenmeter.rating.rounding import ZERO

if TYPE_CHECKING:
    from tokenmeter.engine.catalog_file import Entry

FEATURES = frozenset({"metered", "boolean", "static", "config"})


def check(entries: Sequence[Entry]) -> Iterator[tuple[Entry, RatingError]]:
    """Yield each entry that rating refuses, with the reason; stop at the first if you raise."""
    units: dict[str, PriceUnit] = {}
    beside: dict[tuple[object, ...], list[Price]] = {}
    types = {e.key: text_in(e.fields, "type") for e in entries if e.kind == "feature"}
    checks: dict[str, Callable[[Entry], object]] = {
        "price_unit": lambda e: units.update({e.key: define_unit(e)}),
        "meter": lambda e: define_meter(e.fields),
        "feature": _feature,
        "price": lambda e: _price(e, units, beside),
        "entitlement": lambda e: _entitlement(e, types),
        "credit_grant": lambda e: define_grant(e.fields),
    }
    for entry in sorted(entries, key=lambda e: e.kind == "price"):  # the units are known by then
        try:
            if entry.kind in checks:
                checks[entry.kind](entry)
        except RatingError as error:
            yield entry, error


def define_unit(entry: Entry) -> PriceUnit:
    """Build a price unit."""
    rate = number_in(entry.fields, "conversion_rate")
    return PriceUnit(entry.key, text_in(entry.fields, "base_currency"), rate or ZERO)


def _feature(entry: Entry) -> None:
    kind = text_in(entry.fields, "type")
    if kind not in FEATURES:
        raise RatingError(f"A feature is {', '.join(sorted(FEATURES))}.", field="type")
    if kind == "metered" and "meter_id" not in entry.refs:
        raise RatingError("A metered feature names its meter.", field="meter")
    if bool(entry.fields.get("unit_singular")) != bool(entry.fields.get("unit_plural")):
        raise RatingError("Give both names of the unit or none.", field="unit_singular")


def _price(
    entry: Entry, units: dict[str, PriceUnit], beside: dict[tuple[object, ...], list[Price]]
) -> None:
    _, meter = entry.refs.get("meter_id", ("", ""))
    price = define_price({**entry.fields, "id": entry.key, "meter_id": meter}, Book(units))
    if not meter:
        return
    place = (entry.refs.get("entity_id"), meter, price.currency, price.billing_period)
    held = beside.setdefault(place, [])
    for other in held:
        check_unambiguous([other, price])
    held.append(price)


def _entitlement(entry: Entry, types: dict[str, str]) -> None:
    _, feature = entry.refs["feature_id"]
    reset = text_in(entry.fields, "usage_reset_period")
    limit = number_in(entry.fields, "usage_limit")
    if types.get(feature) == "static" and not entry.fields.get("static_value"):
        raise RatingError("A static feature needs a static_value.", field="static_value")
    Entitlement(limit, reset=reset_period_of(reset) if reset else None)
