"""Definitions through the API: what is kept, what is refused, what is found again."""

from __future__ import annotations

from typing import Any

import pytest

from tests.server.running import Client, Server
from tests.server.story import METER, catalog, price

TIERS = [{"up_to": 1000, "unit_amount": "0.5"}, {"up_to": None, "unit_amount": 0.3}]


@pytest.fixture
def shop(server: Server) -> dict[str, dict[str, Any]]:
    return catalog(server)


def new_price(shop: dict[str, dict[str, Any]], **more: Any) -> dict[str, Any]:
    """A price beside the shop's, that differs from it in its filters."""
    fields = price(shop["/plans"]["id"], shop["/meters"]["id"], **more)
    return {"filter_values": {"model": ["dall-e-2"]}, **fields}


def check_refused(client: Client, path: str, fields: dict[str, Any], code: str) -> str:
    answer = client.post(path, fields)
    status = {"validation_error": 400, "already_exists": 409, "not_found": 404}[code]
    assert (answer.status, answer.body["code"]) == (status, code), answer
    assert answer.body["http_status_code"] == status
    return str(answer.body["message"])


def test_a_meter_keeps_the_spelling_of_its_reset(server: Server) -> None:
    made = server.made("/meters", METER)
    assert made["reset_usage"] == "Periodic"
    assert server.get(f"/meters/{made['id']}").body == made


def test_filters_are_added_to_a_meter_and_never_taken_away(server: Server) -> None:
    made = server.made("/meters", METER)
    more = [{"key": "provider", "values": ["azure"]}, {"key": "size", "values": ["1024x1024"]}]
    changed = server.put(f"/meters/{made['id']}", {"filters": more, "name": "other"}).body
    assert changed["name"] == "image_count"
    assert changed["filters"] == [
        {"key": "provider", "values": ["openai", "azure"]},
        {"key": "size", "values": ["1024x1024"]},
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"name": None},
        {"event_name": " "},
        {"aggregation": {"type": "SUM"}},
        {"aggregation": {"type": "MEDIAN", "field": "x"}},
        {"aggregation": {"type": "SUM_WITH_MULTIPLIER", "field": "x"}},
        {"aggregation": {"type": "COUNT", "bucket_size": "HOUR"}},
        {"aggregation": {"type": "SUM", "expression": "1 +"}},
        {"aggregation": "SUM"},
        {"filters": [{"key": "model", "values": []}]},
        {"filters": "model"},
        {"reset_usage": ""},
        {"reset_usage": "Sometimes"},
    ],
)
def test_a_wrong_meter_is_refused(server: Server, wrong: dict[str, Any]) -> None:
    assert check_refused(server, "/meters", {**METER, **wrong}, "validation_error")
    assert server.get("/meters").body["items"] == []


def test_a_feature_makes_its_inline_meter_or_neither_is_kept(server: Server) -> None:
    feature = {"name": "Images", "type": "metered", "meter": METER}
    made = server.made("/features", feature)
    assert made["lookup_key"] == "images"
    assert made["meter"]["id"] == made["meter_id"]
    broken = {**feature, "lookup_key": "other", "meter": {**METER, "aggregation": {"type": "SUM"}}}
    check_refused(server, "/features", broken, "validation_error")
    check_refused(server, "/features", feature, "already_exists")
    assert server.get("/meters").body["pagination"]["total"] == 1


def test_a_customer_is_known_by_both_ids_and_needs_no_name(server: Server) -> None:
    external = "acme/eu 1"
    made = server.made("/customers", {"external_id": external, "timezone": "Asia/Kolkata"})
    assert made["name"] == external
    assert server.get("/customers/external/acme/eu%201").body == made
    assert server.get(f"/customers/{made['id']}").body == made
    changed = server.put("/customers", {"name": "Acme"}, external_customer_id=external).body
    assert (changed["name"], changed["timezone"]) == ("Acme", "Asia/Kolkata")
    check_refused(server, "/customers", {"external_id": external}, "already_exists")
    gone = server.delete(f"/customers/{made['id']}")
    assert (gone.status, gone.body) == (204, None)
    assert server.get(f"/customers/{made['id']}").status == 404
    server.made("/customers", {"external_id": external})


