"""A subscription is active until its end, and no longer: nobody has to say so a second time."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.engine.shop import AUGUST, JULY, JUNE, Shop, opened_shop
from tokenmeter.engine.definitions.search import search_of
from tokenmeter.engine.entitled import Entitled
from tokenmeter.engine.errors import InvalidOperationError
from tokenmeter.engine.quotas import NoPlanError

MIDDLE = JULY + timedelta(days=15)


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return opened_shop(tmp_path)


def ended(shop: Shop) -> str:
    """A subscription that was to end with June; it is the middle of July."""
    subscription = shop.subscribe("hybrid")
    shop.use("e1", JUNE, image_count=3)
    shop.services.subscriptions.cancel(subscription, {"cancel_at_period_end": True})
    shop.clock.now = MIDDLE
    return subscription


def with_status(shop: Shop, status: str) -> list[str]:
    names = {"subscription_status": "subscription_status"}
    wanted = search_of({"subscription_status": status}, names)
    return [one["id"] for one in shop.services.subscriptions.search(wanted).items]


def test_who_was_to_leave_has_nothing_included_after_the_last_period(shop: Shop) -> None:
    ended(shop)
    shop.use("e2", MIDDLE, image_count=300)
    with pytest.raises(NoPlanError, match="no active subscription"):
        shop.services.quotas.of("acme", MIDDLE)
    entitled = Entitled(shop.store, shop.services.invoices, clock=shop.clock)
    customer = shop.services.definitions.by_key("customer", "acme")["id"]
    assert entitled.of_customer(customer)["features"] == []


def test_a_subscription_that_has_ended_is_shown_and_found_as_cancelled(shop: Shop) -> None:
    subscription = ended(shop)
    change = shop.services.subscriptions
    assert change.get(subscription)["subscription_status"] == "cancelled"
    assert (with_status(shop, "active"), with_status(shop, "cancelled")) == ([], [subscription])
    with pytest.raises(InvalidOperationError, match="not active"):
        change.cancel(subscription)
    assert change.get(subscription)["end_date"] == "2026-07-01T00:00:00Z"
    assert change.sync_plan("hybrid") == 0
    shop.services.definitions.delete(
        "customer", shop.services.definitions.by_key("customer", "acme")["id"]
    )


def test_who_takes_another_plan_after_the_end_is_billed_by_that_one(shop: Shop) -> None:
    ended(shop)
    shop.subscribe(start_date=JULY)
    shop.use("e2", MIDDLE, image_count=3)
    assert shop.services.invoice("acme")["total"] == "0.30"


def test_a_plan_that_is_to_begin_changes_nothing_before(shop: Shop) -> None:
    first = ended(shop)
    shop.clock.now = JUNE + timedelta(days=20)
    shop.subscribe(start_date=JULY)
    told: dict[str, Any] = shop.services.invoice("acme")
    assert told["subscription_id"] == first
    (quota,) = shop.services.quotas.of("acme", shop.clock.now)
    assert (quota.used, quota.resets_at) == (Decimal(3), JULY)
    with pytest.raises(NoPlanError):
        shop.services.quotas.of("acme", JUNE - timedelta(days=1))
    shop.clock.now = AUGUST
    assert shop.services.invoice("acme")["subscription_id"] != first


def test_who_cancels_and_subscribes_again_pays_for_each_call_once(shop: Shop) -> None:
    """Starts are in whole milliseconds, and so are ends: the two had shared one's part."""
    at = MIDDLE + timedelta(microseconds=1999)
    first = shop.subscribe()
    shop.clock.now = at
    shop.services.subscriptions.cancel(first)
    second = shop.subscribe(start_date=None)
    shop.use("e1", at - timedelta(microseconds=500), image_count=10)
    shop.use("e2", at - timedelta(microseconds=1500), image_count=1)
    shop.clock.now = AUGUST + timedelta(days=31)
    paid = [one["total"] for each in (first, second) for one in shop.bill(each)]
    assert sorted(amount for amount in paid if amount != "0.00") == ["0.10", "1.00"]
