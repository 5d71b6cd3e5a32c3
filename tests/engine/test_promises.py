"""What a customer promised to use is promised once in its time, whatever is billed apart in it."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.engine.shop import AUGUST, JULY, JUNE, Shop, lines, opened_shop
from tests.engine.test_billed_once import billed
from tests.engine.test_line_items import item, price
from tests.engine.test_rhythms import parts

MIDDLE = JUNE + timedelta(days=15)
HUNDRED = {"commitment_amount": "100", "overage_factor": "2", "enable_true_up": True}


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return opened_shop(tmp_path)


def use(shop: Shop, **images: datetime) -> None:
    """Use images: `e400=JUNE` are 400 of 10 cents."""
    for key, at in images.items():
        shop.use(key, at, image_count=int(key[1:]))


def own(shop: Shop, **more: Any) -> str:
    """Subscribe with a commitment of the line item's own."""
    terms = {**HUNDRED, **more}
    return shop.subscribe(line_item_commitments={price(shop, "image")["id"]: terms})


def changed(shop: Shop, subscription: str, change: str) -> None:
    """Have the price of images be 20 cents from the middle of June on."""
    new = {"amount": "0.20", "effective_from": MIDDLE}
    if change == "price":
        shop.services.definitions.update("price", price(shop, "image")["id"], new)
    else:
        one = item(shop, subscription, "image")["id"]
        shop.services.subscriptions.update_line_item(one, new)


@pytest.mark.parametrize("change", ["price", "line item"])
@pytest.mark.parametrize(
    ("first", "second", "charged"),
    [
        ("e100", "e110", "100.00"),  # 10 and 22: both are within
        ("e600", "e610", "264.00"),  # 60 and 122: 82 of them are above
        ("e1100", "e50", "140.00"),  # 110 and 10: all of the second is above
    ],
)
def test_a_line_items_commitment_is_one_though_its_price_changes(
    shop: Shop, change: str, first: str, second: str, charged: str
) -> None:
    subscription = own(shop)
    changed(shop, subscription, change)
    use(shop, **{first: JUNE, second: MIDDLE})
    shop.clock.now = JULY
    (june,) = shop.bill(subscription)
    assert june["total"] == charged


def test_a_line_item_that_ends_is_trued_up_then(shop: Shop) -> None:
    subscription = own(shop)
    shop.services.subscriptions.end_line_item(item(shop, subscription, "image")["id"])
    assert billed(shop, subscription, JULY) == [{"image": "100.00"}]


@pytest.mark.parametrize(
    ("used", "charged"),
    [(("e100", "e110"), ["10.00", "90.00"]), (("e600", "e610"), ["60.00", "82.00"])],
)
@pytest.mark.parametrize("whose", ["subscription", "line item"])
def test_a_commitment_is_one_in_a_period_that_is_billed_in_parts(
    shop: Shop, whose: str, used: tuple[str, str], charged: list[str]
) -> None:
    subscription = shop.subscribe(**HUNDRED) if whose == "subscription" else own(shop)
    use(shop, **dict(zip(used, (JUNE, MIDDLE), strict=True)))
    parts(shop, subscription, MIDDLE)
    told, _ = shop.services.invoices.listed()
    assert [i["total"] for i in reversed(told)] == charged


def test_usage_under_a_commitment_of_its_own_uses_up_no_other(shop: Shop) -> None:
    """The subscription promises 5 a quarter for everything but images."""
    promise = {"commitment_amount": "5", "commitment_duration": "QUARTERLY", "overage_factor": "2"}
    images = {price(shop, "image")["id"]: {"commitment_amount": "1", "overage_factor": "1"}}
    subscription = shop.subscribe(**promise, line_item_commitments=images)
    use(shop, e400=JUNE)
    shop.use("tokens", JULY, "text", tokens=100)
    shop.clock.now = JULY + timedelta(days=31)
    june, july = (lines(invoice) for invoice in shop.bill(subscription))
    assert (june, july) == ({"image": "40.00"}, {"tokens": "1.00"})


def test_a_commitment_is_trued_up_where_its_period_ends_and_not_before(shop: Shop) -> None:
    subscription = own(shop)
    use(shop, e100=JUNE)
    assert lines(shop.preview(subscription, JUNE, MIDDLE)) == {"image": "10.00"}
    assert lines(shop.preview(subscription, MIDDLE, JULY)) == {"image": "90.00"}


def test_what_is_missing_of_a_commitment_is_no_usage_and_can_be_held(shop: Shop) -> None:
    """A wallet that pays for usage does not pay for it either, once it is billed."""
    subscription = shop.subscribe(**HUNDRED)
    owner = {"external_customer_id": "acme", "currency": "usd"}
    shop.services.wallets.create({**owner, "initial_credits_to_load": "50"})
    use(shop, e100=JUNE)
    assert shop.services.wallets.available("acme") == 40
    shop.clock.now = JULY
    shop.bill(subscription)
    shop.clock.move(6)
    assert shop.services.wallets.available("acme") == 40


def test_a_commitment_is_due_though_no_usage_has_a_price_any_more(shop: Shop) -> None:
    subscription = shop.subscribe(**HUNDRED)
    for name in ("image", "image_hd", "tokens"):
        held = item(shop, subscription, name)["id"]
        shop.services.subscriptions.end_line_item(held, {"effective_from": JULY})
    use(shop, e100=JUNE)
    assert billed(shop, subscription, AUGUST) == [
        {"image": "10.00", "Commitment true-up": "90.00"},
        {"Commitment true-up": "100.00"},
    ]
