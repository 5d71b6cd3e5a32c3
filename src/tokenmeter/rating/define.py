"""Build meters and prices from Flexprice's fields, as a catalog or a request writes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import TypeVar, cast

from tokenmeter.rating.errors import RatingError
from tokenmeter.rating.filters import Filter, filters_of, text
from tokenmeter.rating.meter import Aggregation, Meter, kind_of, reset_of
from tokenmeter.rating.models import FlatFee, Model, Package, Slab, Tier, Volume
from tokenmeter.rating.periods import billing_period_of
from tokenmeter.rating.price import Cadence, Price, PriceType, PriceUnit
from tokenmeter.rating.rounding import ZERO, number
from tokenmeter.rating.windows import window_of

Fields = Mapping[str, object]
DIGITS_MAX = 40  # of an amount
E_ = TypeVar("E_", PriceType, Cadence)


def define_meter(fields: Fields, *, include_unbilled: bool = False) -> Meter:
    """Build a meter; what Flexprice refuses raises RatingError with the field's name."""
    rule = _mapping(fields, "aggregation")
    return Meter(
        name=_text(fields, "name").strip(),
        event_name=_text(fields, "event_name").strip(),
        aggregation=define_aggregation(rule),
        filters=define_filters(fields.get("filters")),
        reset=reset_of(_text(fields, "reset_usage")),
        include_unbilled=include_unbilled or fields.get("include_unbilled") is True,
        meter_id=_text(fields, "id"),
    )


def define_aggregation(fields: Fields) -> Aggregation:
    """Build an aggregation as it is written; `Meter` checks that it makes sense."""
    bucket = _text(fields, "bucket_size")
    return Aggregation(
        kind=kind_of(_text(fields, "type")),
        field=_text(fields, "field"),
        expression=_text(fields, "expression"),
        multiplier=_decimal(fields, "multiplier"),
        bucket_size=window_of(bucket) if bucket else None,
        group_by=_text(fields, "group_by"),
        aliases=tuple(text(name) for name in _sequence(fields, "aliases")),
    )


def define_filters(filters: object) -> tuple[Filter, ...]:
    """Build filters from a mapping of values by key or from a list of {key, values}."""
    if isinstance(filters, Mapping):
        return filters_of(cast("Fields", filters))
    pairs = _sequence({"filters": filters}, "filters")
    return tuple(_filter(pair) for pair in pairs)


def _filter(pair: object) -> Filter:
    fields = _mapping({"filters": pair}, "filters")
    return Filter(_text(fields, "key"), tuple(text(v) for v in _sequence(fields, "values")))


@dataclass(frozen=True, slots=True)
class Book:
    """What a price may refer to: the price units by code, and the meters that exist."""

    units: Mapping[str, PriceUnit]
    meters: frozenset[str] | None = None  # None: not checked


def define_price(fields: Fields, book: Book | None = None) -> Price:
    """Build a price; what cannot be rated raises RatingError with the field's name."""
    book = book or Book({})
    unit = _unit(fields, book)
    price = Price(
        price_id=_text(fields, "id") or _text(fields, "lookup_key"),
        currency=_text(fields, "currency").lower(),
        model=define_model(fields if unit is None else _in_unit(fields)),
        type=_one_of(PriceType, fields, "type"),
        meter_id=_text(fields, "meter_id"),
        filters=define_filters(fields.get("filter_values")),
        unit=unit,
        billing_period=billing_period_of(_text(fields, "billing_period")),
        billing_period_count=_count(fields),
        cadence=_one_of(Cadence, fields, "invoice_cadence"),
        min_quantity=_decimal(fields, "min_quantity") or ZERO,
        start=_moment(fields, "start_date"),
        end=_moment(fields, "end_date"),
        display_name=_text(fields, "display_name"),
    )
    if book.meters is not None and price.meter_id and price.meter_id not in book.meters:
        raise RatingError(f"There is no meter {price.meter_id!r}.", field="meter_id")
    return price