@pytest.mark.parametrize(
    "wrong",
    [
        {"external_id": ""},
        {"external_id": "x" * 256},
        {"name": "x" * 256},
        {"email": "nobody"},
        {"timezone": "Mars/Base"},
        {"timezone": "../../etc/passwd"},
        {"address_country": "Germany"},
        {"metadata": {"seats": 5}},
        {"metadata": "none"},
    ],
)
def test_a_wrong_customer_is_refused(server: Server, wrong: dict[str, Any]) -> None:
    fields = {"external_id": "c", "name": "C", **wrong}
    assert check_refused(server, "/customers", fields, "validation_error")


def test_a_price_is_written_as_flexprice_writes_it(
    server: Server, shop: dict[str, dict[str, Any]]
) -> None:
    made = server.made("/prices", new_price(shop, amount=0.0000012, lookup_key="tiny"))
    known = {k: made[k] for k in ("amount", "display_amount", "currency", "billing_cadence")}
    assert known == {
        "amount": "0.0000012",
        "display_amount": "$0.0000012",
        "currency": "usd",
        "billing_cadence": "RECURRING",
    }
    assert server.get("/prices/lookup/tiny").body == made


def test_a_price_in_credits_is_shown_in_money_too(
    server: Server, shop: dict[str, dict[str, Any]]
) -> None:
    config = {"price_unit": "credit", "amount": "15"}
    sent = new_price(shop, price_unit_type="CUSTOM", price_unit_config=config)
    made = server.made("/prices", sent)
    shown = {k: made[k] for k in ("amount", "price_unit", "price_unit_amount", "conversion_rate")}
    assert shown == {
        "amount": "0.15",
        "price_unit": "CREDIT",
        "price_unit_amount": "15",
        "conversion_rate": "0.01",
    }


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"billing_model": "TIERED"}, "tier_mode"),
        ({"billing_model": "TIERED", "tier_mode": "SLAB"}, "tiers"),
        ({"billing_model": "TIERED", "tiers": TIERS}, "tier_mode"),
        ({"billing_model": "TIERED", "tier_mode": "SLAB", "tiers": TIERS[::-1]}, "ier"),
        ({"billing_model": "TIERED", "tier_mode": "SLAB", "tiers": TIERS[:1]}, "open"),
        ({"billing_model": "PACKAGE"}, "divide_by"),
        ({"billing_model": "AUCTION"}, "billing model"),
        ({"amount": None}, "amount"),
        ({"amount": "-1"}, "amount"),
        ({"amount": "a lot"}, "amount"),
        ({"amount": "9" * 50}, "amount"),
        ({"currency": "dollar"}, "currency"),
        ({"meter_id": "meter_unknown"}, "meter"),
        ({"meter_id": ""}, "meter"),
        ({"entity_id": "plan_unknown"}, "plan"),
        ({"entity_type": "GALAXY"}, "entity_type"),
        ({"invoice_cadence": "ADVANCE"}, "ARREAR"),
        ({"billing_period": "FORTNIGHTLY"}, "FORTNIGHTLY"),
        ({"billing_period_count": 0}, "billing_period_count"),
        ({"start_date": "2026-02-01T00:00:00Z", "end_date": "2026-01-01T00:00:00Z"}, "end"),
        ({"filter_values": {"model": ["dall-e-3"], "quality": ["standard"]}}, "filter"),
        ({"filter_values": {"model": []}}, "model"),
        (
            {"price_unit_type": "CUSTOM", "price_unit_config": {"price_unit": "GEM"}},
            "GEM",
        ),
        (
            {
                "price_unit_type": "CUSTOM",
                "price_unit_config": {"price_unit": "CREDIT", "amount": "1"},
                "currency": "eur",
            },
            "EUR",
        ),
    ],
)
def test_a_broken_price_is_refused_with_a_sentence(
    server: Server, shop: dict[str, dict[str, Any]], wrong: dict[str, Any], word: str
) -> None:
    message = check_refused(server, "/prices", {**new_price(shop), **wrong}, "validation_error")
    assert word in message
    assert server.get("/prices").body["pagination"]["total"] == 1


