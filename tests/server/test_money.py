"""Subscriptions, wallets, holds and invoices through the server."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.server.running import Client, Server
from tests.server.story import catalog
from tokenmeter.engine.keys import Scope

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture
def shop(server: Server) -> dict[str, Any]:
    """The story's catalog, its customer subscribed since November; ten images are included."""
    server.clock.at = NOW
    made = catalog(server)
    server.delete(f"/creditgrants/{made['/creditgrants']['id']}")
    asked = {
        "external_customer_id": "cust_001",
        "plan_id": "ai_pro",
        "currency": "usd",
        "billing_period": "MONTHLY",
        "start_date": "2026-11-01T00:00:00Z",
    }
    return {**made, "subscription": server.made("/subscriptions", asked)}


def use(server: Server, images: int, event_id: str = "evt_1") -> None:
    event = {
        "event_name": "image_generated",
        "external_customer_id": "cust_001",
        "event_id": event_id,
        "timestamp": "2026-11-20T10:00:00Z",
        "properties": {
            "provider": "openai",
            "model": "dall-e-3",
            "quality": "standard",
            "image_count": images,
        },
    }
    assert server.post("/events", event).status == 202


def wallet(server: Server, credits_: str = "10") -> str:
    fields = {"external_customer_id": "cust_001", "currency": "usd"}
    return str(server.made("/wallets", {**fields, "initial_credits_to_load": credits_})["id"])


def check_refused(
    client: Client, path: str, fields: object, code: str = "validation_error"
) -> str:
    answer = client.post(path, fields)
    assert answer.body["code"] == code, answer
    assert answer.status == {"not_found": 404, "already_exists": 409}.get(code, 400)
    assert answer.body["message"].endswith(".")
    return str(answer.body["message"])


def test_a_subscription_is_found_changed_and_cancelled(
    server: Server, shop: dict[str, Any]
) -> None:
    subscription = shop["subscription"]
    found = f"/subscriptions/{subscription['id']}"
    assert server.get(found).body["line_items"] == subscription["line_items"]
    search = {"external_customer_id": "cust_001"}
    listed = server.post("/subscriptions/search", search).body["items"]
    assert [s["id"] for s in listed] == [subscription["id"]]
    of_customer = server.get("/customers/external/cust_001/subscriptions").body["items"]
    assert [s["id"] for s in of_customer] == [subscription["id"]]
    items = server.post("/subscriptions/lineitems/search", {}).body["items"]
    assert [i["price_id"] for i in items] == [shop["/prices"]["id"]]
    assert server.put(found, {"metadata": {"a": "b"}}).body["metadata"] == {"a": "b"}
    ended = server.post(f"{found}/cancel", {"cancellation_type": "end_of_period"}).body
    assert ended["effective_date"] == "2026-12-01T00:00:00Z"
    assert ended["status"] == "active"


def test_a_customer_who_is_billed_or_has_a_wallet_is_not_deleted(
    server: Server, shop: dict[str, Any]
) -> None:
    wallet_id = wallet(server)
    customer = f"/customers/{shop['subscription']['customer_id']}"
    end: list[tuple[str, str, dict[str, Any]]] = [
        (
            "The customer has a subscription; cancel it before deleting the customer.",
            f"/subscriptions/{shop['subscription']['id']}/cancel",
            {"cancellation_type": "immediate"},
        ),
        (
            "The customer has an active wallet; terminate it before deleting the customer.",
            f"/wallets/{wallet_id}/terminate",
            {},
        ),
    ]
    for sentence, path, body in end:
        answer = server.delete(customer)
        assert (answer.status, answer.body["code"]) == (400, "invalid_operation")
        assert answer.body["message"] == sentence
        assert server.get(customer).status == 200
        assert server.post(path, body).status == 200
    assert server.delete(customer).status == 204
    assert server.get(customer).status == 404


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"external_customer_id": "nobody"}, "not_found"),
        ({"external_customer_id": None}, "validation_error"),
        ({"plan_id": "plan_unknown"}, "validation_error"),
        ({"currency": "eur"}, "validation_error"),
        ({"currency": "dollars"}, "validation_error"),
        ({"billing_period": "FORTNIGHTLY"}, "validation_error"),
        (
            {"start_date": "2026-12-01T00:00:00Z", "end_date": "2026-11-01T00:00:00Z"},
            "validation_error",
        ),
        ({"billing_cycle": "lunar"}, "validation_error"),
    ],
)
def test_a_wrong_subscription_is_refused(
    server: Server, shop: dict[str, Any], wrong: dict[str, Any], code: str
) -> None:
    fields = {
        "external_customer_id": "cust_001",
        "plan_id": "ai_pro",
        "currency": "usd",
        "billing_period": "MONTHLY",
    }
    check_refused(server, "/subscriptions", {**fields, **wrong}, code)


