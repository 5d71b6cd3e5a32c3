"""Usage through the server: totals, windows, filters, meters, and the events themselves."""

from __future__ import annotations

from typing import Any

import pytest

from tests.server.running import Server
from tests.server.story import METER
from tokenmeter.engine.metering import GROUPS_MAX

DAY = {"start_time": "2026-11-21T00:00:00Z", "end_time": "2026-11-22T00:00:00Z"}


def sent(
    index: int, hour: int, *, model: str = "a", customer: str = "c1", **more: Any
) -> dict[str, Any]:
    return {
        "event_name": "image_generated",
        "event_id": f"evt_{index}",
        "external_customer_id": customer,
        "timestamp": f"2026-11-21T{hour:02}:30:00Z",
        "properties": {"model": model, "provider": "openai", "image_count": index, **more},
    }


@pytest.fixture
def busy(server: Server) -> Server:
    """Six events: 1 to 6 images, at 0:30 to 5:30, of two models; the last of a second customer."""
    events = [sent(i, i - 1, model="ab"[i % 2]) for i in range(1, 6)]
    server.made("/events/bulk", {"events": [*events, sent(6, 5, customer="c2")]})
    return server


def usage(server: Server, **asked: Any) -> Any:
    fields = {"event_name": "image_generated", "property_name": "image_count", **DAY}
    answer = server.post("/events/usage", {"aggregation_type": "SUM", **fields, **asked})
    assert answer.status == 200, answer
    return answer.body


@pytest.mark.parametrize(
    ("asked", "value"),
    [
        ({}, 21),
        ({"external_customer_id": "c1"}, 15),
        ({"aggregation_type": "avg"}, 3.5),
        ({"aggregation_type": "MAX"}, 6),
        ({"aggregation_type": "COUNT"}, 6),
        ({"aggregation_type": "SUM", "property_name": ""}, 6),
        ({"aggregation_type": "COUNT_UNIQUE", "property_name": "model"}, 2),
        ({"aggregation_type": "UNIQUE_COUNT", "property_name": "model"}, 2),
        ({"aggregation_type": "SUM_WITH_MULTIPLIER", "multiplier": "0.1"}, 2.1),
        ({"aggregation_type": "SUM_WITH_MULTIPLIER"}, 21),
        ({"filters": {"model": ["a"]}}, 12),
        ({"filters": {"model": ["a"], "image_count": [2, 4]} | {"image_count": ["2"]}}, 2),
        ({"end_time": "2026-11-21T04:30:00Z"}, 10),  # half-open
        ({"external_customer_id": "nobody"}, 0),
    ],
)
def test_usage_is_aggregated(busy: Server, asked: dict[str, Any], value: float) -> None:
    assert usage(busy, **asked)["value"] == value


def test_usage_comes_in_windows_of_any_clock(busy: Server) -> None:
    three = usage(busy, window_size="3HOUR")
    assert [(r["window_size"], r["value"]) for r in three["results"]] == [
        ("2026-11-21T00:00:00.000Z", 6),
        ("2026-11-21T03:00:00.000Z", 15),
    ]
    india = usage(busy, window_size="DAY", timezone="Asia/Kolkata")
    assert [r["window_size"] for r in india["results"]] == ["2026-11-20T18:30:00.000Z"]


def test_usage_is_grouped_by_any_property(busy: Server) -> None:
    grouped = usage(busy, group_by=["model"])["results"]
    assert usage(busy, group_by_property="model")["results"] == grouped
    assert usage(busy, group_by=["model"], group_by_property="provider")["results"] == grouped
    assert [(r["group"], r["value"]) for r in grouped] == [
        ({"model": "a"}, 12),
        ({"model": "b"}, 9),
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        {"aggregation_type": "MEDIAN"},
        {"event_name": ""},
        {"start_time": "2026-11-23T00:00:00Z"},
        {"window_size": "FORTNIGHT"},
        {"timezone": "Mars/Base"},
        {"filters": ["model"]},
        {"group_by": {"a": 1}},
        {"group_by": [f"p{i}" for i in range(GROUPS_MAX + 1)]},
    ],
)
def test_a_question_that_makes_no_sense_is_refused(server: Server, wrong: dict[str, Any]) -> None:
    fields = {"event_name": "e", "aggregation_type": "COUNT", **DAY, **wrong}
    answer = server.post("/events/usage", fields)
    assert (answer.status, answer.body["code"]) == (400, "validation_error")


def test_a_meters_own_filters_count(busy: Server) -> None:
    meter = busy.made("/meters", {**METER, "filters": [{"key": "model", "values": ["b"]}]})
    asked = {"meter_id": meter["id"], **DAY}
    assert busy.post("/events/usage/meter", asked).body["value"] == 9
    narrow = {**asked, "filters": {"image_count": ["5"]}}
    assert busy.post("/events/usage/meter", narrow).body["value"] == 5
    unknown = busy.post("/events/usage/meter", {**asked, "meter_id": "meter_unknown"})
    assert unknown.status == 404


def test_a_meter_that_never_resets_counts_from_the_start(busy: Server) -> None:
    meter = busy.made("/meters", {**METER, "reset_usage": "Cumulative"})
    late = {"start_time": "2026-11-21T04:00:00Z", "end_time": "2026-11-22T00:00:00Z"}
    assert busy.post("/events/usage/meter", {"meter_id": meter["id"], **late}).body["value"] == 21


