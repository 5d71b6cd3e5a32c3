"""Bad input is refused with Flexprice's code and a sentence: by the server, and in process."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import pytest

from tests.server.running import Client, Server
from tests.server.story import METER, catalog, price
from tokenmeter.engine.errors import EngineError
from tokenmeter.engine.local import Engine
from tokenmeter.engine.services import Services
from tokenmeter.rating.errors import RatingError

NOW = datetime(2026, 11, 21, tzinfo=UTC)
TIERS = [{"up_to": 10, "unit_amount": "1"}, {"up_to": None, "unit_amount": "0.5"}]
KINDS = {
    "/meters": "meter",
    "/prices": "price",
    "/plans": "plan",
    "/customers": "customer",
    "/features": "feature",
    "/prices/units": "price_unit",
    "/entitlements": "entitlement",
    "/creditgrants": "credit_grant",
}


class Door(Protocol):
    """A way in: makes things, or says with which code and sentence it does not."""

    def made(self, path: str, body: Mapping[str, Any]) -> Any: ...
    def refusal(self, path: str, body: Mapping[str, Any]) -> tuple[str, str]: ...


class Http:
    """Through the server."""

    def __init__(self, client: Client) -> None:
        self.client = client

    def made(self, path: str, body: Mapping[str, Any]) -> Any:
        return self.client.made(path, body)

    def refusal(self, path: str, body: Mapping[str, Any]) -> tuple[str, str]:
        answer = self.client.post(path, body)
        assert answer.status == answer.body["http_status_code"]
        assert 400 <= answer.status < 500
        return answer.body["code"], answer.body["message"]


class Process:
    """In process: the services themselves."""

    def __init__(self, services: Services) -> None:
        self.services = services

    def made(self, path: str, body: Mapping[str, Any]) -> Any:
        if path in KINDS:
            return self.services.definitions.create(KINDS[path], body)
        served: dict[str, Callable[[Mapping[str, Any]], Any]] = {
            "/subscriptions": self.services.subscriptions.create,
            "/wallets": self.services.wallets.create,
            "/invoices/preview": self.services.invoices.preview,
        }
        if path in served:
            return served[path](body)
        _, kind, key, what = path.split("/")
        if (kind, what) == ("wallets", "top-up"):
            return self.services.wallets.top_up(key, body)
        assert (kind, what) == ("subscriptions", "lineitems")
        return self.services.subscriptions.add_line_item(key, body)

    def refusal(self, path: str, body: Mapping[str, Any]) -> tuple[str, str]:
        with pytest.raises((EngineError, RatingError)) as refused:
            self.made(path, body)
        error = refused.value
        assert isinstance(error, EngineError | RatingError)
        return error.code, str(error)


@pytest.fixture(params=["server", "process"])
def door(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[Door, None, None]:
    if request.param == "server":
        yield Http(request.getfixturevalue("server"))
        return
    with Engine(f"sqlite:///{tmp_path / 'process.db'}") as engine:
        yield Process(Services(engine.store, clock=lambda: NOW))


@pytest.fixture
def shop(door: Door) -> dict[str, dict[str, Any]]:
    return catalog(door)


BROKEN_TIERS: list[Any] = [
    None,
    [],
    [{"up_to": 10, "unit_amount": "1"}],  # nothing beyond 10
    [{"up_to": None, "unit_amount": "1"}, {"up_to": None, "unit_amount": "1"}],
    [{"up_to": 10, "unit_amount": "1"}, {"up_to": 10, "unit_amount": "1"}, TIERS[1]],
    [{"up_to": 10, "unit_amount": "1"}, {"up_to": 5, "unit_amount": "1"}, TIERS[1]],
    [{"up_to": 0, "unit_amount": "1"}, TIERS[1]],
    [{"up_to": -5, "unit_amount": "1"}, TIERS[1]],
    [{"up_to": 10}, TIERS[1]],
    [{"up_to": 10, "unit_amount": "-1"}, TIERS[1]],
    [{"up_to": "ten", "unit_amount": "1"}, TIERS[1]],
    "tiers",
]


@pytest.mark.parametrize("tiers", BROKEN_TIERS, ids=str)
def test_tiers_with_a_gap_or_a_fall_are_refused(
    door: Door, shop: dict[str, Any], tiers: Any
) -> None:
    fields = price(shop["/plans"]["id"], shop["/meters"]["id"], filter_values={"model": ["x"]})
    broken = {**fields, "billing_model": "TIERED", "tier_mode": "SLAB", "tiers": tiers}
    code, sentence = door.refusal("/prices", broken)
    assert code == "validation_error"
    assert "ier" in sentence or "amount" in sentence or "up_to" in sentence
    without_mode = {**fields, "billing_model": "TIERED", "tiers": TIERS}
    assert door.refusal("/prices", without_mode)[0] == "validation_error"


PRICES: list[tuple[dict[str, Any], str]] = [
    ({"meter_id": "meter_unknown"}, "meter"),
    ({"meter_id": None}, "meter"),
    ({"currency": "us"}, "currency"),
    ({"currency": "u$d"}, "currency"),
    ({"amount": "NaN"}, "amount"),
    ({"amount": "Infinity"}, "amount"),
    ({"amount": "-0.01"}, "amount"),
    ({"amount": True}, "amount"),
    ({"start_date": "2026-11-02T00:00:00Z", "end_date": "2026-11-02T00:00:00Z"}, "end"),
    ({"start_date": "yesterday"}, "start_date"),
    ({"filter_values": {"quality": ["standard"], "model": ["dall-e-3"]}}, "filter"),
    ({"filter_values": {"quality": ["hd", "standard"], "style": ["vivid"]}}, "filter"),
    ({"filter_values": ["model"]}, "filter"),
    ({"price_unit_type": "CUSTOM"}, "unit"),
    ({"billing_model": "PACKAGE", "transform_quantity": {"divide_by": 0}}, "divide_by"),
    (
        {"billing_model": "PACKAGE", "transform_quantity": {"divide_by": 2, "round": "near"}},
        "round",
    ),
    ({"type": "GIFT"}, "type"),
    ({"billing_period": "ONETIME"}, "ADVANCE"),
]


@pytest.mark.parametrize(("wrong", "word"), PRICES, ids=lambda w: str(w)[:50])
def test_a_broken_price_is_refused_and_never_rated_0(
    door: Door, shop: dict[str, Any], wrong: dict[str, Any], word: str
) -> None:
    fields = price(shop["/plans"]["id"], shop["/meters"]["id"], filter_values={"model": ["x"]})
    code, sentence = door.refusal("/prices", {**fields, **wrong})
    assert code == "validation_error"
    assert word in sentence


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"aggregation": {"type": "SUM"}}, "field"),
        ({"aggregation": {"type": "AVG", "field": ""}}, "field"),
        ({"aggregation": {"type": "COUNT_UNIQUE"}}, "field"),
        ({"aggregation": {"type": "MEDIAN", "field": "x"}}, "aggregation"),
        ({"aggregation": None}, "aggregation"),
        ({"aggregation": {"type": "SUM", "expression": "a +"}}, "expression"),
        ({"event_name": "  "}, "event_name"),
        ({"name": ""}, "name"),
        ({"reset_usage": None}, "reset"),
        ({"filters": [{"key": "model", "values": []}]}, "filter"),
    ],
)
def test_a_meter_that_counts_nothing_is_refused(
    door: Door, wrong: dict[str, Any], word: str
) -> None:
    code, sentence = door.refusal("/meters", {**METER, **wrong})
    assert code == "validation_error"
    assert word in sentence


SUBSCRIPTION = {
    "external_customer_id": "cust_001",
    "plan_id": "ai_pro",
    "currency": "usd",
    "billing_period": "MONTHLY",
}


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"external_customer_id": "nobody"}, "not_found"),
        ({"external_customer_id": None}, "validation_error"),
        ({"currency": "eur"}, "validation_error"),
        ({"end_date": "2020-01-01T00:00:00Z"}, "validation_error"),
        ({"billing_period_count": 0}, "validation_error"),
        ({"commitment_amount": "-5", "overage_factor": "2"}, "validation_error"),
        ({"commitment_amount": "5", "overage_factor": "0.5"}, "validation_error"),
        ({"override_line_items": [{"price_id": "price_unknown"}]}, "validation_error"),
    ],
    ids=str,
)
def test_a_wrong_subscription_is_refused(
    door: Door, shop: dict[str, Any], wrong: dict[str, Any], code: str
) -> None:
    found, sentence = door.refusal("/subscriptions", {**SUBSCRIPTION, **wrong})
    assert (found, sentence.endswith(".")) == (code, True)


def test_a_line_item_that_bills_the_same_events_twice_is_refused(
    door: Door, shop: dict[str, Any]
) -> None:
    held = door.made("/subscriptions", SUBSCRIPTION)
    other = door.made("/plans", {"name": "Extras"})
    own = {"model": ["dall-e-3"], "quality": ["standard"]}
    fields = price(other["id"], shop["/meters"]["id"], filter_values=own)
    twin = door.made("/prices", fields)
    place = f"/subscriptions/{held['id']}/lineitems"
    code, sentence = door.refusal(place, {"price_id": twin["id"]})
    assert code == "validation_error"
    assert "match the same events" in sentence
    named = {**SUBSCRIPTION, "line_items": [{"price_id": twin["id"]}]}
    assert door.refusal("/subscriptions", named)[0] == "validation_error"


@pytest.mark.parametrize("credits_", ["0", "-1", 0, -0.5, "many", None, "NaN"], ids=repr)
def test_credits_of_0_or_less_are_refused(door: Door, shop: dict[str, Any], credits_: Any) -> None:
    wallet = door.made("/wallets", {"external_customer_id": "cust_001", "currency": "usd"})
    top_up = {"credits_to_add": credits_, "transaction_reason": "FREE_CREDIT_GRANT"}
    assert door.refusal(f"/wallets/{wallet['id']}/top-up", top_up)[0] == "validation_error"
    grant = {"name": "g", "scope": "PLAN", "plan_id": shop["/plans"]["id"], "cadence": "ONETIME"}
    refused = door.refusal("/creditgrants", {**grant, "credits": credits_})
    assert refused[0] == "validation_error"


def test_a_period_that_ends_before_it_starts_is_refused(door: Door, shop: dict[str, Any]) -> None:
    held = door.made("/subscriptions", {**SUBSCRIPTION, "start_date": "2026-11-01T00:00:00Z"})
    asked = {"subscription_id": held["id"], "period_start": "2026-12-01T00:00:00Z"}
    code, _ = door.refusal("/invoices/preview", {**asked, "period_end": "2026-11-30T23:59:59Z"})
    assert code == "validation_error"


@pytest.mark.parametrize(
    "path", ["/events/usage", "/events/analytics", "/events/query", "/costs/analytics"]
)
def test_a_question_whose_end_lies_before_its_start_is_refused(server: Server, path: str) -> None:
    asked = {
        "event_name": "e",
        "aggregation_type": "COUNT",
        "external_customer_id": "cust_001",
        "start_time": "2026-11-02T00:00:00Z",
        "end_time": "2026-11-01T23:59:59+00:00",
    }
    answer = server.post(path, asked)
    assert (answer.status, answer.body["code"]) == (400, "validation_error")


def test_1001_events_are_refused_and_none_is_stored(server: Server) -> None:
    event = {"event_name": "e", "external_customer_id": "cust_001"}
    answer = server.post("/events/bulk", {"events": [event] * 1_001})
    assert (answer.status, answer.body["code"]) == (400, "validation_error")
    assert server.post("/events/query", {}).body["total_count"] == 0