def test_an_invoice_is_drafted_finalized_paid_from_the_wallet_and_voided(
    server: Server, shop: dict[str, Any]
) -> None:
    use(server, 110)
    wallet_id = wallet(server)
    period = {"period_start": "2026-11-01T00:00:00Z", "period_end": "2026-12-01T00:00:00Z"}
    asked = {"subscription_id": shop["subscription"]["id"], **period}
    preview = server.made("/invoices/preview", asked)
    assert (preview["total"], preview["invoice_status"]) == ("4.00", "DRAFT")
    draft = server.made("/invoices", asked)
    found = f"/invoices/{draft['id']}"
    assert server.post(f"{found}/finalize").body["message"] == "invoice finalized successfully"
    final = server.get(found).body
    assert (final["invoice_status"], final["amount_remaining"]) == ("FINALIZED", "0.00")
    assert server.get(f"/wallets/{wallet_id}").body["balance"] == "6"
    document = server.http.get(f"/v1{found}/document").content
    use(server, 10, "evt_late")
    assert server.http.get(f"/v1{found}/document").content == document
    (late,) = server.get(f"{found}/difference").body["items"]
    assert (late["quantity"], late["amount"]) == ("10", "0.4")
    again = server.post(f"{found}/finalize")
    assert (again.status, again.body["code"]) == (400, "invalid_operation")
    assert server.post(f"{found}/void").status == 200
    assert server.get(f"/wallets/{wallet_id}").body["balance"] == "10"
    search = {"external_customer_id": "cust_001", "invoice_status": "VOIDED"}
    assert len(server.post("/invoices/search", search).body["items"]) == 1
    assert server.get("/invoices/inv_unknown").status == 404


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"external_customer_id": "nobody"}, "not_found"),
        ({"external_customer_id": None}, "validation_error"),
        ({"currency": "credits"}, "validation_error"),
        ({"conversion_rate": 0}, "validation_error"),
        ({"conversion_rate": "-1"}, "validation_error"),
        ({"initial_credits_to_load": -5}, "validation_error"),
        ({"wallet_type": "PIGGY_BANK"}, "validation_error"),
    ],
)
def test_a_wrong_wallet_is_refused(
    server: Server, shop: dict[str, Any], wrong: dict[str, Any], code: str
) -> None:
    fields = {"external_customer_id": "cust_001", "currency": "usd"}
    check_refused(server, "/wallets", {**fields, **wrong}, code)


@pytest.mark.parametrize(
    "wrong",
    [
        {"credits_to_add": 0},
        {"credits_to_add": "-1"},
        {"credits_to_add": "many"},
        {"credits_to_add": None},
        {"transaction_reason": "GIFT"},
        {"expiry_date_utc": "2026-01-01T00:00:00Z"},
    ],
)
def test_a_wrong_top_up_is_refused_and_changes_nothing(
    server: Server, shop: dict[str, Any], wrong: dict[str, Any]
) -> None:
    wallet_id = wallet(server)
    fields = {"credits_to_add": "5", "transaction_reason": "FREE_CREDIT_GRANT", **wrong}
    check_refused(server, f"/wallets/{wallet_id}/top-up", fields)
    assert server.get(f"/wallets/{wallet_id}").body["credit_balance"] == "10"


def test_wallets_are_listed_and_their_ledger_is_searched(
    server: Server, shop: dict[str, Any]
) -> None:
    wallet_id = wallet(server)
    fields = {"external_customer_id": "cust_001", "currency": "usd"}
    check_refused(server, "/wallets", fields, "already_exists")
    assert [w["id"] for w in server.get("/wallets").body["items"]] == [wallet_id]
    assert [w["id"] for w in server.get("/customers/wallets", lookup_key="cust_001").body] == [
        wallet_id
    ]
    customer = shop["/customers"]["id"]
    assert [w["id"] for w in server.get(f"/customers/{customer}/wallets").body] == [wallet_id]
    search = {"transaction_reason": "FREE_CREDIT_GRANT"}
    assert len(server.post("/wallets/transactions/search", search).body["items"]) == 1
    assert server.client("staging").get(f"/wallets/{wallet_id}").status == 404
    assert server.client("staging").get("/wallets").body["items"] == []


def test_money_is_held_settled_and_given_back(server: Server, shop: dict[str, Any]) -> None:
    wallet_id = wallet(server)
    gateway = server.client("", Scope.INGEST)
    asked = {"external_customer_id": "cust_001", "amount": "6", "reference": "req_1"}
    held = gateway.made("/holds", asked)
    assert (held["state"], held["amount"], held["settled_amount"]) == ("held", "6", None)
    check_refused(gateway, "/holds", asked, "invalid_operation")
    done = gateway.made(f"/holds/{held['id']}/settle", {"amount": "0.5"})
    assert (done["state"], done["settled_amount"]) == ("settled", "0.5")
    second = gateway.made("/holds", asked)
    kept = gateway.made(f"/holds/{second['id']}/keep", {"reference": "video_7"})
    assert (kept["state"], kept["reference"]) == ("held", "video_7")
    check_refused(gateway, f"/holds/{second['id']}/keep", {}, "validation_error")
    assert gateway.made(f"/holds/{second['id']}/void", {})["state"] == "voided"
    assert gateway.get(f"/holds/{second['id']}").body["state"] == "voided"
    assert server.client("staging").get(f"/holds/{second['id']}").status == 404
    assert server.get(f"/wallets/{wallet_id}").body["balance"] == "10"  # debited by invoices


