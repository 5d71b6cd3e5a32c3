"""Charge beside cost, by event, customer, feature and model."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.engine.shop import CATALOG, JULY, JUNE, Shop, opened_shop
from tests.engine.sold import d
from tokenmeter.engine.errors import ValidationError
from tokenmeter.engine.ingest import ingest
from tokenmeter.errors import QueryError
from tokenmeter.event import Event

SHEET = """\
costsheets:
  providers:
    prices:
      image_cost: {meter: images, amount: 0.04}
      image_hd_cost: {meter: images, amount: 0.08, filter_values: {quality: hd}}
"""


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return opened_shop(tmp_path, CATALOG + SHEET)


def rows(shop: Shop, *by: str) -> dict[tuple[str | None, ...], tuple[str, str | None, int]]:
    found = shop.services.margin(by, start=JUNE, end=JULY)
    return {
        tuple(r.group.values()): (
            str(r.charge),
            None if r.margin is None else str(r.margin),
            r.unpriced_events,
        )
        for r in found
    }


def use_some(shop: Shop) -> None:
    shop.use("e1", JUNE, image_count=3, model="a", feature="poster", cost_usd="0.12")
    shop.use("e2", JUNE, image_count=1, model="b", feature="poster", cost_usd="0.05")
    shop.use("e3", JUNE, image_count=2, model="b", quality="hd", cost_usd="0.16")
    shop.use("e4", JUNE, "text", tokens=100, model="a", cost_source="unpriced")


def test_margins_by_model_and_feature_add_up_to_the_charge(shop: Shop) -> None:
    shop.subscribe()
    use_some(shop)
    assert rows(shop, "model") == {
        ("a",): ("1.3", "1.18", 1),  # 3 x 0.10 and 100 x 0.01
        ("b",): ("0.6", "0.39", 0),
    }
    by_feature = rows(shop, "feature")
    assert by_feature["poster",][:2] == ("0.4", "0.23")
    assert sum(d(charge) for charge, _, _ in by_feature.values()) == d("1.90")
    assert rows(shop, "customer", "model")["acme", "b"] == ("0.6", "0.39", 0)


def test_tiers_are_shared_out_by_quantity(shop: Shop) -> None:
    shop.subscribe()
    shop.use("e1", JUNE, "text", tokens=150, model="a")
    shop.use("e2", JUNE, "text", tokens=50, model="b")
    # 100 x 0.01 + 1 + 100 x 0.005 = 2.50, by 3 : 1
    assert rows(shop, "model") == {("a",): ("1.875", None, 1), ("b",): ("0.625", None, 1)}


def test_a_customer_without_a_subscription_has_cost_and_no_charge(shop: Shop) -> None:
    shop.use("e1", JUNE, image_count=3, cost_usd="0.12")
    assert rows(shop, "customer") == {("acme",): ("0", "-0.12", 0)}
    (row,) = shop.services.margin(["customer"], start=JUNE, end=JULY)
    assert row.margin_percent == 0
    assert shop.services.margin(["customer"], start=JUNE, end=JULY, customer="nobody") == []


def test_too_many_dimensions_are_refused(shop: Shop) -> None:
    shop.subscribe()
    use_some(shop)
    with pytest.raises(QueryError, match="group by fewer"):
        shop.services.margin([f"p{i}" for i in range(24)], start=JUNE, end=JULY)


def analytics(shop: Shop, **fields: Any) -> dict[str, Any]:
    return shop.services.costs({"start_time": JUNE, "end_time": JULY, **fields})


def test_a_cost_sheet_stands_beside_the_revenue(shop: Shop) -> None:
    shop.subscribe()
    use_some(shop)
    told = analytics(shop, external_customer_id="acme")
    assert [(r["total_cost"], r["total_quantity"]) for r in told["cost_analytics"]] == [
        *(("0.16", "4"), ("0.16", "2")),
    ]
    assert (told["total_revenue"], told["total_cost"], told["margin"]) == ("1.9", "0.32", "1.58")
    assert told["margin_percent"] == "83.1578947368421053"
    assert (told["roi"], told["roi_percent"]) == ("4.9375", "493.75")
    hd = analytics(shop, property_filters={"quality": ["hd"]})
    assert hd["total_cost"] == "0.16"
    (feature,) = shop.services.catalog.target.list("feature")
    assert analytics(shop, feature_ids=[feature.id])["total_cost"] == "0.32"
    assert analytics(shop, feature_ids=["none"])["total_cost"] == "0"


def test_without_revenue_or_cost_there_is_no_division(shop: Shop) -> None:
    told = analytics(shop)
    assert (told["margin_percent"], told["roi"]) == ("0", "0")
    with pytest.raises(ValidationError, match="are required"):
        shop.services.costs({"start_time": JUNE})
    with pytest.raises(ValidationError, match="before start_time"):
        shop.services.costs({"start_time": JULY, "end_time": JUNE})


def charge(shop: Shop, at: Any, name: str = "image", /, **properties: Any) -> Decimal | None:
    event = Event(f"{name}_generated", "next", "acme", at, properties)
    return shop.services.charge(event).amount


def test_an_events_charge_is_marginal_at_the_running_quantity(shop: Shop) -> None:
    shop.subscribe()
    shop.use("e1", JUNE, "text", tokens=90)
    later = JUNE + timedelta(days=1)
    assert charge(shop, later, "text", tokens=10) == d("0.1")
    assert charge(shop, later, "text", tokens=20) == d("1.15")  # 10 x 0.01, 1, 10 x 0.005
    assert charge(shop, JUNE, "text", tokens=20) == d("0.2")  # before the others
    assert charge(shop, later, image_count=2, quality="hd") == d("0.5")
    assert charge(shop, later, "video", seconds=5) is None
    assert charge(shop, later, image_count=0) is None


def test_an_event_within_the_allowance_costs_nothing(shop: Shop) -> None:
    shop.subscribe("hybrid")
    shop.use("e1", JUNE, image_count=8)
    later = JUNE + timedelta(days=1)
    assert charge(shop, later, image_count=2) == 0
    assert charge(shop, later, image_count=3) == d("0.2")
    shop.use("e2", later, image_count=5)
    assert charge(shop, later + timedelta(days=1), image_count=1) == d("0.2")


def test_an_estimate_says_what_it_is(shop: Shop) -> None:
    shop.subscribe()
    event = Event("image_generated", "e", "acme", JUNE, {"image_count": 1})
    assert shop.services.charge(event).properties() == {
        "charge": "0.1",
        "charge_currency": "usd",
        "charge_source": "estimated",
    }
    other = Event("video_generated", "e", "acme", JUNE, {"seconds": 1})
    assert shop.services.charge(other).properties() == {"charge_source": "unpriced"}


def test_a_price_that_changed_is_shared_out_by_what_it_was_in_force_for(shop: Shop) -> None:
    shop.subscribe()
    shop.use("e1", JUNE, image_count=3, model="a")
    shop.use("e2", JUNE + timedelta(days=20), image_count=2, model="a")
    shop.use("e3", JUNE + timedelta(days=20), image_count=1, model="b")
    price = shop.services.definitions.by_key("price", "image")
    dearer = {"amount": "0.30", "effective_from": JUNE + timedelta(days=15)}
    shop.services.definitions.update("price", price["id"], dearer)
    assert rows(shop, "model") == {("a",): ("0.9", None, 2), ("b",): ("0.3", None, 1)}


def test_costs_of_another_environment_are_not_counted(shop: Shop) -> None:
    shop.subscribe()
    shop.use("e1", JUNE, image_count=3, cost_usd="0.12", environment="prod")
    elsewhere = Event("image_generated", "e1", "acme", JUNE, {"image_count": 1, "cost_usd": "7"})
    ingest(shop.store, [elsewhere], environment="prod")
    assert rows(shop, "customer") == {("acme",): ("0.3", "0.18", 0)}


def test_a_true_up_is_charged_to_the_customer_and_to_no_model(shop: Shop) -> None:
    shop.subscribe(commitment_amount="5", overage_factor="1.5", enable_true_up=True)
    shop.use("e1", JUNE, image_count=3, model="a", cost_usd="0.12")
    assert rows(shop, "customer", "model") == {
        ("acme", "a"): ("0.3", "0.18", 0),
        ("acme", None): ("4.70", None, 0),
    }


def test_a_cost_that_changed_holds_from_its_date_on(shop: Shop) -> None:
    shop.subscribe()
    shop.use("e1", JUNE, image_count=3)
    shop.use("e2", JUNE + timedelta(days=20), image_count=2)
    price = shop.services.definitions.by_key("price", "image_cost")
    dearer = {"amount": "0.05", "effective_from": JUNE + timedelta(days=15)}
    shop.services.definitions.update("price", price["id"], dearer)
    told = analytics(shop)
    assert (told["total_cost"], told["total_revenue"]) == ("0.22", "0.5")


def test_currencies_are_never_added_up(shop: Shop) -> None:
    shop.subscribe()
    shop.use("e1", JUNE, image_count=3)
    definitions = shop.services.definitions
    plan = definitions.create("plan", {"name": "Europe", "lookup_key": "europe"})
    meter = definitions.by_key("price", "image")["meter_id"]
    fields = {"entity_type": "PLAN", "entity_id": plan["id"], "type": "USAGE", "meter_id": meter}
    more = {"billing_model": "FLAT_FEE", "amount": "7", "invoice_cadence": "ARREAR"}
    rest = {"currency": "eur", "billing_period": "MONTHLY", "price_unit_type": "FIAT"}
    definitions.create("price", {**fields, **more, **rest})
    definitions.create("customer", {"external_id": "euro", "name": "Euro"})
    shop.subscribe("europe", external_customer_id="euro", currency="eur")
    elsewhere = Event("image_generated", "e9", "euro", JUNE, {"image_count": 1})
    ingest(shop.store, [elsewhere])
    told = analytics(shop)
    assert (told["total_revenue"], told["currency"]) == ("0.3", "usd")
    assert told["other_currencies"] == ["eur"]
