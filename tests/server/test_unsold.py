"""What the server does not sell is refused by name: it never bills as if nobody had asked."""

from __future__ import annotations

from typing import Any

import pytest

from tests.server.running import Server
from tests.server.story import catalog, price

SUBSCRIPTION = {
    "external_customer_id": "cust_001",
    "plan_id": "ai_pro",
    "currency": "usd",
    "billing_period": "MONTHLY",
}
UNSOLD: list[dict[str, Any]] = [
    {"coupons": ["coupon_1"]},
    {"subscription_coupons": [{"coupon_id": "coupon_1"}]},
    {"line_item_coupons": {"price_1": ["coupon_1"]}},
    {"tax_rate_overrides": [{"tax_rate_code": "vat"}]},
    {"addons": [{"addon_id": "addon_1"}]},
    {"phases": [{"start_date": "2026-11-01T00:00:00Z"}]},
    {"trial_period_days": 7},
    {"trial_end": "2026-12-01T00:00:00Z"},
    {"inheritance": {"parent_subscription_id": "subs_1"}},
    {"auto_invoice_threshold": "5"},
    {"fx_rates": [{"from": "usd", "to": "eur", "rate": "0.9"}]},
    {"parent_subscription_id": "subs_1"},
    {"invoicing_customer_id": "cust_1"},
]
ITEM = {"display_name": "Setup", "amount": "10", "quantity": "1"}
OWN_INVOICES: list[dict[str, Any]] = [
    {"line_items": [ITEM]},
    {"coupons": ["coupon_1"]},
    {"tax_rates": ["vat"]},
    {"amount_due": "10"},
    {"total": 10},
    {"invoice_type": "ONE_OFF"},
    {"invoice_status": "FINALIZED"},
    {"payment_status": "SUCCEEDED"},
]


@pytest.fixture
def shop(server: Server) -> dict[str, dict[str, Any]]:
    return catalog(server)


@pytest.mark.parametrize("more", UNSOLD, ids=lambda m: next(iter(m)))
def test_a_subscription_that_asks_for_what_is_not_there_is_refused_by_name(
    server: Server, shop: dict[str, Any], more: dict[str, Any]
) -> None:
    answer = server.post("/subscriptions", {**SUBSCRIPTION, **more})
    assert (answer.status, answer.body["code"]) == (400, "validation_error")
    assert answer.body["message"].startswith(f"{next(iter(more))}: there are no ")
    assert server.post("/subscriptions/search", {}).body["items"] == []


def test_empty_lists_and_zeros_ask_for_nothing(server: Server, shop: dict[str, Any]) -> None:
    empty: dict[str, Any] = {"coupons": [], "phases": None, "addons": [], "trial_period_days": 0}
    assert server.post("/subscriptions", {**SUBSCRIPTION, **empty}).status == 201


@pytest.mark.parametrize("more", [{"trial_period_days": 14}, {"bucket_size": "HOUR"}])
def test_a_price_that_asks_for_what_is_not_there_is_refused_by_name(
    server: Server, shop: dict[str, Any], more: dict[str, Any]
) -> None:
    fields = price(shop["/plans"]["id"], shop["/meters"]["id"], filter_values={"model": ["x"]})
    answer = server.post("/prices", {**fields, **more})
    assert (answer.status, answer.body["code"]) == (400, "validation_error")
    assert answer.body["message"].startswith(next(iter(more)))


@pytest.mark.parametrize(
    "promise", [{"is_window_commitment": True}, {"commitment_time_buckets": [{"start": {}}]}]
)
def test_a_windowed_commitment_is_refused(
    server: Server, shop: dict[str, Any], promise: dict[str, Any]
) -> None:
    own = {shop["/prices"]["id"]: {"commitment_amount": 5, **promise}}
    answer = server.post("/subscriptions", {**SUBSCRIPTION, "line_item_commitments": own})
    assert (answer.status, answer.body["code"]) == (400, "validation_error")


