"""Credit grants: each given once, at its time, until its end."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tests.engine.shop import AUGUST, CATALOG, JULY, JUNE, Shop, lines, opened_shop
from tokenmeter.engine.store.documents import Documents
from tokenmeter.rating.errors import RatingError

GRANTS = """\
    credit_grants:
      welcome: {credits: 5, priority: 1}
      monthly: {credits: 10, cadence: RECURRING, period: MONTHLY, expiration_type: BILLING_CYCLE}
      trial: {credits: 3, expiration_type: DURATION, expiration_duration: 20, \
expiration_duration_unit: DAY}
"""


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return opened_shop(tmp_path, CATALOG.replace("  hybrid:\n", f"{GRANTS}  hybrid:\n"))


def balance(shop: Shop) -> str:
    (wallet,) = shop.services.wallets.of_customer("acme")
    return str(wallet["credit_balance"])


def test_what_is_due_is_given_once_and_expires(shop: Shop) -> None:
    subscription = shop.subscribe()
    given = shop.services.grants.give(subscription)
    assert sorted(g["credit_amount"] for g in given) == ["10", "3", "5"]
    assert {g["transaction_reason"] for g in given} == {"SUBSCRIPTION_CREDIT_GRANT"}
    assert balance(shop) == "18"
    assert shop.services.grants.give(subscription) == []
    assert balance(shop) == "18"
    shop.clock.now = JUNE + timedelta(days=20)
    assert balance(shop) == "15"
    shop.clock.now = JULY
    assert balance(shop) == "5"
    shop.services.grants.give(subscription)
    assert balance(shop) == "15"
    shop.clock.now = AUGUST + timedelta(days=1)
    shop.services.grants.give(subscription)
    assert balance(shop) == "15"


def test_grants_pay_the_invoice_in_their_order(shop: Shop) -> None:
    shop.subscribe()
    shop.use("e1", JUNE + timedelta(days=1), image_count=70)
    shop.services.run()
    shop.clock.now = JULY - timedelta(seconds=1)
    assert shop.services.wallets.of_customer("acme", real_time=True)[0]["real_time_balance"] == "8"
    shop.clock.now = JULY
    (june,) = shop.services.run()
    assert lines(june) == {"image": "7.00"}
    assert june["total_prepaid_credits_applied"] == "7.00"


def test_the_first_short_term_of_a_calendar_grant_gives_its_share(shop: Shop) -> None:
    start = JUNE + timedelta(days=15)
    shop.clock.now = start
    subscription = shop.subscribe(start_date=start, billing_cycle="calendar")
    given = shop.services.grants.give(subscription)
    assert sorted(g["credit_amount"] for g in given) == ["3", "5", "5"]
    shop.clock.now = JULY
    assert [g["credit_amount"] for g in shop.services.grants.give(subscription)] == ["10"]


def test_a_subscriptions_own_grant_is_given_too(shop: Shop) -> None:
    own = [{"name": "bonus", "credits": "7", "cadence": "ONETIME"}]
    subscription = shop.subscribe("hybrid", credit_grants=own)
    shop.services.grants.give(subscription)
    assert balance(shop) == "7"


def test_the_daily_run_looks_at_wallets_too(shop: Shop) -> None:
    shop.subscribe("hybrid")
    low = {"critical": {"threshold": "5"}}
    asked = {"external_customer_id": "acme", "currency": "usd", "alert_settings": low}
    wallet = shop.services.wallets.create({**asked, "initial_credits_to_load": "6"})["id"]
    shop.use("e1", JUNE, image_count=20)  # 10 of them for 0.20
    shop.services.run()
    assert shop.services.wallets.get(wallet)["alert_state"] == "critical"


def test_a_wallet_that_cannot_be_watched_stops_the_daily_run_for_no_other(shop: Shop) -> None:
    """The first of two customers has a wallet with settings that nobody can read."""
    low = {"critical": {"threshold": "5"}}
    shop.services.definitions.create("customer", {"external_id": "other"})
    made = {}
    for customer in ("acme", "other"):
        shop.subscribe("hybrid", external_customer_id=customer)
        asked = {"external_customer_id": customer, "currency": "usd", "alert_settings": low}
        made[customer] = shop.services.wallets.create({**asked, "initial_credits_to_load": "4"})
    with shop.store.writing() as connection:
        documents = Documents(connection)
        held = documents.get("wallet", made["acme"]["id"])
        documents.replace(replace(held, body={**held.body, "wallet_type": "BROKEN"}))
    with pytest.raises(RatingError, match="PRE_PAID or POST_PAID"):
        shop.services.run()
    assert shop.services.wallets.get(made["other"]["id"])["alert_state"] == "critical"


def test_upcoming_grants_are_listed(shop: Shop) -> None:
    subscription = shop.subscribe()
    listed = shop.services.grants.upcoming(subscription, AUGUST)
    assert {one.pop("subscription_id") for one in listed} == {subscription}
    assert {one.pop("application_status") for one in listed} == {"pending"}
    assert len({one.pop("credit_grant_id") for one in listed}) == 1
    assert listed == [
        {"credits": "10", "scheduled_for": "2026-07-01T00:00:00Z"},
        {"credits": "10", "scheduled_for": "2026-08-01T00:00:00Z"},
    ]


def test_a_cancelled_subscription_grants_no_more(shop: Shop) -> None:
    subscription = shop.subscribe()
    shop.services.subscriptions.cancel(subscription)
    shop.clock.now = JULY
    given = shop.services.grants.give(subscription)
    assert sorted(g["credit_amount"] for g in given) == ["5"]  # the others have expired


def test_what_was_given_to_a_wallet_that_is_closed_is_not_given_again(shop: Shop) -> None:
    subscription = shop.subscribe()
    shop.services.definitions.create(
        "credit_grant",
        {
            "name": "welcome",
            "scope": "SUBSCRIPTION",
            "subscription_id": subscription,
            "credits": "10",
            "cadence": "ONETIME",
        },
    )
    given = shop.services.grants.give(subscription)
    shop.services.wallets.terminate(given[0]["wallet_id"])
    assert shop.services.grants.give(subscription) == []


def test_a_grant_opens_the_wallet_at_its_own_rate(tmp_path: Path) -> None:
    """100 credits of a cent are a dollar, and not a hundred."""
    shop = opened_shop(tmp_path)
    own = [{"name": "cents", "credits": "100", "cadence": "ONETIME", "conversion_rate": "0.01"}]
    subscription = shop.subscribe(credit_grants=own)
    shop.services.grants.give(subscription)
    (wallet,) = shop.services.wallets.of_customer("acme")
    assert (wallet["credit_balance"], wallet["balance"]) == ("100", "1")
    assert (wallet["conversion_rate"], wallet["topup_conversion_rate"]) == ("0.01", "0.01")


def test_credits_of_another_rate_than_the_wallets_wait_and_stop_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shop = opened_shop(tmp_path)
    created = shop.services.wallets.create({"external_customer_id": "acme", "currency": "usd"})
    own = [
        {"name": "cents", "credits": "100", "cadence": "ONETIME", "conversion_rate": "0.01"},
        {"name": "plain", "credits": "3", "cadence": "ONETIME"},
    ]
    shop.subscribe(credit_grants=own)
    shop.use("e1", JUNE + timedelta(days=1), image_count=10)
    shop.clock.now = JULY
    (june,) = shop.services.run()
    assert lines(june) == {"image": "1.00"}
    assert june["total_prepaid_credits_applied"] == "1.00"
    assert balance(shop) == "2"
    assert "has another conversion rate" in caplog.text
    shop.services.wallets.terminate(created["id"])
    shop.services.run()
    (wallet,) = shop.services.wallets.of_customer("acme")
    assert (wallet["credit_balance"], wallet["balance"]) == ("100", "1")


@pytest.mark.parametrize(
    ("expiry", "paid"),
    [
        ("expiration_type: BILLING_CYCLE", "0.00"),
        (
            "expiration_type: DURATION, expiration_duration: 35, expiration_duration_unit: DAY",
            "5.00",
        ),
    ],
)
def test_the_last_invoice_is_paid_by_credits_that_outlast_its_period(
    tmp_path: Path, expiry: str, paid: str
) -> None:
    """As docs/wallets.md says: it is made after the period, when those of the cycle are gone."""
    grant = f"      monthly: {{credits: 10, cadence: RECURRING, period: MONTHLY, {expiry}}}\n"
    grants = f"    credit_grants:\n{grant}"
    shop = opened_shop(tmp_path, CATALOG.replace("  hybrid:\n", f"{grants}  hybrid:\n"))
    subscription = shop.subscribe()
    shop.services.run()
    shop.services.subscriptions.cancel(subscription, {"cancel_at_period_end": True})
    shop.use("e1", JUNE, image_count=50)
    shop.clock.now = JULY + timedelta(hours=1)
    (june,) = shop.services.run()
    assert (june["total"], june["total_prepaid_credits_applied"]) == ("5.00", paid)
