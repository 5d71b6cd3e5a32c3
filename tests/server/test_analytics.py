"""Analytics by source, and events in either order."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.server.running import Server
from tests.server.story import catalog, price

ON_BOTH_DATABASES = True

NOVEMBER = {"start_time": "2026-11-01T00:00:00Z", "end_time": "2026-12-01T00:00:00Z"}


def image(index: int, source: str) -> dict[str, Any]:
    return {
        "event_name": "image_generated",
        "event_id": f"evt_{index}",
        "external_customer_id": "cust_001",
        "timestamp": f"2026-11-21T0{index}:00:00Z",
        "source": source,
        "properties": {
            "provider": "openai",
            "model": "dall-e-3",
            "quality": "standard",
            "image_count": 10 * index,
            "source": "a property of this name is another thing",
        },
    }


@pytest.fixture
def shop(server: Server) -> Server:
    """Images 10 and 40 through the gateway, 20 and 30 from a batch: 0.04 each, 10 free."""
    held = catalog(server)
    fields = {"plan_id": held["/plans"]["id"], "external_customer_id": "cust_001"}
    more = {"currency": "usd", "billing_period": "MONTHLY", "start_date": NOVEMBER["start_time"]}
    server.made("/subscriptions", {**fields, **more})
    sources = ("gateway", "batch", "batch", "gateway")
    events = [image(i, source) for i, source in enumerate(sources, 1)]
    server.made("/events/bulk", {"events": events})
    return server


def analytics(server: Server, **asked: Any) -> Any:
    fields = {"external_customer_id": "cust_001", **NOVEMBER, **asked}
    answer = server.post("/events/analytics", fields)
    assert answer.status == 200, answer
    return answer.body


def test_analytics_by_source_add_up_to_what_is_charged(shop: Server) -> None:
    told = analytics(shop, group_by=["source"])
    found = {i["source"]: (i["total_usage"], i["total_cost"]) for i in told["items"]}
    assert found == {"gateway": ("50", "1.8"), "batch": ("50", "1.8")}
    assert Decimal(told["total_cost"]) == Decimal("3.6")
    assert all(item["properties"] == {} for item in told["items"])


def test_source_and_properties_group_together(shop: Server) -> None:
    told = analytics(shop, group_by=["source", "properties.model", "properties.source"])
    assert {i["source"] for i in told["items"]} == {"gateway", "batch"}
    own = "a property of this name is another thing"
    assert all(i["properties"] == {"model": "dall-e-3", "source": own} for i in told["items"])


def test_sources_choose_events(shop: Server) -> None:
    assert [i["total_usage"] for i in analytics(shop, sources=["batch"])["items"]] == ["50"]
    assert [i["total_usage"] for i in analytics(shop, sources=["nobody"])["items"]] == ["0"]
    both = analytics(shop, sources=["batch", "gateway"])
    assert [i["total_usage"] for i in both["items"]] == ["100"]


def test_usage_groups_by_source_and_by_properties_with_or_without_the_prefix(
    shop: Server,
) -> None:
    asked = {"event_name": "image_generated", "aggregation_type": "SUM", **NOVEMBER}
    asked |= {"property_name": "image_count"}
    told = shop.post("/events/usage", {**asked, "group_by": ["source"]}).body["results"]
    assert {r["group"]["source"]: r["value"] for r in told} == {"gateway": 50, "batch": 50}
    for name in ("model", "properties.model"):
        (only,) = shop.post("/events/usage", {**asked, "group_by": [name]}).body["results"]
        assert (only["group"], only["value"]) == ({"model": "dall-e-3"}, 100)


def test_events_are_listed_from_the_oldest_in_pages(shop: Server) -> None:
    asked = {"order": "asc", "page_size": 3}
    page = shop.post("/events/query", asked).body
    assert [e["id"] for e in page["events"]] == ["evt_1", "evt_2", "evt_3"]
    rest = shop.post("/events/query", {**asked, "iter_last_key": page["iter_last_key"]}).body
    assert [e["id"] for e in rest["events"]] == ["evt_4"]
    assert (rest["has_more"], rest["total_count"]) == (False, 4)
    skipped = shop.post("/events/query", {"order": "ASC", "offset": 2}).body
    assert [e["id"] for e in skipped["events"]] == ["evt_3", "evt_4"]


@pytest.mark.parametrize("wrong", [{"order": "up"}, {"sort": "event_name"}])
def test_an_order_that_is_not_there_is_refused(server: Server, wrong: dict[str, Any]) -> None:
    answer = server.post("/events/query", wrong)
    assert (answer.status, answer.body["code"]) == (400, "validation_error")


KINDS: list[tuple[dict[str, Any], str]] = [
    ({"type": "MAX", "field": "v"}, "50"),
    ({"type": "AVG", "field": "v"}, "20"),
    ({"type": "LATEST", "field": "v"}, "0"),
    ({"type": "COUNT_UNIQUE", "field": "user"}, "2"),
    ({"type": "SUM", "field": "v"}, "80"),
    ({"type": "COUNT"}, "4"),
    ({"type": "MAX", "field": "v", "bucket_size": "DAY"}, "70"),
]


@pytest.fixture
def metered(server: Server, request: pytest.FixtureRequest) -> Server:
    """Four events of two models on two days, under one price with and one without a filter."""
    meter = {"name": "m", "event_name": "e", "reset_usage": "BILLING_PERIOD"}
    held = server.made("/meters", {**meter, "aggregation": request.param})
    plan = server.made("/plans", {"name": "P"})
    zone = {"external_id": "cust_001", "timezone": "Asia/Kathmandu"}
    server.made("/customers", zone)
    for own in ({}, {"filter_values": {"model": ["sold apart"]}}):
        server.made("/prices", price(plan["id"], held["id"], amount="2", **own))
    fields = {"plan_id": plan["id"], "external_customer_id": "cust_001", "currency": "usd"}
    more = {"billing_period": "MONTHLY", "start_date": NOVEMBER["start_time"]}
    server.made("/subscriptions", {**fields, **more})
    values = [(5, 50, "a", "u1"), (5, 10, "b", "u2"), (6, 20, "a", "u1"), (6, 0, "b", "u1")]
    events = [
        {
            "event_name": "e",
            "event_id": f"e{i}",
            "external_customer_id": "cust_001",
            "timestamp": f"2026-11-{day:02}T{10 + i}:00:00Z",
            "properties": {"v": v, "model": model, "user": user},
        }
        for i, (day, v, model, user) in enumerate(values)
    ]
    server.made("/events/bulk", {"events": events})
    return server


@pytest.mark.parametrize(
    ("metered", "total"), KINDS, indirect=["metered"], ids=lambda k: str(k)[:40]
)
def test_a_total_counts_the_whole_time_as_its_meter_does(metered: Server, total: str) -> None:
    """Not the sum of days, nor of the models by which another price is told apart."""
    for asked in ({}, {"window_size": "DAY"}):
        told = analytics(metered, **asked)
        used = [i for i in told["items"] if i["event_count"]]
        assert [i["total_usage"] for i in used] == [total]
        assert told["total_cost"] == str(2 * int(total))
    rated = metered.post(
        "/subscriptions/usage",
        {"subscription_id": used[0]["subscription_id"], "lifetime_usage": True},
    ).body
    assert rated["amount"] == 2 * int(total)
    filtered = analytics(metered, property_filters={"user": ["u1", "u2"]})
    assert filtered["total_cost"] == str(2 * int(total))


def test_days_are_those_of_a_customer_without_a_subscription(server: Server) -> None:
    meter = {"name": "m", "event_name": "e", "reset_usage": "BILLING_PERIOD"}
    server.made("/meters", {**meter, "aggregation": {"type": "COUNT"}})
    server.made("/customers", {"external_id": "cust_001", "timezone": "Asia/Kathmandu"})
    event = {"event_name": "e", "external_customer_id": "cust_001"}
    server.made("/events", {**event, "timestamp": "2026-11-21T19:00:00Z"})
    (item,) = analytics(server, window_size="DAY")["items"]
    assert [p["timestamp"] for p in item["points"]] == ["2026-11-21T18:15:00Z"]


def test_events_are_listed_by_a_plain_get(shop: Server) -> None:
    page = shop.get("/events", event_name="image_generated", source="batch", page_size=1).body
    assert [e["id"] for e in page["events"]] == ["evt_3"]
    assert (page["total_count"], page["has_more"]) == (2, True)
    more = {"page_size": 1, "iter_last_key": page["iter_last_key"], "source": "batch"}
    assert [e["id"] for e in shop.get("/events", **more).body["events"]] == ["evt_2"]
    assert shop.get("/events", page_size=0).status == 400