def test_bulk_prices_are_made_together_or_not_at_all(
    server: Server, shop: dict[str, dict[str, Any]]
) -> None:
    one = new_price(shop)
    two = new_price(shop, filter_values={"model": ["gpt-image-1"]})
    check_refused(
        server, "/prices/bulk", {"items": [one, {**two, "amount": None}]}, "validation_error"
    )
    check_refused(server, "/prices/bulk", {"items": [one, one]}, "validation_error")  # ambiguous
    check_refused(server, "/prices/bulk", {"items": []}, "validation_error")
    check_refused(server, "/prices/bulk", {"items": [one] * 101}, "validation_error")
    assert server.get("/prices").body["pagination"]["total"] == 1
    assert len(server.made("/prices/bulk", {"items": [one, two]})["items"]) == 2


def test_a_new_amount_is_a_new_version_from_its_date(
    server: Server, shop: dict[str, dict[str, Any]]
) -> None:
    old = shop["/prices"]
    at = "2027-01-01T00:00:00.000Z"
    new = server.put(f"/prices/{old['id']}", {"amount": "0.05", "effective_from": at}).body
    assert (new["amount"], new["start_date"], new["parent_price_id"]) == ("0.05", at, old["id"])
    assert new["filter_values"] == old["filter_values"]
    assert server.get(f"/prices/{old['id']}").body["end_date"] == at
    assert server.get("/prices/lookup/dalle3_std").body["id"] == new["id"]
    again = server.put(f"/prices/{new['id']}", {"description": "later"}).body
    assert (again["id"], again["description"]) == (new["id"], "later")


def test_a_deleted_price_ends(server: Server, shop: dict[str, dict[str, Any]]) -> None:
    found = f"/prices/{shop['/prices']['id']}"
    assert server.delete(found, {"end_date": "2027-01-01T00:00:00Z"}).status == 200
    assert server.get(found).body["end_date"] == "2027-01-01T00:00:00.000Z"


def test_a_feature_is_entitled_once_per_plan(
    server: Server, shop: dict[str, dict[str, Any]]
) -> None:
    made = shop["/entitlements"]
    assert (made["usage_limit"], made["is_enabled"]) == (10, True)
    again = {k: made[k] for k in ("feature_id", "feature_type", "plan_id")}
    check_refused(server, "/entitlements", again, "already_exists")
    check_refused(server, "/entitlements", {**again, "usage_limit": -1}, "already_exists")
    changed = server.put(f"/entitlements/{made['id']}", {"usage_limit": "20.5"}).body
    assert changed["usage_limit"] == "20.5"
    assert server.put(f"/entitlements/{made['id']}", {"usage_limit": -1}).status == 400
    assert server.put(f"/entitlements/{made['id']}", {"grant_unlimited": True}).status == 400
    listed = server.get(f"/plans/{shop['/plans']['id']}/entitlements").body
    assert [e["id"] for e in listed["items"]] == [made["id"]]


@pytest.mark.parametrize(
    "wrong",
    [
        {"credits": 0},
        {"credits": "-5"},
        {"scope": "WORLD"},
        {"plan_id": "plan_unknown"},
        {"cadence": "RECURRING"},
        {"expiration_type": "DURATION"},
        {"name": ""},
    ],
)
def test_a_wrong_credit_grant_is_refused(
    server: Server, shop: dict[str, dict[str, Any]], wrong: dict[str, Any]
) -> None:
    fields = {
        "name": "More",
        "scope": "PLAN",
        "plan_id": shop["/plans"]["id"],
        "credits": "5",
        "cadence": "ONETIME",
    }
    check_refused(server, "/creditgrants", {**fields, **wrong}, "validation_error")


