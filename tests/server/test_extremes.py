"""Times and numbers at the ends of calendars and columns: answered or refused, never a 500."""

from __future__ import annotations

from typing import Any

import pytest

from tests.server.running import Server
from tests.server.story import METER, catalog
from tokenmeter.rating import windows

ON_BOTH_DATABASES = True

ETERNITY = [
    ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"),
    ("9999-12-31T23:00:00Z", "9999-12-31T23:59:59Z"),
    ("0001-01-01T00:00:00Z", "0001-01-01T01:00:00Z"),
]


@pytest.mark.parametrize(("start", "end"), ETERNITY)
@pytest.mark.parametrize("window", ["HOUR", "DAY", "WEEK", "MONTH"])
def test_a_question_about_eternity_is_answered_or_refused(
    server: Server, monkeypatch: pytest.MonkeyPatch, start: str, end: str, window: str
) -> None:
    if window != "MONTH":  # once is enough to count to the real limit, for 0.2 s each time
        monkeypatch.setattr(windows, "WINDOWS_MAX", 5_000)
    meter = server.made("/meters", METER)["id"]
    server.made("/events", {"event_name": METER["event_name"], "external_customer_id": "cust_001"})
    span = {"start_time": start, "end_time": end, "window_size": window}
    asked = {
        "/events/usage/meter": {"meter_id": meter, "timezone": "Asia/Kolkata"},
        "/events/usage": {
            "event_name": METER["event_name"],
            "aggregation_type": "MAX",
            "property_name": "x",
            "bucket_size": window,
        },
        "/events/analytics": {"external_customer_id": "cust_001"},
        "/costs/analytics": {},
        "/events/query": {},
    }
    for path, fields in asked.items():
        for zone in ("UTC", "Pacific/Kiritimati"):
            answer = server.post(path, {"timezone": zone, **fields, **span})
            assert answer.status in {200, 400, 404}, (path, answer)


@pytest.mark.parametrize("year", ["0001", "1899", "3000", "9999"])
def test_a_subscription_begins_where_its_periods_can_be_counted(server: Server, year: str) -> None:
    shop = catalog(server)
    good = {
        "plan_id": shop["/plans"]["id"],
        "external_customer_id": "cust_001",
        "currency": "usd",
        "billing_period": "MONTHLY",
    }
    for name in ("start_date", "billing_anchor"):
        answer = server.post("/subscriptions", {**good, name: f"{year}-01-01T00:00:00Z"})
        assert answer.status == 400
        assert name in answer.body["message"]
    answer = server.post("/subscriptions", {**good, "billing_period_count": 1_001})
    assert answer.status == 400
    assert "positive integer up to 1000" in answer.body["message"]
    assert server.post("/subscriptions", good).status == 201


@pytest.mark.parametrize("priority", ["1e30", "0.5", -(2**31)])
def test_a_priority_that_no_column_holds_is_refused(server: Server, priority: Any) -> None:
    catalog(server)
    wallet = server.made("/wallets", {"external_customer_id": "cust_001", "currency": "usd"})["id"]
    top_up = {"credits_to_add": "1", "transaction_reason": "FREE_CREDIT_GRANT"}
    answer = server.post(f"/wallets/{wallet}/top-up", {**top_up, "priority": priority})
    assert answer.status == 400
    assert "priority" in answer.body["message"]