def test_a_hold_expires(server: Server, shop: dict[str, Any]) -> None:
    wallet(server)
    asked = {"external_customer_id": "cust_001", "amount": 10, "expires_s": 5}
    server.made("/holds", asked)
    check_refused(server, "/holds", asked, "invalid_operation")
    server.clock.at = NOW + timedelta(seconds=5)
    server.made("/holds", asked)


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"amount": "-1"}, "validation_error"),
        ({"amount": None}, "validation_error"),
        ({"expires_s": 0}, "validation_error"),
        ({"expires_s": "1e400"}, "validation_error"),
        ({"external_customer_id": "nobody"}, "not_found"),
        ({"external_customer_id": ""}, "validation_error"),
    ],
)
def test_a_wrong_hold_is_refused(
    server: Server, shop: dict[str, Any], wrong: dict[str, Any], code: str
) -> None:
    wallet(server)
    asked = {"external_customer_id": "cust_001", "amount": "1", **wrong}
    check_refused(server, "/holds", asked, code)


def test_a_plans_credits_are_given_with_the_subscription(server: Server) -> None:
    server.clock.at = NOW
    catalog(server)
    asked = {
        "external_customer_id": "cust_001",
        "plan_id": "ai_pro",
        "currency": "usd",
        "billing_period": "MONTHLY",
    }
    server.made("/subscriptions", asked)
    (given,) = server.get("/wallets").body["items"]
    assert given["credit_balance"] == "100"


def test_what_is_included_is_told_with_what_was_used(server: Server, shop: dict[str, Any]) -> None:
    use(server, 4)
    customer = shop["/customers"]["id"]
    paths = (
        f"/customers/{customer}/entitlements",
        "/customers/external/cust_001/entitlements",
        f"/subscriptions/{shop['subscription']['id']}/entitlements",
    )
    for path in paths:
        (feature,) = server.get(path).body["features"]
        assert feature["feature"]["id"] == shop["/features"]["id"]
        assert feature["entitlement"]["usage_limit"] == 10
    summary = server.get("/customers/usage", customer_lookup_key="cust_001").body
    (row,) = summary["features"]
    assert (row["current_usage"], row["total_limit"], row["usage_percent"]) == ("4", 10, "40")
    none = server.get("/customers/usage", customer_id=customer, feature_ids="feat_other").body
    assert none["features"] == []
    assert server.get("/customers/usage").status == 400


def test_usage_lowers_the_real_time_balance_and_not_the_ledger(
    server: Server, shop: dict[str, Any]
) -> None:
    wallet_id = wallet(server)
    use(server, 110)
    balance = server.get(f"/wallets/{wallet_id}/balance/real-time").body
    assert (balance["balance"], Decimal(balance["real_time_balance"])) == ("10", Decimal(6))


def test_a_subscription_that_ends_now_is_invoiced_at_once_if_one_asks_for_it(
    server: Server, shop: dict[str, Any]
) -> None:
    subscription = shop["subscription"]["id"]
    cancel = f"/subscriptions/{subscription}/cancel"
    wrong = server.post(cancel, {"cancel_immediately_invoice_policy": "perhaps"})
    assert (wrong.status, "must be one of skip" in wrong.body["message"]) == (400, True)
    dateless = server.post(cancel, {"cancellation_type": "scheduled_date"})
    assert (dateless.status, dateless.body["message"]) == (400, "cancel_at is required.")
    asked = {"cancellation_type": "immediate"}
    server.post(cancel, {**asked, "cancel_immediately_invoice_policy": "generate_invoice"})
    told = server.post("/invoices/search", {"subscription_id": subscription}).body["items"]
    ended = server.get(f"/subscriptions/{subscription}").body["end_date"]
    assert [(i["invoice_status"], i["period_end"]) for i in told] == [("FINALIZED", ended)]


@pytest.mark.parametrize("status", ["PENDING", "PROCESSING", "INITIATED", "FAILED"])
def test_a_payment_that_has_not_succeeded_pays_nothing(
    server: Server, shop: dict[str, Any], status: str
) -> None:
    use(server, 100)
    period = {"period_start": "2026-11-01T00:00:00Z", "period_end": "2026-12-01T00:00:00Z"}
    asked = {"subscription_id": shop["subscription"]["id"], **period}
    invoice = server.made("/invoices", asked)
    server.post(f"/invoices/{invoice['id']}/finalize", {})
    paid = f"/invoices/{invoice['id']}/payment"
    told = server.put(paid, {"payment_status": status}).body
    assert (told["amount_paid"], told["amount_remaining"]) == ("0.00", invoice["total"])
    assert server.put(paid, {"payment_status": status, "amount": "1"}).status == 400
    assert server.put(paid, {"payment_status": "REFUNDED"}).status == 400
    assert server.put(paid, {"payment_status": "SUCCEEDED"}).body["amount_remaining"] == "0.00"
