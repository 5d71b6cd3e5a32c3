"""No time and no fixed price is billed twice or lost, whatever changes while it runs."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.engine.shop import AUGUST, JULY, JUNE, Shop, lines, opened_shop
from tests.engine.test_line_items import item, price
from tokenmeter.engine.errors import EngineError, InvalidOperationError
from tokenmeter.rating.rounding import plus

SEPTEMBER = AUGUST + timedelta(days=31)
MIDDLE = JUNE + timedelta(days=15)  # of thirty days
SEATS = """\
meters:
  images: {event_name: image_generated, aggregation: {type: SUM, field: image_count}}
plans:
  seats:
    prices:
      seat: {type: FIXED, amount: 30, invoice_cadence: ADVANCE}
      image: {meter: images, amount: 0.10}
"""


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return opened_shop(tmp_path)


@pytest.fixture
def seats(tmp_path: Path) -> Shop:
    """A shop that sells seats in advance."""
    return opened_shop(tmp_path, SEATS)


def billed(shop: Shop, subscription: str, at: datetime) -> list[dict[str, str]]:
    """What the invoices that are due at a time say."""
    shop.clock.now = at
    return [lines(invoice) for invoice in shop.bill(subscription)]


def amounts(shop: Shop, name: str = "seat") -> list[tuple[str, str]]:
    """Everything that was ever billed under a name: from when, how much."""
    invoices, _ = shop.services.invoices.listed()
    closed = [i for i in invoices if i["invoice_status"] == "FINALIZED"]
    told = [line for invoice in closed for line in invoice["line_items"]]
    return sorted((x["period_start"][:10], x["amount"]) for x in told if x["display_name"] == name)


def test_seats_that_are_added_in_a_paid_period_cost_the_difference(seats: Shop) -> None:
    subscription = seats.subscribe("seats")
    assert billed(seats, subscription, JUNE) == [{"seat": "30.00"}]
    seats.clock.now = MIDDLE
    one = item(seats, subscription, "seat")["id"]
    three = seats.services.subscriptions.update_line_item(one, {"quantity": 3})
    seats.clock.now = MIDDLE + timedelta(days=5)
    seats.services.subscriptions.update_line_item(three["id"], {"quantity": 2})
    seats.clock.now = JULY
    seats.bill(subscription)
    # 2 more for 5 of 30 days, 1 more for the last 10; the first seat was paid on 1 June.
    assert amounts(seats) == [
        *(("2026-06-01", "30.00"), ("2026-06-16", "10.00"), ("2026-06-21", "10.00")),
        ("2026-07-01", "60.00"),
    ]


def test_a_lower_price_gives_nothing_back_and_charges_nothing_again(seats: Shop) -> None:
    subscription = seats.subscribe("seats")
    seats.bill(subscription)
    seats.clock.now = MIDDLE
    seats.services.definitions.update("price", price(seats, "seat")["id"], {"amount": "20"})
    assert billed(seats, subscription, JULY) == [{"seat": "20.00"}]
    assert amounts(seats) == [("2026-06-01", "30.00"), ("2026-07-01", "20.00")]


@pytest.mark.parametrize("known", [JUNE, MIDDLE])
def test_a_price_that_changes_in_a_period_is_billed_once_whenever_it_was_known(
    seats: Shop, known: datetime
) -> None:
    subscription = seats.subscribe("seats")
    seats.bill(subscription) if known == MIDDLE else None
    change = {"amount": "60", "effective_from": MIDDLE}
    seats.services.definitions.update("price", price(seats, "seat")["id"], change)
    for at in (JULY, AUGUST):
        billed(seats, subscription, at)
    june = [Decimal(a) for at, a in amounts(seats) if at < "2026-07"]
    assert plus(june) == 45  # half a month at 30, half at 60
    assert [a for at, a in amounts(seats) if at >= "2026-07"] == ["60.00", "60.00"]


def test_a_price_that_is_to_change_in_the_next_period_is_billed_once(seats: Shop) -> None:
    subscription = seats.subscribe("seats")
    change = {"amount": "62", "effective_from": JULY + timedelta(days=15, hours=12)}
    seats.services.definitions.update("price", price(seats, "seat")["id"], change)
    for at in (JUNE, JULY, AUGUST):
        billed(seats, subscription, at)
    assert [a for _, a in amounts(seats)] == ["30.00", "15.00", "31.00", "62.00"]


@pytest.mark.parametrize("start", [JULY, JULY + timedelta(days=1)])
def test_what_is_added_after_its_period_was_billed_is_not_lost(
    shop: Shop, start: datetime
) -> None:
    subscription = shop.subscribe()
    billed(shop, subscription, JULY)
    for name in ("base", "setup"):
        asked = {"price_id": price(shop, name)["id"], "start_date": start}
        shop.services.subscriptions.add_line_item(subscription, asked)
    once = "30.00" if start == JULY else "29.03"
    assert billed(shop, subscription, AUGUST) == [
        {"base": f"{Decimal(once) + 30}", "setup": "99.00"}
    ]
    assert billed(shop, subscription, SEPTEMBER) == [{"base": "30.00"}]


def test_what_is_billed_late_is_billed_once_though_nothing_was_billed_before(shop: Shop) -> None:
    subscription = shop.subscribe()
    asked = {"price_id": price(shop, "base")["id"], "start_date": MIDDLE}
    shop.services.subscriptions.add_line_item(subscription, asked)
    assert billed(shop, subscription, JULY) == [{"base": "15.00"}, {"base": "30.00"}]


def test_a_subscription_whose_end_moves_bills_no_time_twice(shop: Shop) -> None:
    subscription = shop.subscribe(end_date=MIDDLE)
    shop.use("e1", JUNE, image_count=3)
    assert billed(shop, subscription, JULY) == [{"image": "0.30"}]
    shop.use("e2", MIDDLE, image_count=7)
    shop.services.subscriptions.update(subscription, {"end_date": AUGUST})
    wallet = shop.services.wallets.create({"external_customer_id": "acme", "currency": "usd"})
    assert shop.services.wallets.balance(wallet["id"])["real_time_balance"] == "-1"
    assert billed(shop, subscription, JULY) == [{"image": "0.70"}]
    shop.services.subscriptions.update(subscription, {"end_date": JUNE + timedelta(days=3)})
    assert billed(shop, subscription, AUGUST) == []


def test_a_period_that_is_billed_in_part_is_billed_for_the_rest(shop: Shop) -> None:
    subscription = shop.subscribe("hybrid")
    shop.clock.now = JULY
    early = {"subscription_id": subscription, "period_start": JUNE, "period_end": MIDDLE}
    whole = shop.services.invoices.draft({"subscription_id": subscription, "period_start": JUNE})
    shop.services.invoices.finalize(shop.services.invoices.draft(early)["id"])
    with pytest.raises(InvalidOperationError, match="INV-000001 bills 2026-06-01T00:00:00Z to"):
        shop.services.invoices.finalize(whole["id"])
    with pytest.raises(InvalidOperationError, match="bills 2026-06-01T00:00:00Z to 2026-06-16"):
        shop.services.invoices.draft({**early, "period_start": JUNE - timedelta(days=1)})
    shop.bill(subscription)
    assert amounts(shop, "seats") == [("2026-06-01", "10.00"), ("2026-06-16", "10.00")]
    assert amounts(shop, "base") == [("2026-06-01", "30.00"), ("2026-07-01", "30.00")]


@pytest.mark.parametrize("rate", ["1", "0.01"])
def test_what_a_closed_wallet_paid_goes_to_the_next_one_as_money(shop: Shop, rate: str) -> None:
    wallets, owner = shop.services.wallets, {"external_customer_id": "acme", "currency": "usd"}
    first = wallets.create({**owner, "initial_credits_to_load": "100"})["id"]
    subscription = shop.subscribe()
    shop.use("e1", JUNE, image_count=500)
    shop.clock.now = JULY
    (invoice,) = shop.bill(subscription)
    wallets.terminate(first)
    with pytest.raises(InvalidOperationError, match="A wallet paid 50 USD of this invoice"):
        shop.services.invoices.void(invoice["id"])
    second = wallets.create({**owner, "conversion_rate": rate})["id"]
    shop.services.invoices.void(invoice["id"])
    assert wallets.get(second)["balance"] == "50"
    assert wallets.get(first)["balance"] == "0"


def test_payments_at_one_time_never_add_up_to_more_than_is_owed(shop: Shop) -> None:
    subscription = shop.subscribe()
    shop.use("e1", JUNE, image_count=100)
    shop.clock.now = JULY
    (invoice,) = shop.bill(subscription)
    refused: list[EngineError] = []

    def pay() -> None:
        try:
            shop.services.invoices.pay(invoice["id"], Decimal(6))
        except EngineError as error:
            refused.append(error)

    threads = [threading.Thread(target=pay) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    told: dict[str, Any] = shop.services.invoices.get(invoice["id"])
    assert (told["amount_paid"], len(refused)) == ("6.00", 3)
    for wrong in ("NaN", "-1", "4.01"):
        with pytest.raises(EngineError, match=r"between 0 and 4\.00"):
            shop.services.invoices.pay(invoice["id"], Decimal(wrong))
    with pytest.raises(EngineError, match="USD has no smaller part"):
        shop.services.invoices.pay(invoice["id"], Decimal("0.001"))


def test_an_invoice_that_was_paid_is_not_voided_its_period_would_be_billed_again(
    shop: Shop,
) -> None:
    subscription = shop.subscribe()
    shop.use("e1", JUNE, image_count=100)
    shop.clock.now = JULY
    (invoice,) = shop.bill(subscription)
    shop.services.invoices.pay(invoice["id"], Decimal("2.50"))
    with pytest.raises(InvalidOperationError, match=r"2\.50? USD were paid on this invoice"):
        shop.services.invoices.void(invoice["id"])
    assert shop.bill(subscription) == []
    told = shop.services.invoices.get(invoice["id"])
    assert (told["invoice_status"], told["amount_remaining"]) == ("FINALIZED", "7.50")


def voided(shop: Shop, end: str) -> None:
    """Void the closed invoice of the period that ends on a day."""
    told, _ = shop.services.invoices.listed()
    (found,) = [
        i["id"]
        for i in told
        if i["period_end"].startswith(end) and i["period_start"] < i["period_end"]
    ]
    shop.services.invoices.void(found)


def test_an_advance_whose_invoice_is_voided_is_billed_by_the_one_that_is_made_again(
    seats: Shop,
) -> None:
    subscription = seats.subscribe("seats")
    billed(seats, subscription, JULY)
    voided(seats, "2026-07-01")
    seats.clock.now = JULY + timedelta(days=9)
    for first, last in ((0, 5), (5, 9)):
        part = {"period_start": JULY + timedelta(days=first)}
        part |= {"period_end": JULY + timedelta(days=last)}
        drafted = seats.services.invoices.draft({"subscription_id": subscription, **part})
        seats.services.invoices.finalize(drafted["id"])
    billed(seats, subscription, AUGUST)
    assert amounts(seats) == [
        *(("2026-06-01", "30.00"), ("2026-07-01", "30.00"), ("2026-08-01", "30.00")),
    ]


def test_an_invoice_that_is_made_again_leaves_out_what_was_billed_late(seats: Shop) -> None:
    subscription = seats.subscribe("seats")
    billed(seats, subscription, JULY)
    seats.clock.now = JULY + timedelta(days=15, hours=12)
    one = item(seats, subscription, "seat")["id"]
    seats.services.subscriptions.update_line_item(one, {"quantity": 3})
    billed(seats, subscription, AUGUST)
    voided(seats, "2026-07-01")
    seats.bill(subscription)
    july = [Decimal(a) for at, a in amounts(seats) if at.startswith("2026-07")]
    assert plus(july) == 60  # half a month of one seat, half of three
    assert billed(seats, subscription, AUGUST) == []


def test_a_period_after_the_end_of_a_subscription_is_not_invoiced(shop: Shop) -> None:
    subscription = shop.subscribe(end_date=JULY)
    later = {"subscription_id": subscription, "period_start": JULY, "period_end": AUGUST}
    with pytest.raises(EngineError, match="does not run in this period"):
        shop.services.invoices.draft(later)