def test_a_meter_made_later_counts_what_is_stored_already(busy: Server) -> None:
    meter = busy.made("/features", {"name": "Images", "type": "metered", "meter": METER})
    asked = {"meter_id": meter["meter_id"], **DAY}
    assert busy.post("/events/usage/meter", asked).body["value"] == 21
    more = sent(7, 7)
    busy.made("/events/bulk", {"events": [more, more]})
    assert busy.post("/events/usage/meter", asked).body["value"] == 28
    windows = busy.post("/events/usage/meter", {**asked, "window_size": "12HOUR"}).body
    assert [r["value"] for r in windows["results"]] == [28]


def test_a_new_filter_of_a_meter_counts_for_stored_events_too(busy: Server) -> None:
    meter = busy.made("/meters", METER)
    asked = {"meter_id": meter["id"], **DAY}
    assert busy.post("/events/usage/meter", asked).body["value"] == 21
    busy.put(f"/meters/{meter['id']}", {"filters": [{"key": "model", "values": ["b"]}]})
    assert busy.post("/events/usage/meter", asked).body["value"] == 9


def test_an_exact_sum_stays_exact(server: Server) -> None:
    raw = (
        b'{"events": [{"event_name": "e", "external_customer_id": "c", "event_id": "1", '
        b'"properties": {"x": 0.10000000000000001}}, {"event_name": "e", "event_id": "2", '
        b'"external_customer_id": "c", "properties": {"x": 12345678901234567.5}}]}'
    )
    assert server.http.post("/v1/events/bulk", content=raw).status_code == 202
    asked = {"event_name": "e", "aggregation_type": "SUM", "property_name": "x"}
    # 15 places of a quantity are kept
    assert server.post("/events/usage", asked).body["value"] == "12345678901234567.6"


def test_events_are_listed_in_pages(busy: Server) -> None:
    page = busy.post("/events/query", {"page_size": 4}).body
    assert [e["id"] for e in page["events"]] == ["evt_6", "evt_5", "evt_4", "evt_3"]
    assert (page["has_more"], page["total_count"]) == (True, 6)
    more = {"page_size": 4, "iter_last_key": page["iter_last_key"]}
    rest = busy.post("/events/query", more).body
    assert [e["id"] for e in rest["events"]] == ["evt_2", "evt_1"]
    assert rest["has_more"] is False
    skipped = busy.post("/events/query", {"offset": 5}).body
    assert [e["id"] for e in skipped["events"]] == ["evt_1"]
    assert skipped["events"][0]["properties"]["image_count"] == 1


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"external_customer_id": "c2"}, [6]),
        ({"event_id": "evt_3"}, [3]),
        ({"event_name": "other"}, []),
        ({"property_filters": {"model": ["a"], "image_count": ["4", "6"]}}, [6, 4]),
        ({"start_time": "2026-11-21T03:30:00Z", "end_time": "2026-11-21T05:30:00Z"}, [5, 4]),
    ],
)
def test_events_are_found(busy: Server, asked: dict[str, Any], found: list[int]) -> None:
    events = busy.post("/events/query", asked).body["events"]
    assert [e["id"] for e in events] == [f"evt_{i}" for i in found]


def test_an_event_is_looked_up_by_its_id(busy: Server) -> None:
    found = busy.get("/events/lookup", id="evt_2", external_customer_id="c1")
    assert (found.status, found.body["event"]["id"]) == (200, "evt_2")
    assert busy.get("/events/evt_2").status == 200
    assert busy.get("/events/lookup", id="evt_2", external_customer_id="c2").status == 404
    assert busy.get("/events/lookup", id="nothing").status == 404


def test_usage_and_events_of_another_environment_are_not_seen(busy: Server) -> None:
    other = busy.client("staging")
    asked = {"event_name": "image_generated", "aggregation_type": "COUNT", **DAY}
    assert other.post("/events/usage", asked).body["value"] == 0
    assert other.post("/events/query", {}).body["events"] == []
    tricky = {"property_filters": {"environment": ["", "default"]}}
    assert other.post("/events/query", tricky).body["events"] == []
    assert other.get("/events/evt_1").status == 404
    meter = busy.made("/meters", METER)
    assert other.post("/events/usage/meter", {"meter_id": meter["id"]}).status == 404


NAMES = [
    "x' OR '1'='1",
    'x") OR 1=1 --',
    "$.image_count",
    'image_count"; DROP TABLE events; --',
    "a.b[0]",
    "%",
    "\\",
    "é" * 50,
]


@pytest.mark.parametrize("name", NAMES)
def test_injection_in_names_is_refused_or_harmless(busy: Server, name: str) -> None:
    for asked in (
        {"property_name": name},
        {"filters": {name: ["x"]}},
        {"group_by": [name]},
        {"external_customer_id": name},
        {"window_size": name},
    ):
        fields = {"event_name": "image_generated", "aggregation_type": "SUM", **DAY, **asked}
        answer = busy.post("/events/usage", fields)
        assert answer.status in {200, 400}, answer
        assert answer.body.get("value", 0) in {0, 6}
    listed = busy.post("/events/query", {"property_filters": {name: ["1"]}})
    assert listed.status in {200, 400}
    assert listed.body.get("events", []) == []
    searched = {"filters": [{"field": name, "operator": "eq", "value": {"string": name}}]}
    assert busy.post("/meters/search", searched).body["items"] == []
    assert busy.post("/plans/search", {"sort": name}).status == 200
    assert busy.get(f"/customers/external/{name}").status == 404
    assert usage(busy)["value"] == 21