def test_a_subscription_names_more_prices_and_promises_of_its_plans(
    server: Server, shop: dict[str, Any]
) -> None:
    other = server.made("/plans", {"name": "Extras"})
    fields = price(other["id"], shop["/meters"]["id"], filter_values={"model": ["extra"]})
    extra = server.made("/prices", fields)
    promise = {"commitment_amount": 5, "overage_factor": 1.5, "enable_true_up": True}
    made = server.made(
        "/subscriptions",
        {
            **SUBSCRIPTION,
            "line_items": [{"price_id": extra["id"]}],
            "line_item_commitments": {shop["/prices"]["id"]: promise},
        },
    )
    own, more = made["line_items"]
    assert more["price_id"] == extra["id"]
    assert (own["commitment_amount"], own["commitment_overage_factor"]) == ("5", "1.5")
    told = server.post("/invoices/preview", {"subscription_id": made["id"]}).body
    assert told["total"] == "5.00"  # nothing used: the promise is due


def test_a_line_item_in_another_currency_is_refused(server: Server, shop: dict[str, Any]) -> None:
    other = server.made("/plans", {"name": "Extras"})
    fields = price(other["id"], shop["/meters"]["id"], currency="eur")
    extra = server.made("/prices", fields)
    held = server.made("/subscriptions", SUBSCRIPTION)
    answer = server.post(f"/subscriptions/{held['id']}/lineitems", {"price_id": extra["id"]})
    assert (answer.status, answer.body["code"]) == (400, "validation_error")
    assert "EUR" in answer.body["message"]


@pytest.mark.parametrize("more", OWN_INVOICES, ids=lambda m: next(iter(m)))
def test_an_invoice_that_is_to_say_something_else_than_what_is_owed_is_refused(
    server: Server, shop: dict[str, Any], more: dict[str, Any]
) -> None:
    held = server.made("/subscriptions", SUBSCRIPTION)
    zero = {"subscription_id": held["id"], "amount_due": "0.00", "subtotal": "0", "total": 0}
    answer = server.post("/invoices", {**zero, **more})
    assert (answer.status, answer.body["code"]) == (400, "validation_error")
    assert answer.body["message"].startswith(next(iter(more)))
    assert server.post("/invoices", zero).status == 201


def test_a_draft_subscription_and_a_status_by_hand_are_refused(
    server: Server, shop: dict[str, Any]
) -> None:
    draft = server.post("/subscriptions", {**SUBSCRIPTION, "subscription_status": "draft"})
    assert (draft.status, draft.body["message"]) == (
        400,
        "subscription_status must be one of active.",
    )
    held = server.made("/subscriptions", {**SUBSCRIPTION, "subscription_status": "active"})
    told = server.put(f"/subscriptions/{held['id']}", {"status": "cancelled"})
    assert (told.status, told.body["message"]) == (
        400,
        "status: cancel the subscription to end it.",
    )
    assert server.put(f"/subscriptions/{held['id']}", {"status": "active"}).status == 200


@pytest.mark.parametrize("more", [{"effective_date": "2027-01-01T00:00:00Z"}, {"coupons": ["c"]}])
def test_a_top_up_that_asks_for_what_is_not_there_is_refused(
    server: Server, shop: dict[str, Any], more: dict[str, Any]
) -> None:
    fields = {"external_customer_id": "cust_001", "currency": "usd"}
    wallet = server.made("/wallets", fields)
    top_up = {"credits_to_add": "5", "transaction_reason": "FREE_CREDIT_GRANT"}
    answer = server.post(f"/wallets/{wallet['id']}/top-up", {**top_up, **more})
    assert (answer.status, answer.body["code"]) == (400, "validation_error")
    assert server.get(f"/wallets/{wallet['id']}").body["balance"] == "0"


def test_a_commitment_of_a_line_item_over_several_periods_is_refused(
    server: Server, shop: dict[str, Any]
) -> None:
    promise = {"commitment_amount": 5, "overage_factor": 2, "commitment_duration": "ANNUAL"}
    own = {shop["/prices"]["id"]: promise}
    answer = server.post("/subscriptions", {**SUBSCRIPTION, "line_item_commitments": own})
    assert answer.status == 400
    assert answer.body["message"].startswith("commitment_duration: a line item's commitment")


def test_a_package_of_parts_of_a_unit_is_refused(server: Server, shop: dict[str, Any]) -> None:
    package = {"billing_model": "PACKAGE", "transform_quantity": {"divide_by": 2.5, "round": "up"}}
    fields = price(shop["/plans"]["id"], shop["/meters"]["id"], filter_values={"model": ["x"]})
    answer = server.post("/prices", {**fields, **package})
    assert answer.status == 400
    assert answer.body["message"].startswith("divide_by must be a whole number")
