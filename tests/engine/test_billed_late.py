"""What is added, changed or prolonged after its time was billed is billed then, and once."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tests.engine.shop import AUGUST, JULY, JUNE, Shop, lines, opened_shop
from tests.engine.test_billed_once import MIDDLE, SEATS, SEPTEMBER, amounts, billed
from tests.engine.test_line_items import item, price
from tokenmeter.engine.errors import EngineError


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return opened_shop(tmp_path)


@pytest.fixture
def seats(tmp_path: Path) -> Shop:
    """A shop that sells seats in advance."""
    return opened_shop(tmp_path, SEATS)


SETUP = {
    "type": "FIXED",
    "amount": "7",
    "billing_period": "ONETIME",
    "display_name": "late setup",
    "billing_model": "FLAT_FEE",
    "invoice_cadence": "ADVANCE",
}


def test_a_one_time_price_that_changes_later_is_charged_once(shop: Shop) -> None:
    subscription = shop.subscribe("hybrid")
    billed(shop, subscription, JULY + timedelta(days=3))
    shop.services.definitions.update("price", price(shop, "setup")["id"], {"amount": "120"})
    billed(shop, subscription, SEPTEMBER)
    assert amounts(shop, "setup") == [("2026-06-01", "99.00")]


def test_a_one_time_line_item_that_is_raised_costs_the_difference(shop: Shop) -> None:
    subscription = shop.subscribe("hybrid")
    billed(shop, subscription, JULY + timedelta(days=3))
    setup = item(shop, subscription, "setup")["id"]
    shop.services.subscriptions.update_line_item(setup, {"quantity": 2})
    billed(shop, subscription, SEPTEMBER)
    assert amounts(shop, "setup") == [("2026-06-01", "99.00"), ("2026-07-01", "99.00")]


@pytest.mark.parametrize("added", [MIDDLE, JULY + timedelta(days=3)])
def test_a_one_time_price_that_is_added_later_is_charged_once_though_its_start_was_billed(
    shop: Shop, added: datetime
) -> None:
    """A line item without a start begins with the subscription."""
    subscription = shop.subscribe("hybrid")
    billed(shop, subscription, added)
    shop.services.subscriptions.add_line_item(subscription, {"price": SETUP})
    first, *others = billed(shop, subscription, SEPTEMBER)
    assert first["late setup"] == "7.00"
    assert not any("late setup" in one for one in others)
    assert billed(shop, subscription, SEPTEMBER + timedelta(days=30))[0].get("late setup") is None


def test_a_one_time_price_that_is_added_at_the_start_waits_for_the_opening(shop: Shop) -> None:
    subscription = shop.subscribe("hybrid")
    assert "setup" not in lines(shop.preview(subscription, JUNE, JULY))
    billed(shop, subscription, JULY)
    (opening,) = (
        i for i in shop.services.invoices.listed()[0] if i["period_start"] == i["period_end"]
    )
    shop.services.invoices.void(opening["id"])
    told = billed(shop, subscription, AUGUST)
    assert ["setup" in one for one in told] == [True, False]


def test_what_was_paid_in_advance_up_to_an_end_that_moves_is_paid_beyond_it(seats: Shop) -> None:
    subscription = seats.subscribe("seats", end_date=MIDDLE)
    assert billed(seats, subscription, JUNE) == [{"seat": "15.00"}]
    seats.services.subscriptions.update(subscription, {"end_date": AUGUST})
    billed(seats, subscription, AUGUST)
    assert amounts(seats) == [
        *(("2026-06-01", "15.00"), ("2026-06-01", "15.00"), ("2026-07-01", "30.00")),
    ]


def test_two_periods_are_not_billed_as_one(shop: Shop) -> None:
    """What is fixed, included or promised for each would be billed once for both."""
    subscription = shop.subscribe("hybrid")
    both = {"subscription_id": subscription, "period_start": JUNE, "period_end": AUGUST}
    with pytest.raises(EngineError, match="a billing period ends at 2026-07-01T00:00:00Z"):
        shop.services.invoices.draft(both)


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Pacific/Kiritimati"])
def test_a_month_of_another_time_zone_is_one(tmp_path: Path, zone: str) -> None:
    shop = opened_shop(tmp_path, timezone=zone)
    month = {"period_start": JUNE, "period_end": JULY}
    shop.use("e1", MIDDLE, image_count=10)
    begun = datetime(2026, 5, 1, tzinfo=ZoneInfo(zone))
    subscription = shop.subscribe("hybrid", start_date=begun)
    shop.clock.now = AUGUST
    invoice = shop.services.invoices.draft({"subscription_id": subscription, **month})
    assert (invoice["period_start"], invoice["period_end"]) == (
        *("2026-06-01T00:00:00Z", "2026-07-01T00:00:00Z"),
    )


def test_two_days_are_not_billed_as_one(shop: Shop) -> None:
    subscription = shop.subscribe("hybrid", billing_period="DAILY")
    days = {"period_start": JUNE, "period_end": JUNE + timedelta(days=2)}
    with pytest.raises(EngineError, match="a billing period ends at 2026-06-02T00:00:00Z"):
        shop.services.invoices.draft({"subscription_id": subscription, **days})


def test_a_subscriptions_own_price_that_changes_is_billed_on(shop: Shop) -> None:
    change = {"amount": "0.50", "effective_from": MIDDLE}
    own = [{"price_id": price(shop, "image")["id"], "amount": "0.20"}]
    subscription = shop.subscribe(override_line_items=own)
    image = item(shop, subscription, "image")
    shop.services.definitions.update("price", image["price_id"], change)
    for number, at in enumerate((JUNE, MIDDLE, JULY)):
        shop.use(f"e{number}", at, image_count=10)
    shop.clock.now = JULY
    (june,) = shop.bill(subscription)
    assert [line["amount"] for line in june["line_items"]][:2] == ["2.00", "5.00"]
    assert june["unpriced"] == []
    # A change of the line item starts from the version that is in force.
    shop.services.subscriptions.update_line_item(image["id"], {"amount": "0.60"})
    assert billed(shop, subscription, AUGUST) == [{"image": "6.00"}]
