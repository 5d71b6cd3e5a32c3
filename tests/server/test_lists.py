"""Lists: searches show in full what `expand` names."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.server.running import Server
from tests.server.story import catalog, price

ON_BOTH_DATABASES = True


@pytest.fixture
def shop(server: Server) -> dict[str, dict[str, Any]]:
    return catalog(server)


@pytest.mark.parametrize(
    ("path", "expand", "field"),
    [
        ("/features", "meters", "meter"),
        ("/prices", "meters", "meter"),
        ("/plans", "prices,entitlements", "prices"),
        ("/entitlements", "features,plans", "feature"),
    ],
)
def test_a_search_shows_in_full_what_expand_names(
    server: Server, shop: dict[str, Any], path: str, expand: str, field: str
) -> None:
    plain = server.post(f"{path}/search", {}).body["items"]
    assert all(field not in item for item in plain)
    assert server.post(f"{path}/search", {"expand": expand}).body["items"][0][field]
    assert server.get(path, expand=expand).body["items"][0][field]


def test_a_number_with_a_fraction_is_kept_wherever_a_request_holds_one(
    server: Server, shop: dict[str, Any]
) -> None:
    alerts = {"critical": {"threshold": 1.5, "condition": "below"}, "alert_enabled": True}
    made = server.made(
        "/wallets",
        {
            "external_customer_id": "cust_001",
            "currency": "usd",
            "alert_settings": alerts,
            "auto_topup": {"enabled": False, "threshold": 0.5, "amount": 2.25},
        },
    )
    kept = server.get(f"/wallets/{made['id']}").body
    assert kept["auto_topup"]["amount"] == "2.25"
    feature = server.put(
        f"/features/{shop['/features']['id']}",
        {"alert_settings": {"critical": {"threshold": 0.1, "condition": "above"}}},
    )
    assert feature.status == 200
    unit = {"unit_singular": "k", "unit_plural": "ks", "conversion_rate": 0.001}
    answer = server.put(f"/features/{shop['/features']['id']}", {"reporting_unit": unit})
    assert answer.body["reporting_unit"]["conversion_rate"] == "0.001"


COUNT = 7


@pytest.fixture
def busy(server: Server, shop: dict[str, dict[str, Any]]) -> Server:
    """Seven customers, each with a subscription, an invoice, and a wallet with a top-up."""
    for i in range(COUNT):
        server.clock.at = datetime(2026, 11, 1 + i, tzinfo=UTC)
        own = {"external_customer_id": f"c{i}", "currency": "usd"}
        server.made("/customers", {"external_id": f"c{i}"})
        start = {"start_date": "2026-10-01T00:00:00Z", "billing_period": "MONTHLY"}
        held = server.made("/subscriptions", {**own, **start, "plan_id": "ai_pro"})
        period = {"period_start": "2026-10-01T00:00:00Z", "period_end": "2026-11-01T00:00:00Z"}
        server.made("/invoices", {"subscription_id": held["id"], **period})
        found = server.get("/customers/wallets", lookup_key=f"c{i}").body
        wallet = found[0] if found else server.made("/wallets", own)
        top_up = {"credits_to_add": i + 1, "transaction_reason": "PURCHASED_CREDIT_DIRECT"}
        server.made(f"/wallets/{wallet['id']}/top-up", top_up)
    return server


PATHS = ("/subscriptions", "/invoices", "/wallets", "/wallets/transactions")
UNKNOWN = {"field": "metadata", "operator": "not_contains", "value": {"string": "x"}}


def test_a_list_is_searched_in_pages_that_hold_each_item_once(busy: Server) -> None:
    for path in PATHS:
        for filters in ([], [UNKNOWN]):  # by the database; by looking at each
            more: dict[str, Any] = {"filters": filters}
            if path == "/wallets/transactions":
                more["transaction_reason"] = "PURCHASED_CREDIT_DIRECT"
            check_pages(busy, f"{path}/search", more)


def check_pages(server: Server, search: str, more: dict[str, Any]) -> None:
    seen: list[str] = []
    for offset in (0, 3, 6, 9):
        page = server.post(search, {"limit": 3, "offset": offset, **more}).body
        assert page["pagination"] == {"total": COUNT, "limit": 3, "offset": offset + 3}
        seen += [item["id"] for item in page["items"]]
    assert len(seen) == len(set(seen)) == COUNT
    oldest = server.post(search, {"order": "asc", **more}).body["items"]
    assert [item["id"] for item in oldest] == seen[::-1]


def test_lists_are_searched_by_their_fields(busy: Server) -> None:
    customer = busy.get("/customers/external/c3").body["id"]
    own = {"customer_id": customer}
    (subscription,) = busy.post("/subscriptions/search", own).body["items"]
    (wallet,) = busy.post("/wallets/search", own).body["items"]
    (invoice,) = busy.post("/invoices/search", own).body["items"]
    assert {subscription["customer_id"], wallet["customer_id"], invoice["customer_id"]} == {
        customer
    }
    assert wallet["credit_balance"] == "104"  # what the plan gives, and 4
    (line,) = busy.post(
        "/subscriptions/lineitems/search", {"subscription_ids": [subscription["id"]]}
    ).body["items"]
    assert line["subscription_id"] == subscription["id"]
    postings = {"wallet_id": wallet["id"], "transaction_reason": "PURCHASED_CREDIT_DIRECT"}
    (posting,) = busy.post("/wallets/transactions/search", postings).body["items"]
    assert (posting["wallet_id"], posting["credit_amount"]) == (wallet["id"], "4")
    voided = busy.post(f"/invoices/{invoice['id']}/void")
    assert voided.status == 200
    drafts = busy.post("/invoices/search", {"invoice_status": "DRAFT"}).body
    assert drafts["pagination"]["total"] == COUNT - 1
    none = {"filters": [{"field": "id", "operator": "eq", "value": {"string": "a\u0000b"}}]}
    for path in PATHS:
        refused = busy.post(f"{path}/search", none)
        assert (refused.status, refused.body["code"]) == (400, "validation_error")


def test_a_subscription_shows_in_full_what_expand_names(busy: Server) -> None:
    asked = {"expand": "plan,customer,prices", "limit": 1}
    (found,) = busy.post("/subscriptions/search", asked).body["items"]
    assert found["plan"]["name"] == "AI Pro"
    assert found["customer"]["external_id"] == "c6"
    assert found["line_items"][0]["price"]["amount"] == "0.04"
    one = busy.get(f"/subscriptions/{found['id']}", expand="plan").body
    assert (one["plan"]["name"], "customer" in one) == ("AI Pro", False)


def test_an_environment_lists_none_of_anothers_money(busy: Server) -> None:
    other = busy.client("staging")
    for path in PATHS:
        assert other.post(f"{path}/search", {}).body["pagination"]["total"] == 0
        assert other.post(f"{path}/search", {"filters": [UNKNOWN]}).body["items"] == []


def test_amounts_are_sorted_by_value(server: Server, shop: dict[str, Any]) -> None:
    for i, amount in enumerate(("9", "10", "0.5")):
        own = {"amount": amount, "filter_values": {"model": [f"m{i}"]}}
        server.made("/prices", price(shop["/plans"]["id"], shop["/meters"]["id"], **own))
    sort = [{"field": "amount", "direction": "asc"}]
    found = server.post("/prices/search", {"sort": sort}).body["items"]
    assert [p["amount"] for p in found] == ["0.04", "0.5", "9", "10"]