def test_there_is_one_active_cost_sheet(server: Server) -> None:
    assert server.get("/costs/active").status == 404
    made = server.made("/costs", {"name": "Providers"})["costsheet"]
    assert server.get("/costs/active").body["id"] == made["id"]
    check_refused(server, "/costs", {"name": "More"}, "already_exists")


def test_lists_have_pages(server: Server) -> None:
    for i in range(5):
        server.made("/plans", {"name": f"Plan {i}", "lookup_key": f"p{i}"})
    page = server.get("/plans", limit=2, offset=2, order="asc").body
    assert [p["name"] for p in page["items"]] == ["Plan 2", "Plan 3"]
    assert page["pagination"] == {"total": 5, "limit": 2, "offset": 2}
    searched = server.post("/plans/search", {"limit": 2, "offset": 2}).body
    assert searched["pagination"] == {"total": 5, "limit": 2, "offset": 4}


@pytest.mark.parametrize("query", [{"limit": 0}, {"limit": 1001}, {"offset": -1}, {"limit": "x"}])
def test_a_wrong_page_is_refused(server: Server, query: dict[str, Any]) -> None:
    answer = server.get("/plans", **query)
    assert (answer.status, answer.body["code"]) == (400, "validation_error")


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ({"lookup_key": "p1"}, ["p1"]),
        (
            {"filters": [{"field": "name", "operator": "eq", "value": {"string": "Plan 2"}}]},
            ["p2"],
        ),
        (
            {"filters": [{"field": "name", "operator": "contains", "value": {"string": "AN 1"}}]},
            ["p1"],
        ),
        (
            {"filters": [{"field": "display_order", "operator": "gt", "value": {"number": 9}}]},
            ["p2"],
        ),
        (
            {"filters": [{"field": "lookup_key", "operator": "in", "value": {"array": ["p0"]}}]},
            ["p0"],
        ),
        ({"start_time": "2100-01-01T00:00:00Z"}, []),
        (
            {
                "filters": [
                    {
                        "field": "created_at",
                        "operator": "before",
                        "value": {"date": "2100-01-01T00:00:00Z"},
                    }
                ],
                "sort": [{"field": "name", "direction": "asc"}],
            },
            ["p0", "p1", "p2"],
        ),
        ({"status": "archived"}, []),
    ],
)
def test_searches_find_by_fields(server: Server, search: dict[str, Any], found: list[str]) -> None:
    for i, order in enumerate((2, 9, 10)):
        fields = {"name": f"Plan {i}", "lookup_key": f"p{i}", "display_order": order}
        server.made("/plans", fields)
    items = server.post("/plans/search", search).body["items"]
    assert [item["lookup_key"] for item in items] == found


def test_a_catalog_file_and_the_api_share_their_definitions(server: Server) -> None:
    server.engine.catalog.apply("studio")
    plan = server.post("/plans/search", {"lookup_key": "ai_pro"}).body["items"][0]
    prices = server.get(f"/plans/{plan['id']}").body["prices"]
    amounts = {p["lookup_key"]: p["amount"] for p in prices}
    assert amounts["veo_3_1_lite_1080p_sec"] == "0.08"
    twin = next(p for p in prices if p["lookup_key"] == "veo_3_1_lite_1080p_sec")
    check_refused(server, "/prices", {**twin, "lookup_key": "twin"}, "validation_error")


@pytest.mark.parametrize("path", ["/nothing", "/plans/plan_unknown", "/prices/lookup/none"])
def test_what_is_not_there_is_not_found(server: Server, path: str) -> None:
    answer = server.get(path)
    assert answer.status == 404
    assert (answer.body["code"], answer.body["http_status_code"]) == ("not_found", 404)
