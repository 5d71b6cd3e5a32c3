"""Prices and allowances whose rhythm is not the subscription's."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.engine.shop import AUGUST, CATALOG, JULY, JUNE, Shop, lines, opened_shop
from tests.engine.test_billed_once import billed
from tests.engine.test_line_items import item, price
from tokenmeter.engine.errors import InvalidOperationError, NotFoundError, ValidationError
from tokenmeter.engine.store.documents import Document, Documents

FIXED = {"type": "FIXED", "billing_model": "FLAT_FEE", "invoice_cadence": "ARREAR"}


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return opened_shop(tmp_path)


def sell(shop: Shop, amount: str, period: str, count: int = 1) -> None:
    """Add a fixed price to the plan `metered`, with its amount as its name."""
    own = {"entity_type": "PLAN", "entity_id": "metered", "currency": "usd", "amount": amount}
    rhythm = {"billing_period": period, "billing_period_count": count, "display_name": amount}
    shop.services.definitions.create("price", {**FIXED, **own, **rhythm})


def allow(shop: Shop, limit: int, reset: str) -> None:
    """Include some images in the plan `metered`."""
    asked = {"plan_id": "metered", "feature_id": "images", "usage_limit": limit}
    shop.services.definitions.create("entitlement", {**asked, "usage_reset_period": reset})


def test_a_price_of_several_periods_is_charged_once_for_them(shop: Shop) -> None:
    sell(shop, "20", "MONTHLY")
    sell(shop, "50", "MONTHLY", 3)
    whole = shop.subscribe(billing_period_count=3)
    assert lines(shop.preview(whole, JUNE, JUNE + timedelta(days=92))) == {
        "20": "60.00",
        "50": "50.00",
    }
    assert lines(shop.preview(shop.subscribe(), JUNE, JULY)) == {"20": "20.00"}


def test_a_price_longer_than_the_subscriptions_period_is_no_line_item(shop: Shop) -> None:
    subscription = shop.subscribe()
    for period, count, told in (("ANNUAL", 1, "ANNUAL"), ("MONTHLY", 2, "MONTHLY x 2")):
        rhythm = {"billing_period": period, "billing_period_count": count}
        own = {**FIXED, **rhythm, "amount": "1200"}
        with pytest.raises(ValidationError, match=f"a price for {told} does not go into"):
            shop.services.subscriptions.add_line_item(subscription, {"price": own})


def test_the_first_short_month_of_a_calendar_quarter_costs_its_share(shop: Shop) -> None:
    sell(shop, "30", "MONTHLY")
    middle = JUNE + timedelta(days=15)
    quarter = {"billing_period": "QUARTERLY", "billing_cycle": "calendar", "start_date": middle}
    assert lines(shop.preview(shop.subscribe(**quarter), middle, JULY)) == {"30": "15.00"}


def test_an_allowance_for_a_year_is_given_once_a_year(shop: Shop) -> None:
    allow(shop, 10, "ANNUAL")
    subscription = shop.subscribe()
    for month, at in enumerate((JUNE, JULY, AUGUST, JUNE.replace(year=2027))):
        shop.use(f"e{month}", at, image_count=8)
    told = billed(shop, subscription, JULY) + billed(shop, subscription, AUGUST)
    assert told == [{}, {"image": "0.60"}]
    (quota,) = shop.services.quotas.of("acme", AUGUST)
    assert (int(quota.used), quota.resets_at) == (24, JUNE.replace(year=2027))
    later = billed(shop, subscription, JULY.replace(year=2027))
    assert [told.get("image") for told in later] == ["0.80", *[None] * 10]


def test_an_allowance_for_a_week_is_given_every_week_of_the_subscription(shop: Shop) -> None:
    allow(shop, 10, "WEEKLY")
    subscription = shop.subscribe()
    for number, day in enumerate((0, 6, 7, 13)):
        shop.use(f"e{number}", JUNE + timedelta(days=day), image_count=6)
    (quota,) = shop.services.quotas.of("acme", JUNE + timedelta(days=8))
    assert (int(quota.used), quota.resets_at) == (12, JUNE + timedelta(days=14))
    assert lines(shop.preview(subscription, JUNE, JULY)) == {"image": "0.40"}


def test_an_allowance_that_resets_within_a_period_counts_from_there(tmp_path: Path) -> None:
    weekly = CATALOG.replace("amount: 0.10}", "amount: 0.10, billing_period: WEEKLY}")
    shop = opened_shop(tmp_path, weekly)
    allow(shop, 10, "MONTHLY")
    subscription = shop.subscribe(billing_period="WEEKLY")
    # The first month ends with June, within the week from 29 June on.
    for number, day in enumerate((0, 28, 29, 30, 35)):
        shop.use(f"e{number}", JUNE + timedelta(days=day), image_count=6)
    told = billed(shop, subscription, JULY + timedelta(days=12))
    assert told == [{}, {}, {}, {}, {"image": "0.80"}, {"image": "0.20"}]


@pytest.mark.parametrize("fields", [{"grant_quota": "5"}, {"start_date": "2026-06-01T00:00:00Z"}])
def test_an_entitlement_that_would_bill_as_if_it_had_not_asked_is_refused(
    shop: Shop, fields: dict[str, Any]
) -> None:
    asked = {"plan_id": "metered", "feature_id": "images", "usage_limit": 10, **fields}
    with pytest.raises(ValidationError, match=next(iter(fields))):
        shop.services.definitions.create("entitlement", asked)


def test_a_customer_with_a_subscription_keeps_the_id_that_events_carry(shop: Shop) -> None:
    shop.subscribe()
    customer = shop.services.definitions.by_key("customer", "acme")["id"]
    with pytest.raises(InvalidOperationError, match="external_id: events are billed by it"):
        shop.services.definitions.update("customer", customer, {"external_id": "emca"})
    shop.services.definitions.update("customer", customer, {"external_id": "acme", "name": "A"})


def test_a_subscription_that_cannot_be_billed_stops_no_other(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    broken, whole = shop.subscribe(), shop.subscribe()
    with shop.store.writing() as connection:
        item = {"price_id": "price_that_is_gone", "subscription_id": broken}
        Documents(connection).insert(Document("line_item", "subs_line_1", item, parent=broken))
    shop.use("e1", JUNE, image_count=1)
    shop.clock.now = JULY
    with pytest.raises(NotFoundError, match="price_that_is_gone"):
        shop.services.run()
    assert f"{broken} is not billed" in caplog.text
    told, _ = shop.services.invoices.listed()
    assert [(i["subscription_id"], i["total"]) for i in told] == [(whole, "0.10")]


ONCE = CATALOG.replace("usage_limit: 10}", "usage_limit: 10, usage_reset_period: NEVER}")


def images(told: list[dict[str, str]]) -> list[str | None]:
    """What invoices take for images, the opening left out."""
    return [one.get("image_in_hybrid") for one in told if "setup" not in one]


@pytest.mark.parametrize("changes", ["price", "line item"])
def test_an_allowance_that_never_resets_is_used_up_though_its_price_changes(
    tmp_path: Path, changes: str
) -> None:
    shop = opened_shop(tmp_path, ONCE)
    subscription = shop.subscribe("hybrid")
    for number, at in enumerate((JUNE, JULY)):
        shop.use(f"e{number}", at, image_count=10)
    change = {"amount": "0.30", "effective_from": JULY}
    if changes == "price":
        shop.services.definitions.update("price", price(shop, "image_in_hybrid")["id"], change)
    else:
        held = item(shop, subscription, "image_in_hybrid")["id"]
        shop.services.subscriptions.update_line_item(held, change)
    assert images(billed(shop, subscription, AUGUST)) == [None, "3.00"]


def test_what_never_resets_is_used_up_by_the_largest_of_each_month(tmp_path: Path) -> None:
    largest = ONCE.replace("{type: SUM, field: image_count}", "{type: MAX, field: image_count}")
    shop = opened_shop(tmp_path, largest)
    subscription = shop.subscribe("hybrid")
    for number, at in enumerate((JUNE, JULY, AUGUST)):
        shop.use(f"e{number}", at, image_count=6)
    told = billed(shop, subscription, AUGUST + timedelta(days=31))
    assert images(told) == [None, "0.40", "1.20"]


def parts(shop: Shop, subscription: str, at: datetime) -> list[dict[str, str]]:
    """June, billed in two parts."""
    found: list[dict[str, str]] = []
    for start, end in ((JUNE, at), (at, JULY)):
        shop.clock.now = end
        asked = {"subscription_id": subscription, "period_start": start, "period_end": end}
        drafted = shop.services.invoices.draft(asked)
        found.append(lines(shop.services.invoices.finalize(drafted["id"])))
    return found


def test_a_period_that_is_billed_in_parts_has_what_is_included_once(shop: Shop) -> None:
    subscription = shop.subscribe("hybrid")
    shop.bill(subscription)
    middle = JUNE + timedelta(days=15)
    for number, at in enumerate((JUNE, middle)):
        shop.use(f"e{number}", at, image_count=8)
    assert images(parts(shop, subscription, middle)) == [None, "1.20"]


def test_a_day_that_two_periods_share_has_what_is_included_once(shop: Shop) -> None:
    allow(shop, 10, "DAILY")
    noon = timedelta(hours=12)
    subscription = shop.subscribe(start_date=JUNE + noon)
    for number, at in enumerate((JULY, JULY + noon, JULY + 2 * noon)):
        shop.use(f"e{number}", at, image_count=8)
    (quota,) = shop.services.quotas.of("acme", JULY + noon)
    assert (int(quota.used), quota.resets_at) == (16, JULY + 2 * noon)
    assert billed(shop, subscription, AUGUST + noon) == [{}, {"image": "0.60"}]


def test_a_week_that_two_months_share_has_what_is_included_once(shop: Shop) -> None:
    allow(shop, 10, "WEEKLY")
    subscription = shop.subscribe()
    for number, day in enumerate((28, 30, 35)):  # the fifth week begins with 29 June
        shop.use(f"e{number}", JUNE + timedelta(days=day), image_count=8)
    assert billed(shop, subscription, AUGUST) == [{}, {"image": "0.60"}]


def test_a_monthly_allowance_is_given_each_month_of_several_billed_as_one(shop: Shop) -> None:
    allow(shop, 10, "MONTHLY")
    subscription = shop.subscribe(billing_period_count=3)
    for number, at in enumerate((JUNE, JULY, AUGUST)):
        shop.use(f"e{number}", at, image_count=8 + number)
    assert billed(shop, subscription, AUGUST + timedelta(days=31)) == [{}]


def test_an_allowance_for_a_quarter_is_given_four_times_in_twelve_months(shop: Shop) -> None:
    allow(shop, 10, "QUARTERLY")
    subscription = shop.subscribe(billing_period_count=12)
    for number, month in enumerate((6, 9, 12)):
        shop.use(f"e{number}", JUNE.replace(month=month), image_count=10)
    assert billed(shop, subscription, JUNE.replace(year=2027)) == [{}]
