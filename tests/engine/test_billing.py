"""Invoices: what is due, once, and the same bytes for ever."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.engine.shop import AUGUST, CATALOG, JULY, JUNE, Shop, lines, opened_shop
from tokenmeter import TokenMeter
from tokenmeter.engine.errors import (
    EngineError,
    InvalidOperationError,
    NotFoundError,
    ValidationError,
)
from tokenmeter.rating.errors import RatingError

FREE = "FREE_CREDIT_GRANT"


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return opened_shop(tmp_path)


def test_a_preview_keeps_nothing_and_shows_the_running_period(shop: Shop) -> None:
    shop.subscribe()
    shop.use("e1", JUNE + timedelta(days=1), image_count=3)
    shop.use("e2", JUNE + timedelta(days=2), image_count=2, quality="hd")
    shop.use("e3", JULY, image_count=100)
    told = shop.services.invoice("acme")
    assert lines(told) == {"image": "0.30", "image_hd": "0.50"}
    assert (told["invoice_status"], told["period_start"]) == ("DRAFT", "2026-06-01T00:00:00Z")
    assert told["period_end"] == "2026-07-01T00:00:00Z"
    assert shop.services.invoices.listed() == ([], 0)


def test_a_line_shows_quantity_unit_price_tiers_and_filters(shop: Shop) -> None:
    subscription = shop.subscribe()
    shop.use("e1", JUNE, "text", tokens=150)
    shop.use("e2", JUNE, image_count=2, quality="hd")
    found = {x["display_name"]: x for x in shop.preview(subscription, JUNE, JULY)["line_items"]}
    tokens = found["tokens"]
    assert (tokens["quantity"], tokens["amount"]) == ("150", "2.25")
    assert [(t["quantity"], t["amount"]) for t in tokens["tiers"]] == [
        *(("100", "1"), ("50", "1.25")),
    ]
    assert found["image_hd"]["filter_values"] == {"quality": ["hd"]}
    assert found["image_hd"]["unit_amount"] == "0.25"


def test_a_finalized_invoice_is_numbered_and_never_changes(shop: Shop) -> None:
    subscription = shop.subscribe()
    shop.use("e1", JUNE, image_count=3)
    shop.clock.now = JULY
    draft = shop.services.invoices.draft(
        {"subscription_id": subscription, "period_start": JUNE, "period_end": JULY}
    )
    assert draft["invoice_status"] == "DRAFT"
    with pytest.raises(InvalidOperationError, match="draft changes"):
        shop.services.invoices.document(draft["id"])
    done = shop.services.invoices.finalize(draft["id"])
    assert (done["invoice_status"], done["invoice_number"]) == ("FINALIZED", "INV-000001")
    kept = shop.services.invoices.document(done["id"])
    assert shop.services.invoices.rate_again(done["id"]) == shop.services.invoices.rated(
        done["id"]
    )
    for again in (
        shop.services.invoices.finalize,
        lambda _: shop.services.invoices.draft(  # pyright: ignore[reportUnknownLambdaType]
            {"subscription_id": subscription, "period_start": JUNE, "period_end": JULY}
        ),
    ):
        with pytest.raises(InvalidOperationError):
            again(done["id"])
    shop.use("late", JUNE, image_count=1000)
    assert shop.services.invoices.document(done["id"]) == kept
    assert shop.services.invoices.get("INV-000001")["total"] == "0.30"
    assert json.loads(kept)["invoice_number"] == "INV-000001"


def test_numbers_go_on_beyond_the_digits_that_they_begin_with(shop: Shop) -> None:
    subscription = shop.subscribe()
    for month in range(3):
        shop.use(f"e{month}", JUNE + timedelta(days=31 * month), image_count=1)
    shop.clock.now = JULY
    shop.bill(subscription)
    with shop.store.writing() as connection:
        connection.exec_driver_sql("UPDATE invoices SET number = 'INV-999999'")
    shop.clock.now = JULY + timedelta(days=70)
    numbers = [invoice["invoice_number"] for invoice in shop.bill(subscription)]
    assert numbers == ["INV-1000000", "INV-1000001"]


def test_late_events_are_shown_as_a_difference_of_the_closed_invoice(shop: Shop) -> None:
    subscription = shop.subscribe()
    shop.use("e1", JUNE, image_count=3)
    shop.clock.now = JULY
    (done,) = shop.bill(subscription)
    assert shop.services.invoices.difference(done["id"]) == []
    shop.use("late", JULY - timedelta(seconds=1), image_count=2)
    (line,) = shop.services.invoices.difference(done["id"])
    assert (line["display_name"], line["quantity"], line["amount"]) == ("image", "2", "0.2")
    assert shop.services.invoices.rate_again(done["id"]) != shop.services.invoices.rated(
        done["id"]
    )


def test_a_draft_is_rated_again_and_its_period_has_one(shop: Shop) -> None:
    subscription = shop.subscribe()
    asked = {"subscription_id": subscription}
    first = shop.services.invoices.draft(asked)
    shop.use("e1", JUNE, image_count=3)
    second = shop.services.invoices.draft(asked)
    assert (first["id"], first["total"], second["total"]) == (second["id"], "0.00", "0.30")
    assert shop.services.invoices.listed(customer="acme")[1] == 1


def test_a_wallet_is_debited_once_when_an_invoice_is_finalized(shop: Shop) -> None:
    subscription = shop.subscribe()
    wallets = shop.services.wallets
    wallet = wallets.create(
        {
            "external_customer_id": "acme",
            "currency": "usd",
            "conversion_rate": "0.01",
            "initial_credits_to_load": "45",
        }
    )["id"]
    shop.use("e1", JUNE, image_count=3)
    shop.use("e2", JUNE, image_count=2, quality="hd")
    assert wallets.get(wallet)["credit_balance"] == "45"  # events never debit
    assert wallets.balance(wallet)["real_time_balance"] == "-0.35"
    shop.clock.now = JULY
    (done,) = shop.bill(subscription)
    assert (done["total"], done["total_prepaid_credits_applied"]) == ("0.80", "0.45")
    assert (done["amount_due"], done["payment_status"]) == ("0.35", "PENDING")
    told = wallets.balance(wallet)
    assert (told["credit_balance"], told["real_time_balance"]) == ("0", "-0.35")
    assert told["unpaid_invoices_amount"] == "0.35"
    (debit, _) = wallets.transactions(wallet)["items"]
    assert (debit["type"], debit["credit_amount"], debit["reference_id"]) == (
        *("debit", "45"),
        done["id"],
    )
    assert shop.services.invoices.rate_again(done["id"]) == shop.services.invoices.rated(
        done["id"]
    )
    paid = shop.services.invoices.pay(done["id"])
    assert (paid["payment_status"], paid["amount_remaining"]) == ("SUCCEEDED", "0.00")
    assert wallets.balance(wallet)["real_time_balance"] == "0"
    with pytest.raises(ValidationError):
        shop.services.invoices.pay(done["id"], Decimal(1))


def test_a_void_gives_credits_back_and_frees_the_period(shop: Shop) -> None:
    subscription = shop.subscribe()
    wallets = shop.services.wallets
    asked = {"external_customer_id": "acme", "currency": "usd", "initial_credits_to_load": "5"}
    wallet = wallets.create(asked)["id"]
    shop.use("e1", JUNE, image_count=3)
    shop.clock.now = JULY
    (done,) = shop.bill(subscription)
    assert wallets.get(wallet)["credit_balance"] == "4.7"
    assert shop.services.invoices.void(done["id"])["invoice_status"] == "VOIDED"
    assert wallets.get(wallet)["credit_balance"] == "5"
    with pytest.raises(InvalidOperationError, match="VOIDED already"):
        shop.services.invoices.void(done["id"])
    (again,) = shop.bill(subscription)
    assert (again["invoice_number"], wallets.get(wallet)["credit_balance"]) == (
        *("INV-000002", "4.7"),
    )
    assert shop.bill(subscription) == []


def test_a_hybrid_plan_bills_advance_once_and_usage_after_its_allowance(shop: Shop) -> None:
    subscription = shop.subscribe("hybrid")
    shop.use("e1", JUNE, image_count=12)
    opening, *rest = shop.bill(subscription)
    assert rest == []
    assert lines(opening) == {"base": "30.00", "setup": "99.00"}
    assert opening["billing_reason"] == "SUBSCRIPTION_CREATE"
    shop.clock.now = JULY
    (june,) = shop.bill(subscription)
    assert lines(june) == {"base": "30.00", "seats": "20.00", "image_in_hybrid": "0.40"}
    used = next(x for x in june["line_items"] if x["display_name"] == "image_in_hybrid")
    assert (used["usage_quantity"], used["quantity"], used["adjusted_entitlement_quantity"]) == (
        *("12", "2"),
        "10",
    )
    base = next(x for x in june["line_items"] if x["display_name"] == "base")
    assert (base["period_start"], base["period_end"]) == (
        *("2026-07-01T00:00:00Z", "2026-08-01T00:00:00Z"),
    )


def test_a_calendar_cycle_charges_the_short_first_period_by_its_share(shop: Shop) -> None:
    start = JUNE + timedelta(days=15)  # half of June is left
    subscription = shop.subscribe("hybrid", start_date=start, billing_cycle="calendar")
    shop.clock.now = start
    (opening,) = shop.bill(subscription)
    assert lines(opening) == {"base": "15.00", "setup": "99.00"}
    shop.clock.now = JULY
    (june,) = shop.bill(subscription)
    assert (june["period_start"], june["period_end"]) == (
        *("2026-06-16T00:00:00Z", "2026-07-01T00:00:00Z"),
    )
    assert lines(june) == {"base": "30.00", "seats": "10.00"}


def test_periods_are_those_of_the_customers_time_zone(tmp_path: Path) -> None:
    shop = opened_shop(tmp_path, timezone="Asia/Kolkata")
    subscription = shop.subscribe(start_date=JUNE + timedelta(days=4), billing_cycle="calendar")
    told = shop.services.subscriptions.get(subscription)
    assert told["current_period_end"] == "2026-06-30T18:30:00Z"
    shop.use("e1", JULY - timedelta(hours=5, minutes=31), image_count=1)
    shop.use("e2", JULY - timedelta(hours=5, minutes=30), image_count=10)
    assert shop.services.invoice("acme")["total"] == "0.10"


def test_a_new_version_of_a_price_splits_the_period(shop: Shop, tmp_path: Path) -> None:
    subscription = shop.subscribe()
    shop.use("e1", JUNE + timedelta(days=1), image_count=1)
    shop.use("e2", JUNE + timedelta(days=20), image_count=1)
    path = tmp_path / "shop.yaml"
    path.write_text(CATALOG.replace("amount: 0.10", "amount: 0.50"), encoding="utf-8")
    shop.services.catalog.apply(path)  # in the middle of June
    told = shop.preview(subscription, JUNE, JULY)
    images = [x for x in told["line_items"] if x["display_name"] == "image"]
    assert [(x["amount"], x["period_start"][:10], x["period_end"][:10]) for x in images] == [
        ("0.10", "2026-06-01", "2026-06-15"),
        ("0.50", "2026-06-15", "2026-07-01"),
    ]
    assert told["unpriced"] == []


def test_an_override_bills_this_subscription_only(shop: Shop) -> None:
    prices = {p.fields["lookup_key"]: p.id for p in shop.services.catalog.target.list("price")}
    override = [{"price_id": prices["image"], "amount": "0.01"}]
    subscription = shop.subscribe(override_line_items=override)
    other = shop.subscribe()
    shop.use("e1", JUNE, image_count=10)
    assert lines(shop.preview(subscription, JUNE, JULY)) == {"image": "0.10"}
    assert lines(shop.preview(other, JUNE, JULY)) == {"image": "1.00"}


def test_an_allowance_is_shared_by_the_prices_of_its_meter(tmp_path: Path) -> None:
    more = CATALOG.replace(
        "  hybrid:\n", "    entitlements: {images: {usage_limit: 10}}\n  hybrid:\n"
    )
    shop = opened_shop(tmp_path, more)
    subscription = shop.subscribe()
    shop.use("e1", JUNE, image_count=8)
    shop.use("e2", JUNE, image_count=8, quality="hd")
    assert lines(shop.preview(subscription, JUNE, JULY)) == {"image_hd": "1.50"}  # 6 of 8


@pytest.mark.parametrize(
    ("reset", "june", "july"),
    [
        ("DAILY", "0.70", "0.50"),  # 5 of 15, 2 of 12; 5 of 15
        ("MONTHLY", "1.70", "0.50"),
        ("NEVER", "1.70", "1.50"),
    ],
)
def test_an_allowance_resets_as_it_says(tmp_path: Path, reset: str, june: str, july: str) -> None:
    own = f"    entitlements: {{images: {{usage_limit: 10, usage_reset_period: {reset}}}}}\n"
    shop = opened_shop(tmp_path, CATALOG.replace("  hybrid:\n", f"{own}  hybrid:\n"))
    subscription = shop.subscribe()
    shop.use("e1", JUNE, image_count=15)
    shop.use("e2", JUNE + timedelta(days=3), image_count=12)
    shop.use("e3", JULY, image_count=15)
    assert shop.preview(subscription, JUNE, JULY)["total"] == june
    assert shop.preview(subscription, JULY, AUGUST)["total"] == july


def test_usage_above_a_commitment_costs_the_factor(shop: Shop) -> None:
    subscription = shop.subscribe(commitment_amount="1", overage_factor="1.5")
    shop.use("e1", JUNE, image_count=16)
    told = shop.preview(subscription, JUNE, JULY)
    assert lines(told) == {"image": "1.00", "image overage": "0.90"}
    assert shop.services.rate("acme")["has_overage"] is True


def test_a_commitment_that_is_not_used_is_trued_up(shop: Shop) -> None:
    subscription = shop.subscribe(commitment_amount="5", overage_factor="1.5", enable_true_up=True)
    shop.use("e1", JUNE, image_count=16)
    told = shop.preview(subscription, JUNE, JULY)
    assert lines(told) == {"image": "1.60", "Commitment true-up": "3.40"}


def test_too_many_properties_are_said_and_not_guessed(tmp_path: Path) -> None:
    keys = ", ".join(f"k{i}: x" for i in range(23))
    more = f"      odd: {{meter: images, amount: 9, filter_values: {{{keys}}}}}\n"
    image = "      image: {meter: images, amount: 0.10}\n"
    shop = opened_shop(tmp_path, CATALOG.replace(image, more, 1))
    subscription = shop.subscribe()
    shop.use("e1", JUNE, image_count=1)
    (row,) = shop.preview(subscription, JUNE, JULY)["unpriced"]
    assert "more than 24 properties" in row["reason"]


def test_usage_lowers_what_can_be_held_and_an_invoice_keeps_it_so(shop: Shop) -> None:
    subscription = shop.subscribe()
    wallets = shop.services.wallets
    asked = {"external_customer_id": "acme", "currency": "usd", "initial_credits_to_load": "5"}
    wallets.create(asked)
    shop.use("e1", JUNE, image_count=30)
    assert wallets.available("acme") == 2
    hold = wallets.hold("acme", Decimal("1.5"))
    shop.use("call", shop.clock.now, image_count=10)
    wallets.settle(hold.id, Decimal(1), reference="call")
    shop.clock.move(6)
    assert wallets.available("acme") == 1  # 4.00 used, and the settled call is among it
    shop.clock.now = JULY
    shop.bill(subscription)
    shop.clock.move(6)
    assert wallets.available("acme") == 1


def test_a_commitment_may_last_several_periods(shop: Shop) -> None:
    subscription = shop.subscribe(
        commitment_amount="3",
        overage_factor="2",
        enable_true_up=True,
        commitment_duration="QUARTERLY",
    )
    shop.use("e1", JUNE, image_count=20)
    shop.use("e2", JULY, image_count=15)
    assert lines(shop.preview(subscription, JUNE, JULY)) == {"image": "2.00"}
    assert lines(shop.preview(subscription, JULY, AUGUST)) == {
        "image": "1.00",
        "image overage": "1.00",
    }
    september = AUGUST + timedelta(days=31)
    assert shop.preview(subscription, AUGUST, september)["total"] == "0.00"


def test_a_cancelled_subscription_bills_up_to_its_end(shop: Shop) -> None:
    subscription = shop.subscribe("hybrid")
    shop.use("e1", JUNE + timedelta(days=20), image_count=100)
    shop.services.subscriptions.cancel(subscription)
    shop.clock.now = JULY
    _, june = shop.bill(subscription)
    assert june["period_end"] == "2026-06-15T00:00:00Z"
    assert lines(june) == {"seats": "9.33"}  # 14 of 30 days, and no advance for July
    assert shop.bill(subscription) == []
    with pytest.raises(InvalidOperationError, match="not active"):
        shop.services.subscriptions.cancel(subscription)


def test_a_line_item_bills_from_when_to_when_it_says(shop: Shop) -> None:
    subscription = shop.subscribe("hybrid")
    items = shop.services.subscriptions.get(subscription)["line_items"]
    seats = next(i for i in items if i["display_name"] == "seats")
    changed = shop.services.subscriptions.update_line_item(seats["id"], {"quantity": 5})
    assert (changed["quantity"], changed["start_date"]) == ("5", "2026-06-15T00:00:00Z")
    told = shop.preview(subscription, JUNE, JULY)
    assert lines(told)["seats"] == "36.00"  # 2 for 14 days, 5 for 16
    shop.services.subscriptions.end_line_item(changed["id"])
    base = next(i for i in items if i["display_name"] == "base")
    asked = {"price_id": base["price_id"]}
    with pytest.raises(ValidationError, match="bills this price already"):
        shop.services.subscriptions.add_line_item(subscription, asked)


def test_a_plans_later_prices_come_with_a_sync(shop: Shop, tmp_path: Path) -> None:
    subscription = shop.subscribe()
    shop.use("e1", JUNE, "video", seconds=5)
    path = tmp_path / "shop.yaml"
    meter = "  seconds: {event_name: video_generated, aggregation: {type: SUM, field: seconds}}\n"
    text = CATALOG.replace("features:\n", f"{meter}features:\n")
    text = text.replace(
        "      image:", "      second: {meter: seconds, amount: 2}\n      image:", 1
    )
    path.write_text(text, encoding="utf-8")
    shop.services.catalog.apply(path)
    (unpriced,) = shop.preview(subscription, JUNE, JULY)["unpriced"]
    assert unpriced["quantities"] == {"seconds": "5"}
    assert shop.services.subscriptions.sync_plan("metered") == 1
    assert shop.services.subscriptions.sync_plan("metered") == 0
    assert lines(shop.preview(subscription, JUNE, JULY)) == {"second": "10.00"}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"plan_id": "none"}, "no plan 'none'"),
        ({"external_customer_id": "nobody"}, "nobody"),
        ({"currency": "eur"}, "no price in EUR"),
        ({"billing_period": "WEEKLY"}, "billed WEEKLY"),
        ({"billing_period": "SOMETIMES"}, "invalid billing period"),
        ({"end_date": JUNE - timedelta(days=1)}, "cannot end before it starts"),
        ({"commitment_amount": "5", "overage_factor": "0.5"}, "at least 1"),
        ({"override_line_items": [{"price_id": "none", "amount": "1"}]}, "no price 'none'"),
    ],
)
def test_a_subscription_that_makes_no_sense_is_refused(
    shop: Shop, fields: dict[str, Any], said: str
) -> None:
    with pytest.raises((EngineError, RatingError), match=said):
        shop.subscribe(**fields)
    assert shop.services.subscriptions.list() == []


def test_questions_that_make_no_sense_are_refused(shop: Shop) -> None:
    subscription = shop.subscribe()
    with pytest.raises(ValidationError, match="cannot end before it starts"):
        shop.preview(subscription, JULY, JUNE)
    with pytest.raises(NotFoundError, match="no invoice"):
        shop.services.invoices.get("inv_1")
    shop.services.definitions.create("customer", {"external_id": "other", "name": "o"})
    with pytest.raises(NotFoundError, match="no active subscription"):
        shop.services.invoice("other")
    shop.subscribe()
    with pytest.raises(NotFoundError, match="several subscriptions"):
        shop.services.invoice("acme")
    with pytest.raises(NotFoundError, match="no customer"):
        shop.services.invoices.listed(customer="nobody")


def test_usage_attributed_to_an_environment_is_billed_and_grouped_by_it(tmp_path: Path) -> None:
    shop = opened_shop(tmp_path)
    shop.subscribe()
    meter = TokenMeter(f"sqlite:///{tmp_path / 'shop.db'}")
    with meter.attribute(customer="acme", environment="prod"):
        meter.record("image_generated", usage={"image_count": 3}, timestamp=JUNE)
    meter.record("image_generated", usage={"image_count": 1}, customer="acme", timestamp=JUNE)
    assert meter.flush(30)
    engine = meter.engine
    assert lines(engine.invoice("acme", start=JUNE, end=JULY)) == {"image": "0.40"}
    found = {r.group["environment"]: r.events for r in engine.usage(by=["environment"])}
    assert found == {"prod": 1, None: 1}
    (row,) = engine.usage(filters={"environment": "prod"}, metrics=["image_count"])
    assert row.usage.image_count == 3
    meter.shutdown()


def test_a_time_without_a_zone_is_refused_and_not_taken_as_of_this_machines(shop: Shop) -> None:
    naive = datetime(2026, 6, 1)  # noqa: DTZ001
    with pytest.raises(ValidationError, match="start_date needs a time zone"):
        shop.subscribe(start_date=naive)
    shop.subscribe(start_date="2026-06-01")
    with pytest.raises(ValidationError, match="period_start needs a time zone"):
        shop.services.invoice("acme", start=naive)
    assert shop.services.invoice("acme")["period_start"] == "2026-06-01T00:00:00Z"
