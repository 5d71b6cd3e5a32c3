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
WHOLE_MAX = 2**31 - 1  # of what databases keep in a column
E_ = TypeVar("E_", PriceType, Cadence)


def define_meter(fields: Fields, *, include_unbilled: bool = False) -> Meter:
    """Build a meter; what Flexprice refuses raises RatingError with the field's name."""
    rule = mapping_in(fields, "aggregation")
    return Meter(
        name=text_in(fields, "name").strip(),
        event_name=text_in(fields, "event_name").strip(),
        aggregation=define_aggregation(rule),
        filters=define_filters(fields.get("filters")),
        reset=reset_of(text_in(fields, "reset_usage")),
        include_unbilled=include_unbilled or fields.get("include_unbilled") is True,
        meter_id=text_in(fields, "id"),
    )


def define_aggregation(fields: Fields) -> Aggregation:
    """Build an aggregation as it is written; `Meter` checks that it makes sense."""
    bucket = text_in(fields, "bucket_size")
    return Aggregation(
        kind=kind_of(text_in(fields, "type")),
        field=text_in(fields, "field"),
        expression=text_in(fields, "expression"),
        multiplier=number_in(fields, "multiplier"),
        bucket_size=window_of(bucket) if bucket else None,
        group_by=text_in(fields, "group_by"),
        aliases=tuple(text(name) for name in sequence_in(fields, "aliases")),
    )


def define_filters(filters: object) -> tuple[Filter, ...]:
    """Build filters from a mapping of values by key or from a list of {key, values}."""
    if isinstance(filters, Mapping):
        return filters_of(cast("Fields", filters))
    pairs = sequence_in({"filters": filters}, "filters")
    return tuple(_filter(pair) for pair in pairs)


def _filter(pair: object) -> Filter:
    fields = mapping_in({"filters": pair}, "filters")
    return Filter(text_in(fields, "key"), tuple(text(v) for v in sequence_in(fields, "values")))


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
        price_id=text_in(fields, "id") or text_in(fields, "lookup_key"),
        currency=text_in(fields, "currency").lower(),
        model=define_model(fields if unit is None else _in_unit(fields)),
        type=_one_of(PriceType, fields, "type"),
        meter_id=text_in(fields, "meter_id"),
        filters=define_filters(fields.get("filter_values")),
        unit=unit,
        billing_period=billing_period_of(text_in(fields, "billing_period")),
        billing_period_count=_count(fields),
        cadence=_one_of(Cadence, fields, "invoice_cadence"),
        min_quantity=number_in(fields, "min_quantity") or ZERO,
        start=moment_in(fields, "start_date"),
        end=moment_in(fields, "end_date"),
        display_name=text_in(fields, "display_name"),
    )
    if book.meters is not None and price.meter_id and price.meter_id not in book.meters:
        raise RatingError(f"There is no meter {price.meter_id!r}.", field="meter_id")
    return price


def define_model(fields: Fields) -> Model:
    """Build what turns a quantity into lines: by billing_model, tier_mode and amounts."""
    match text_in(fields, "billing_model"):
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
    rule = mapping_in(fields, "transform_quantity")
    return Package(
        _amount(fields, "amount"),
        number_in(rule, "divide_by") or ZERO,
        text_in(rule, "round") or "up",
    )


def _tiered(fields: Fields) -> Model:
    tiers = tuple(_tier(t, i) for i, t in enumerate(sequence_in(fields, "tiers")))
    match text_in(fields, "tier_mode"):
        case "VOLUME":
            return Volume(tiers)
        case "SLAB":
            return Slab(tiers)
        case _:
            raise RatingError("A TIERED price needs tier_mode VOLUME or SLAB.", field="tier_mode")


def _tier(given: object, index: int) -> Tier:
    fields = mapping_in({"tiers": given}, "tiers")
    try:
        return Tier(
            _amount(fields, "unit_amount"),
            number_in(fields, "up_to"),
            number_in(fields, "flat_amount") or ZERO,
        )
    except RatingError as error:
        name = error.field.removeprefix("tiers.")
        raise RatingError(str(error), field=f"tiers[{index}].{name}") from None


def _unit(fields: Fields, book: Book) -> PriceUnit | None:
    if (text_in(fields, "price_unit_type") or "FIAT") == "FIAT":
        return None
    code = text_in(mapping_in(fields, "price_unit_config"), "price_unit")
    known = {unit_code.lower(): unit for unit_code, unit in book.units.items()}
    if code.lower() not in known:
        raise RatingError(
            f"There is no price unit {code!r}.", field="price_unit_config.price_unit"
        )
    return known[code.lower()]


def _in_unit(fields: Fields) -> Fields:
    config = mapping_in(fields, "price_unit_config")
    return {
        **fields,
        "amount": config.get("amount"),
        "tiers": config.get("price_unit_tiers"),
    }


def _one_of(choices: type[E_], fields: Fields, name: str) -> E_:
    given = text_in(fields, name)
    try:
        return choices(given)
    except ValueError:
        raise RatingError(f"{name} is {' or '.join(choices)}.", field=name) from None


def _count(fields: Fields) -> int:
    count = number_in(fields, "billing_period_count")
    if count is None:
        return 1
    return int(count) if count == count.to_integral_value() else 0


def whole_in(fields: Fields, name: str) -> int | None:
    """Read a field as a whole number that databases hold; None where it is absent."""
    given = number_in(fields, name)
    if given is not None and (abs(given) > WHOLE_MAX or given != int(given)):
        raise RatingError(f"{name} is a whole number up to {WHOLE_MAX}.", field=name)
    return None if given is None else int(given)


def moment_in(fields: Fields, name: str) -> datetime | None:
    """Read a field as a UTC moment; None where it is absent."""
    given = fields.get(name)
    if given is None or given == "":
        return None
    try:
        moment = given if isinstance(given, datetime) else datetime.fromisoformat(text(given))
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise RatingError(f"{name} is not an RFC 3339 time.", field=name) from None


def _amount(fields: Fields, name: str) -> Decimal:
    amount = number_in(fields, name)
    if amount is None:
        raise RatingError(f"{name} is missing; 0 is a price too, write it down.", field=name)
    return amount


def number_in(fields: Fields, name: str) -> Decimal | None:
    """Read a field as an exact number; None where it is absent."""
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


def text_in(fields: Fields, name: str) -> str:
    """Read a field as text; "" where it is absent."""
    given = fields.get(name)
    return "" if given is None else text(given)


def mapping_in(fields: Fields, name: str) -> Fields:
    """Read a field as a mapping; empty where it is absent."""
    given = fields.get(name)
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise RatingError(f"{name} is not a mapping.", field=name)
    return cast("Fields", given)


def sequence_in(fields: Fields, name: str) -> Sequence[object]:
    """Read a field as a list; empty where it is absent."""
    given = fields.get(name)
    if given is None:
        return ()
    if not isinstance(given, list | tuple):
        raise RatingError(f"{name} is not a list.", field=name)
    return cast("Sequence[object]", given)