def define_model(fields: Fields) -> Model:
    """Build what turns a quantity into lines: by billing_model, tier_mode and amounts."""
    match _text(fields, "billing_model"):
        case "FLAT_FEE":
            return FlatFee(_amount(fields, "amount"))
        case "PACKAGE":
            return _package(fields)
        case "TIERED":
            return _tiered(fields)
        case other:
            raise RatingError(
                f"{other!r} is not a billing model; use FLAT_FEE, PACKAGE or TIERED.",
                field="billing_model",
            )


def _package(fields: Fields) -> Package:
    rule = _mapping(fields, "transform_quantity")
    return Package(
        _amount(fields, "amount"),
        _decimal(rule, "divide_by") or ZERO,
        _text(rule, "round") or "up",
    )


def _tiered(fields: Fields) -> Model:
    tiers = tuple(_tier(t, i) for i, t in enumerate(_sequence(fields, "tiers")))
    match _text(fields, "tier_mode"):
        case "VOLUME":
            return Volume(tiers)
        case "SLAB":
            return Slab(tiers)
        case _:
            raise RatingError("A TIERED price needs tier_mode VOLUME or SLAB.", field="tier_mode")


def _tier(given: object, index: int) -> Tier:
    fields = _mapping({"tiers": given}, "tiers")
    try:
        return Tier(
            _amount(fields, "unit_amount"),
            _decimal(fields, "up_to"),
            _decimal(fields, "flat_amount") or ZERO,
        )
    except RatingError as error:
        name = error.field.removeprefix("tiers.")
        raise RatingError(str(error), field=f"tiers[{index}].{name}") from None


def _unit(fields: Fields, book: Book) -> PriceUnit | None:
    if (_text(fields, "price_unit_type") or "FIAT") == "FIAT":
        return None
    code = _text(_mapping(fields, "price_unit_config"), "price_unit")
    known = {unit_code.lower(): unit for unit_code, unit in book.units.items()}
    if code.lower() not in known:
        raise RatingError(
            f"There is no price unit {code!r}.", field="price_unit_config.price_unit"
        )
    return known[code.lower()]


def _in_unit(fields: Fields) -> Fields:
    config = _mapping(fields, "price_unit_config")
    return {
        **fields,
        "amount": config.get("amount"),
        "tiers": config.get("price_unit_tiers"),
    }


def _one_of(choices: type[E_], fields: Fields, name: str) -> E_:
    given = _text(fields, name)
    try:
        return choices(given)
    except ValueError:
        raise RatingError(f"{name} is {' or '.join(choices)}.", field=name) from None


def _count(fields: Fields) -> int:
    count = _decimal(fields, "billing_period_count")
    if count is None:
        return 1
    return int(count) if count == count.to_integral_value() else 0


def _moment(fields: Fields, name: str) -> datetime | None:
    given = fields.get(name)
    if given is None or given == "":
        return None
    try:
        moment = given if isinstance(given, datetime) else datetime.fromisoformat(text(given))
    except ValueError:
        raise RatingError(f"{name} is not an RFC 3339 time.", field=name) from None
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def _amount(fields: Fields, name: str) -> Decimal:
    amount = _decimal(fields, name)
    if amount is None:
        raise RatingError(f"{name} is missing; 0 is a price too, write it down.", field=name)
    return amount


def _decimal(fields: Fields, name: str) -> Decimal | None:
    given = fields.get(name)
    if given is None:
        return None
    known = number(given)
    if (
        known is None
        or len(known.as_tuple().digits) > DIGITS_MAX
        or abs(known.adjusted()) > DIGITS_MAX
    ):
        raise RatingError(f"{name} is not a number.", field=name)
    return known


def _text(fields: Fields, name: str) -> str:
    given = fields.get(name)
    return "" if given is None else text(given)


def _mapping(fields: Fields, name: str) -> Fields:
    given = fields.get(name)
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise RatingError(f"{name} is not a mapping.", field=name)
    return cast("Fields", given)


def _sequence(fields: Fields, name: str) -> Sequence[object]:
    given = fields.get(name)
    if given is None:
        return ()
    if not isinstance(given, list | tuple):
        raise RatingError(f"{name} is not a list.", field=name)
    return cast("Sequence[object]", given)
