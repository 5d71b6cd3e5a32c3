"""Meters and prices from Flexprice's fields, and each refusal with its field."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.rating.made import d
from tokenmeter.rating.define import Book, define_filters, define_meter, define_price
from tokenmeter.rating.errors import RatingError
from tokenmeter.rating.filters import Filter
from tokenmeter.rating.meter import AggregationType, Reset
from tokenmeter.rating.models import FlatFee, Package, Slab, Volume, total
from tokenmeter.rating.periods import BillingPeriod
from tokenmeter.rating.price import Cadence, PriceType, PriceUnit
from tokenmeter.rating.windows import Window

CREDIT = PriceUnit("CREDIT", "USD", d("0.01"))
BOOK = Book({"CREDIT": CREDIT}, frozenset({"meter_1"}))
USAGE: dict[str, Any] = {
    "id": "price_1",
    "currency": "USD",
    "type": "USAGE",
    "meter_id": "meter_1",
    "billing_period": "MONTHLY",
    "billing_model": "FLAT_FEE",
    "invoice_cadence": "ARREAR",
    "amount": "0.02",
}
OPEN = [{"up_to": 10, "unit_amount": "1"}, {"up_to": None, "unit_amount": 0.5, "flat_amount": 2}]
METER: dict[str, Any] = {
    "id": "meter_1",
    "name": " Seats ",
    "event_name": " seats_used ",
    "aggregation": {
        "type": "MAX",
        "field": "seats",
        "bucket_size": "DAY",
        "group_by": "region",
        "aliases": ["chairs"],
    },
    "filters": [{"key": "plan", "values": ["a", 1]}],
    "reset_usage": "Periodic",
    "include_unbilled": True,
}


def test_a_price_is_read_with_its_defaults() -> None:
    price = define_price(USAGE, BOOK)
    assert price.currency == "usd"
    assert price.model == FlatFee(d("0.02"))
    assert (price.type, price.cadence) == (PriceType.USAGE, Cadence.ARREAR)
    assert (price.billing_period, price.billing_period_count) == (BillingPeriod.MONTHLY, 1)
    assert (price.unit, price.filters, price.start, price.end) == (None, (), None, None)


def test_filter_values_dates_and_names_are_read() -> None:
    price = define_price(
        {
            **USAGE,
            "filter_values": {"size": ["1024x1024"], "model": "dall-e-3", "audio": True},
            "start_date": "2026-01-01T00:00:00+05:30",
            "end_date": datetime(2026, 2, 1),  # noqa: DTZ001
            "billing_period_count": "3",
            "display_name": "Images",
        }
    )
    assert price.filters == (
        Filter("audio", ("true",)),
        Filter("model", ("dall-e-3",)),
        Filter("size", ("1024x1024",)),
    )
    assert price.start == datetime(2025, 12, 31, 18, 30, tzinfo=UTC)
    assert price.end == datetime(2026, 2, 1, tzinfo=UTC)
    assert (price.billing_period_count, price.display_name) == (3, "Images")


@pytest.mark.parametrize(("mode", "expected"), [("VOLUME", Volume), ("SLAB", Slab)])
def test_tiers_are_read_by_their_mode(mode: str, expected: type) -> None:
    price = define_price({**USAGE, "billing_model": "TIERED", "tier_mode": mode, "tiers": OPEN})
    assert type(price.model) is expected
    assert total(price.lines(d(12))) == (d(8) if mode == "VOLUME" else d(13))


def test_a_package_rounds_up_unless_told() -> None:
    package = {**USAGE, "billing_model": "PACKAGE", "transform_quantity": {"divide_by": 100}}
    assert define_price(package).model == Package(d("0.02"), d(100), "up")
    package["transform_quantity"] = {"divide_by": "100", "round": "down"}
    assert define_price(package).model == Package(d("0.02"), d(100), "down")


@pytest.mark.parametrize("currency", ["USD", "usd"])
def test_a_price_in_a_price_unit_is_converted_and_its_case_does_not_matter(currency: str) -> None:
    custom = {
        **USAGE,
        "currency": currency,
        "price_unit_type": "CUSTOM",
        "price_unit_config": {"price_unit": "credit", "amount": "8"},
    }
    assert total(define_price(custom, BOOK).lines(d(3))) == d("0.24")
    custom["billing_model"] = "TIERED"
    custom["tier_mode"] = "SLAB"
    custom["price_unit_config"] = {"price_unit": "CREDIT", "price_unit_tiers": OPEN}
    assert total(define_price(custom, BOOK).lines(d(12))) == d("0.13")


@pytest.mark.parametrize(
    ("change", "field", "match"),
    [
        ({"billing_model": "TIERED"}, "tier_mode", "VOLUME or SLAB"),
        ({"billing_model": "TIERED", "tiers": OPEN}, "tier_mode", "VOLUME or SLAB"),
        ({"billing_model": "TIERED", "tier_mode": "SLAB"}, "tiers", "needs 1 to"),
        ({"billing_model": "TIERED", "tiers": {}}, "tiers", "not a list"),
        ({"billing_model": "TIERED", "tiers": ["x"]}, "tiers", "not a mapping"),
        (
            {"billing_model": "TIERED", "tiers": [{"up_to": None}]},
            "tiers[0].unit_amount",
            "write it down",
        ),
        (
            {"billing_model": "TIERED", "tiers": [OPEN[0], {"unit_amount": -1}]},
            "tiers[1].unit_amount",
            "at least 0",
        ),
        ({"billing_model": "PACKAGE"}, "transform_quantity.divide_by", "at least 1"),
        ({"billing_model": "MATRIX"}, "billing_model", "MATRIX"),
        ({"amount": None}, "amount", "0 is a price too"),
        ({"amount": "many"}, "amount", "not a number"),
        ({"amount": True}, "amount", "not a number"),
        ({"amount": "1" * 41}, "amount", "not a number"),
        ({"amount": "1e50"}, "amount", "not a number"),
        ({"amount": "-1"}, "amount", "at least 0"),
        ({"currency": "dollar"}, "currency", "three letters"),
        ({"currency": "12$"}, "currency", "three letters"),
        ({"type": "METERED"}, "type", "USAGE or FIXED"),
        ({"meter_id": None}, "meter_id", "needs a meter"),
        ({"meter_id": "meter_9"}, "meter_id", "no meter 'meter_9'"),
        ({"invoice_cadence": "ADVANCE"}, "invoice_cadence", "in ARREAR"),
        ({"invoice_cadence": ""}, "invoice_cadence", "ARREAR or ADVANCE"),
        ({"type": "FIXED", "billing_period": "ONETIME"}, "invoice_cadence", "in ADVANCE"),
        ({"billing_period": "FORTNIGHTLY"}, "billing_period", "FORTNIGHTLY"),
        ({"billing_period_count": 0}, "billing_period_count", "at least 1"),
        ({"billing_period_count": "1.5"}, "billing_period_count", "at least 1"),
        ({"min_quantity": 1}, "min_quantity", "Only a FIXED"),
        ({"type": "FIXED", "min_quantity": -1}, "min_quantity", "at least 0"),
        ({"start_date": "soon"}, "start_date", "RFC 3339"),
        ({"start_date": "2026-02-01", "end_date": "2026-01-01"}, "end_date", "before it starts"),
        ({"filter_values": {"size": []}}, "filters.values", "at least one value"),
        (
            {"price_unit_type": "CUSTOM", "price_unit_config": {"price_unit": "GEM"}},
            "price_unit_config.price_unit",
            "no price unit 'GEM'",
        ),
        (
            {
                "currency": "EUR",
                "price_unit_type": "CUSTOM",
                "price_unit_config": {"price_unit": "CREDIT", "amount": 1},
            },
            "currency",
            "price is in EUR, its price unit in USD",
        ),
    ],
)
def test_a_broken_price_raises_with_its_field(
    change: dict[str, Any], field: str, match: str
) -> None:
    if field.startswith("tiers[") or field == "tiers":
        change = {"tier_mode": "SLAB", **change}
    if field == "tier_mode":
        change = {**change, "tiers": OPEN}
    with pytest.raises(RatingError, match=match) as refused:
        define_price({**USAGE, **change}, BOOK)
    assert refused.value.field == field
    assert refused.value.code == "validation_error"


def test_a_price_unit_needs_a_code_and_a_rate() -> None:
    with pytest.raises(RatingError, match="code"):
        PriceUnit(" ", "usd", d(1))
    with pytest.raises(RatingError, match="above 0"):
        PriceUnit("GEM", "usd", d(0))


def test_a_price_unit_converts_exactly_to_money_and_rounds_back() -> None:
    assert CREDIT.to_money(d("0.125")) == d("0.00125")
    assert PriceUnit("GEM", "usd", d(3)).from_money(d(1)) == d("0.33")


def test_a_meter_is_read_with_trimmed_names_and_aliases() -> None:
    meter = define_meter(METER)
    assert (meter.name, meter.event_name, meter.meter_id) == ("Seats", "seats_used", "meter_1")
    assert meter.aggregation.kind is AggregationType.MAX
    assert meter.aggregation.bucket_size is Window.DAY
    assert (meter.aggregation.group_by, meter.aggregation.aliases) == ("region", ("chairs",))
    assert meter.filters == (Filter("plan", ("a", "1")),)
    assert (meter.reset, meter.include_unbilled) == (Reset.BILLING_PERIOD, True)


def test_an_expression_and_a_multiplier_are_read() -> None:
    rule = {"type": "SUM_WITH_MULTIPLIER", "field": "ms", "multiplier": 0.001}
    assert define_meter({**METER, "aggregation": rule}).aggregation.multiplier == d("0.001")
    rule = {"type": "SUM", "expression": "a * b"}
    meter = define_meter({**METER, "aggregation": rule, "include_unbilled": None})
    assert meter.aggregation.expression == "a * b"
    assert not meter.include_unbilled
    assert define_meter(
        {**METER, "include_unbilled": None}, include_unbilled=True
    ).include_unbilled


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": None}, "name"),
        ({"event_name": ""}, "event_name"),
        ({"reset_usage": None}, "reset_usage"),
        ({"aggregation": None}, "aggregation.type"),
        ({"aggregation": "SUM"}, "aggregation"),
        ({"aggregation": {"type": "SUM"}}, "aggregation.field"),
        ({"aggregation": {"type": "MAX", "field": "a", "bucket_size": "AEON"}}, "window_size"),
        ({"filters": "model"}, "filters"),
        ({"filters": [{"key": "a", "values": []}]}, "filters.values"),
    ],
)
def test_a_broken_meter_raises_with_its_field(change: dict[str, Any], field: str) -> None:
    with pytest.raises(RatingError) as refused:
        define_meter({**METER, **change})
    assert refused.value.field == field


def test_filters_are_read_from_a_mapping_too() -> None:
    assert define_filters({"a": ["x", "x", 2]}) == (Filter("a", ("x", "2")),)
    assert define_filters(None) == ()
