"""Events through the server."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.server.running import Client, Server
from tokenmeter.engine.keys import Scope

EVENT: dict[str, Any] = {
    "event_name": "image_generated",
    "external_customer_id": "cust_001",
    "event_id": "evt_1",
    "timestamp": "2026-11-21T10:00:00Z",
    "properties": {"model": "dall-e-3", "size": "1024x1024", "image_count": 1, "hd": True},
}


def test_an_event_is_stored_as_it_was_sent(server: Server) -> None:
    answer = server.post("/events", EVENT)
    assert answer.status == 202
    assert answer.body == {"message": "Event accepted for processing", "event_id": "evt_1"}
    (stored,) = server.engine.events().events
    assert stored.to_dict() == {
        **EVENT,
        "source": "api",
        "timestamp": "2026-11-21T10:00:00.000Z",
        "properties": {**EVENT["properties"], "hd": "true"},
    }


def test_an_event_without_id_and_time_gets_them(server: Server) -> None:
    sent = {"event_name": "api_calls", "external_customer_id": "c"}
    answer = server.post("/events", sent)
    (stored,) = server.engine.events().events
    assert answer.body["event_id"] == stored.event_id
    assert stored.event_id.startswith("event_")


@pytest.mark.parametrize(
    "wrong",
    [
        {"event_name": ""},
        {"event_name": None},
        {"external_customer_id": " "},
        {"event_id": 7},
        {"timestamp": "yesterday"},
        {"timestamp": "0001-01-01T00:00:00+14:00"},
        {"timestamp": "1969-12-31T23:59:59Z"},
        {"properties": [1]},
        {"properties": {"image_count": "many"}},
    ],
)
def test_a_wrong_event_is_refused_with_a_sentence(server: Server, wrong: dict[str, Any]) -> None:
    answer = server.post("/events", {**EVENT, **wrong})
    assert answer.status == 400
    assert answer.body["code"] == "validation_error"
    assert answer.body["http_status_code"] == 400
    assert answer.body["message"].endswith((".", "number", "9998"))
    assert server.engine.events().events == ()


def test_a_bulk_body_sent_twice_counts_once(server: Server) -> None:
    events = [{**EVENT, "event_id": f"evt_{i}"} for i in range(1_000)]
    for _ in range(2):
        answer = server.post("/events/bulk", {"events": events})
        assert answer.status == 202
        assert answer.body == {"message": "Events accepted for processing"}
    assert sum(row.events for row in server.engine.usage()) == 1_000


@pytest.mark.parametrize("count", [0, 1_001])
def test_a_bulk_body_holds_1_to_1000_events(server: Server, count: int) -> None:
    events = [{**EVENT, "event_id": f"evt_{i}"} for i in range(count)]
    answer = server.post("/events/bulk", {"events": events})
    assert (answer.status, answer.body["code"]) == (400, "validation_error")
    assert server.engine.events().events == ()


def test_a_bulk_body_with_a_malformed_event_stores_none_and_names_it(server: Server) -> None:
    answer = server.post("/events/bulk", {"events": [EVENT, {**EVENT, "event_name": 5}, 3]})
    assert answer.status == 400
    assert [fault["index"] for fault in answer.body["details"]["events"]] == [1, 2]
    assert server.engine.events().events == ()


def test_a_bulk_body_names_the_event_that_the_store_refuses(server: Server) -> None:
    bad = {**EVENT, "event_id": "evt_bad", "properties": {"image_count": "many"}}
    answer = server.post("/events/bulk", {"events": [EVENT, bad]})
    assert answer.status == 400
    assert [fault["event_id"] for fault in answer.body["details"]["events"]] == ["evt_bad"]
    assert [event.event_id for event in server.engine.events().events] == ["evt_1"]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"[1]",
        b'"text"',
        b"\xff",
        b"[" * 100_000,
        b'{"event_name": NaN}',
        b'{"event_name": 1e999999999}',
        b'{"event_name": ' + b"9" * 10_000 + b"}",
        b'{"event_name": "a\\u0000b", "external_customer_id": "c"}',
        b'{"event_name": "a\\ud800", "external_customer_id": "c"}',
    ],
)
def test_a_body_that_is_no_json_object_is_refused(server: Server, raw: bytes) -> None:
    reply = server.http.post("/v1/events", content=raw)
    assert reply.status_code == 400
    assert reply.json()["code"] == "validation_error"


def test_numbers_are_exact_on_the_way_in(server: Server) -> None:
    raw = (
        b'{"event_name": "e", "external_customer_id": "c", "properties": '
        b'{"cost_usd": 0.12345678901234567890123, "ratio": 8.0, "count": 1e3, "deep": {"a": 0.5},'
        b' "nothing": null}}'
    )
    assert server.http.post("/v1/events", content=raw).status_code == 202
    (stored,) = server.engine.events().events
    assert stored.to_dict()["properties"] == {
        "cost_usd": "0.12345678901234567890123",
        "ratio": 8,
        "count": 1_000,
        "deep": '{"a":0.5}',
    }


def test_a_body_larger_than_the_cap_is_refused(server: Server) -> None:
    reply = server.http.post("/v1/events", content=b" " * (32 * 1024 * 1024 + 1))
    assert reply.status_code == 400


def test_an_event_belongs_to_the_environment_of_its_key(server: Server) -> None:
    other = server.client("staging")
    event = {**EVENT, "properties": {"environment": "production"}}
    assert other.post("/events", event).status == 202
    assert server.post("/events", event).status == 202
    for environment in ("", "staging"):
        (row,) = server.engine.usage(by=["environment"], environment=environment)
        assert (row.group["environment"], row.events) == ("production", 1)
    assert server.engine.usage(environment="production") == []


def test_a_key_without_the_scope_may_not_send_events(server: Server) -> None:
    reader: Client = server.client("", Scope.READ)
    answer = reader.post("/events", EVENT)
    assert (answer.status, answer.body["code"]) == (403, "permission_denied")


def test_clients_that_send_the_same_events_at_once_are_counted_once(server: Server) -> None:
    batches = [
        [{**EVENT, "event_id": f"evt_{i}"} for i in range(start, start + 200)]
        for start in (0, 100, 0, 200, 100, 300)
    ]
    clients = [server.client() for _ in batches]
    with ThreadPoolExecutor(len(batches)) as threads:
        sent = [
            threads.submit(client.post, "/events/bulk", {"events": batch})
            for client, batch in zip(clients, batches, strict=True)
        ]
        assert [answer.result().status for answer in sent] == [202] * len(batches)
    assert sum(row.events for row in server.engine.usage()) == 500
    asked = {"event_name": "image_generated", "aggregation_type": "SUM"}
    times = {"start_time": "2026-11-21T00:00:00Z", "end_time": "2026-11-22T00:00:00Z"}
    fields = {**asked, **times, "property_name": "image_count"}
    assert server.post("/events/usage", fields).body["value"] == 500
