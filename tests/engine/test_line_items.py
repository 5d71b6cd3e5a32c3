"""What a subscription bills, changed while it runs: nothing twice, nothing silently."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.engine.shop import AUGUST, JULY, JUNE, Shop, lines, opened_shop
from tokenmeter.engine.errors import InvalidOperationError, ValidationError
from tokenmeter.engine.usage_analytics import Analytics
from tokenmeter.event import Event
from tokenmeter.rating.errors import RatingError

MIDDLE = JUNE + timedelta(days=15)


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return opened_shop(tmp_path)


def item(shop: Shop, subscription: str, name: str) -> dict[str, Any]:
    """The line item of a name that began first."""
    items = shop.services.subscriptions.get(subscription)["line_items"]
    found: dict[str, Any] = next(i for i in items if i["display_name"] == name)
    return found


def price(shop: Shop, name: str) -> dict[str, Any]:
    return shop.services.definitions.by_key("price", name)


def test_a_quantity_of_0_is_billed_as_0(shop: Shop) -> None:
    subscription = shop.subscribe("hybrid")
    base = item(shop, subscription, "base")["id"]
    shop.services.subscriptions.update_line_item(base, {"quantity": 0, "effective_from": JUNE})
    (opening,) = shop.bill(subscription)
    assert lines(opening) == {"setup": "99.00"}


def test_a_line_item_that_has_ended_is_neither_changed_nor_ended_again(shop: Shop) -> None:
    subscription = shop.subscribe("hybrid")
    seats = item(shop, subscription, "seats")["id"]
    change = shop.services.subscriptions
    change.update_line_item(seats, {"quantity": 5})
    with pytest.raises(InvalidOperationError, match="ended already, at 2026-06-15T00:00:00Z"):
        change.update_line_item(seats, {"quantity": 7})
    shop.clock.now = JULY
    with pytest.raises(InvalidOperationError, match="ended already"):
        change.end_line_item(seats)
    assert lines(shop.preview(subscription, JUNE, JULY))["seats"] == "36.00"


def test_a_line_item_cannot_end_before_it_starts(shop: Shop) -> None:
    subscription = shop.subscribe()
    shop.use("e1", JUNE, image_count=3)
    image, early = (
        item(shop, subscription, "image")["id"],
        {"effective_from": "2026-05-01T00:00:00Z"},
    )
    for act in ("end_line_item", "update_line_item"):
        with pytest.raises(ValidationError, match="before it starts"):
            getattr(shop.services.subscriptions, act)(image, early)
    assert lines(shop.preview(subscription, JUNE, JULY)) == {"image": "0.30"}


def test_a_line_item_that_is_to_end_ends_though_it_is_changed_before(shop: Shop) -> None:
    subscription = shop.subscribe("hybrid")
    seats = item(shop, subscription, "seats")["id"]
    shop.services.subscriptions.end_line_item(seats, {"effective_from": JULY})
    changed = shop.services.subscriptions.update_line_item(seats, {"quantity": 3})
    assert changed["end_date"] == "2026-07-01T00:00:00Z"


def test_a_price_whose_next_version_waits_is_billed_once(shop: Shop) -> None:
    update = shop.services.definitions.update
    later = {"amount": "0.20", "effective_from": MIDDLE}
    update("price", price(shop, "image")["id"], later)
    update("price", price(shop, "seats")["id"], {"amount": "20", "effective_from": MIDDLE})
    one, other = shop.subscribe(), shop.subscribe("hybrid")
    shop.use("e1", JUNE, image_count=1)
    shop.use("e2", MIDDLE, image_count=1)
    assert shop.preview(one, JUNE, JULY)["total"] == "0.30"
    assert lines(shop.preview(other, JUNE, JULY))["seats"] == "30.00"  # 2 x 10, then 2 x 20


@pytest.mark.parametrize("at", [JUNE + timedelta(days=5), JULY])
def test_a_subscription_is_not_cancelled_before_its_running_period(
    shop: Shop, at: datetime
) -> None:
    subscription = shop.subscribe()
    shop.clock.now = JULY + timedelta(days=3)
    with pytest.raises(ValidationError, match="after the start of the running period, 2026-07-01"):
        shop.services.subscriptions.cancel(subscription, {"cancel_at": at})


def test_a_credit_for_the_rest_of_a_cancelled_period_is_refused(shop: Shop) -> None:
    subscription = shop.subscribe()
    with pytest.raises(ValidationError, match="proration_behavior: nothing is given back"):
        shop.services.subscriptions.cancel(
            subscription, {"proration_behavior": "create_prorations"}
        )
    shop.services.subscriptions.cancel(subscription, {"proration_behavior": "none"})


def test_an_update_ends_a_subscription_as_a_cancellation_does(shop: Shop) -> None:
    subscription = shop.subscribe()
    update = shop.services.subscriptions.update
    ended = update(subscription, {"cancel_at_period_end": True})
    assert (ended["end_date"], ended["cancel_at_period_end"]) == ("2026-07-01T00:00:00Z", True)
    again = update(subscription, {"cancel_at_period_end": False})
    assert (again["end_date"], again["cancel_at_period_end"]) == (None, False)
    assert update(subscription, {"cancel_at": AUGUST})["end_date"] == "2026-08-01T00:00:00Z"


@pytest.mark.parametrize("how", ["changed", "ended and added"])
def test_usage_before_and_after_a_line_item_is_replaced_is_billed_once(
    shop: Shop, how: str
) -> None:
    subscription = shop.subscribe()
    change, image = shop.services.subscriptions, item(shop, subscription, "image")
    shop.use("e1", JUNE, image_count=10)
    shop.use("e2", MIDDLE, image_count=20)
    if how == "changed":
        change.update_line_item(image["id"], {"effective_from": MIDDLE})
    else:
        change.end_line_item(image["id"], {"effective_from": MIDDLE})
        change.add_line_item(subscription, {"price_id": image["price_id"], "start_date": MIDDLE})
    told = shop.preview(subscription, JUNE, JULY)
    billed = [(x["usage_quantity"], x["amount"]) for x in told["line_items"]]
    assert [line for line in billed if line[0] != "0"] == [("10", "1.00"), ("20", "2.00")]
    found = Analytics(shop.store, shop.services.invoices).answer(
        {"external_customer_id": "acme", "start_time": JUNE, "end_time": JULY}, JULY
    )
    assert found["total_cost"] == "3"
    margins = shop.services.margin(["customer"], start=JUNE, end=JULY)
    assert [row.charge for row in margins] == [3]


def test_units_that_a_later_line_item_bills_are_estimated_and_held_once(shop: Shop) -> None:
    subscription = shop.subscribe()
    change, tokens = shop.services.subscriptions, item(shop, subscription, "tokens")
    change.update_line_item(tokens["id"], {"effective_from": MIDDLE})
    shop.clock.now = MIDDLE + timedelta(days=1)
    more = Event("text_generated", "e1", "acme", shop.clock.now, {"tokens": 100})
    assert shop.services.charge(more).amount == 1
    shop.services.wallets.create(
        {"external_customer_id": "acme", "currency": "usd", "initial_credits_to_load": "1.50"}
    )
    shop.services.wallets.hold("acme", 0, events=[more])
    assert shop.services.wallets.available("acme") == Decimal("0.50")


def test_a_price_is_not_added_beside_the_line_item_that_is_still_to_end(shop: Shop) -> None:
    subscription = shop.subscribe()
    change, image = shop.services.subscriptions, item(shop, subscription, "image")
    change.end_line_item(image["id"], {"effective_from": JULY})
    again = {"price_id": image["price_id"], "start_date": MIDDLE}
    with pytest.raises(ValidationError, match="bills this price already"):
        change.add_line_item(subscription, again)
    alike = {"meter_id": image["meter_id"], "type": "USAGE", "billing_model": "FLAT_FEE"}
    own = {**alike, "amount": "1", "billing_period": "MONTHLY", "invoice_cadence": "ARREAR"}
    with pytest.raises(RatingError, match="match the same events"):
        change.add_line_item(subscription, {"price": own, "start_date": MIDDLE})
    change.add_line_item(subscription, {**again, "start_date": JULY})


def test_a_line_item_is_changed_again_and_may_come_back_at_another_price(shop: Shop) -> None:
    """Each price of the subscription's own had stood in the way of the next one."""
    subscription = shop.subscribe()
    held = item(shop, subscription, "image")
    for day, amount in enumerate(("0.20", "0.30")):
        change = {"amount": amount, "effective_from": JUNE + timedelta(days=day + 1)}
        held = shop.services.subscriptions.update_line_item(held["id"], change)
    shop.services.subscriptions.end_line_item(held["id"], {"effective_from": MIDDLE})
    own = {"meter_id": "images", "amount": "0.40", "billing_model": "FLAT_FEE", "type": "USAGE"}
    own |= {"billing_period": "MONTHLY", "invoice_cadence": "ARREAR", "display_name": "image"}
    again = {"price": own, "start_date": MIDDLE}
    shop.services.subscriptions.add_line_item(subscription, again)
    with pytest.raises(RatingError, match="match the same events"):
        shop.services.subscriptions.add_line_item(subscription, again)
    for day in (0, 1, 2, 15):
        shop.use(f"e{day}", JUNE + timedelta(days=day), image_count=10)
    shop.clock.now = JULY
    (june,) = shop.bill(subscription)
    assert [line["amount"] for line in june["line_items"] if line["display_name"] == "image"] == [
        *("1.00", "2.00", "3.00", "4.00"),
    ]


@pytest.mark.parametrize("whose", ["plan", "subscription"])
def test_a_line_item_that_changes_inherits_from_the_version_that_is_in_force(
    shop: Shop, whose: str
) -> None:
    held = price(shop, "image")["id"]
    own = [{"price_id": held, "amount": "0.05"}] if whose == "subscription" else []
    subscription = shop.subscribe(override_line_items=own)
    image = item(shop, subscription, "image")
    change = {"amount": "3", "effective_from": MIDDLE}
    shop.services.definitions.update("price", image["price_id"], change)
    shop.clock.now = MIDDLE + timedelta(days=1)
    packages = {"billing_model": "PACKAGE", "transform_quantity": {"divide_by": 10}}
    shop.services.subscriptions.update_line_item(image["id"], packages)
    shop.use("e1", shop.clock.now, image_count=15)
    assert lines(shop.preview(subscription, JUNE, JULY)) == {"image": "6.00"}
