"""The official `flexprice` SDK, unchanged, runs the whole story against the server."""

from __future__ import annotations

from collections.abc import Generator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from flexprice import Flexprice

from tests.server.running import Server

ON_BOTH_DATABASES = True

START = datetime(2026, 11, 1, tzinfo=UTC)
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
MODELS = ("gpt-5", "gpt-5-mini", "unsold")
EVENTS = 1_350


@pytest.fixture
def sdk(server: Server) -> Generator[Flexprice, None, None]:
    server.clock.at = NOW
    with Flexprice(api_key_auth=server.key, server_url=f"{server.origin}/v1") as client:
        yield client


def token_feature(sdk: Flexprice, kind: str) -> Any:
    return sdk.features.create_feature(
        name=f"{kind} tokens",
        type_="metered",
        unit_singular="token",
        unit_plural="tokens",
        meter={
            "name": f"{kind}_tokens",
            "event_name": "text_generated",
            "aggregation": {"type": "SUM", "field": f"{kind}_tokens"},
            "reset_usage": "BILLING_PERIOD",
        },
    )


def usage_price(plan: str, meter: str, model: str, amount: str, **more: Any) -> Any:
    return {
        "entity_type": "PLAN",
        "entity_id": plan,
        "type": "USAGE",
        "meter_id": meter,
        "currency": "usd",
        "price_unit_type": "FIAT",
        "billing_model": "FLAT_FEE",
        "billing_period": "MONTHLY",
        "billing_period_count": 1,
        "invoice_cadence": "ARREAR",
        "amount": amount,
        "filter_values": {"model": [model]},
        **more,
    }


def event(index: int) -> Any:
    """One call every ten minutes: the SDK sends properties as texts."""
    return {
        "event_name": "text_generated",
        "external_customer_id": "acme",
        "event_id": f"evt_{index}",
        "timestamp": (START + timedelta(minutes=10 * index)).isoformat(),
        "source": "gateway",
        "properties": {
            "model": MODELS[index % 3],
            "input_tokens": str(1_000 + index),
            "output_tokens": str(index),
        },
    }


def sell(sdk: Flexprice) -> str:
    """A customer, two features with their meters, a plan, its prices; return the subscription."""
    customer = sdk.customers.create_customer(external_id="acme", name="Acme", timezone="UTC")
    assert sdk.customers.get_customer_by_external_id(external_id="acme").id == customer.id
    input_tokens, output_tokens = token_feature(sdk, "input"), token_feature(sdk, "output")
    assert input_tokens.meter.id == input_tokens.meter_id
    unit = sdk.price_units.create_price_unit(
        name="Credit", code="CREDIT", symbol="cr", base_currency="usd", conversion_rate="0.01"
    )
    assert unit.conversion_rate == "0.01"
    plan = sdk.plans.create_plan(name="Pro", lookup_key="pro").id or ""
    fields = usage_price(plan, input_tokens.meter_id, "gpt-5", "0.00000125", lookup_key="in")
    first = sdk.prices.create_price(type_=fields.pop("type"), **fields)
    assert (first.amount, first.billing_cadence) == ("0.00000125", "RECURRING")
    config = {"price_unit": "CREDIT", "amount": "0.001"}
    own: dict[str, Any] = {"price_unit_type": "CUSTOM", "price_unit_config": config}
    bulk = sdk.prices.create_prices_bulk(
        items=[
            usage_price(plan, output_tokens.meter_id, "gpt-5", "0.00001"),
            usage_price(plan, input_tokens.meter_id, "gpt-5-mini", "0.00000025"),
            usage_price(plan, output_tokens.meter_id, "gpt-5-mini", "0", **own),
        ]
    )
    assert [p.amount for p in bulk.items or []] == ["0.00001", "0.00000025", "0.00001"]
    assert sdk.prices.get_price_by_lookup_key(lookup_key="in").id == first.id
    subscription = sdk.subscriptions.create_subscription(
        plan_id=plan,
        external_customer_id="acme",
        currency="usd",
        billing_period="MONTHLY",
        billing_cycle="anniversary",
        start_date=START,
    )
    assert subscription.current_period_end == datetime(2026, 12, 1, tzinfo=UTC)
    assert len(subscription.line_items or []) == 4
    return subscription.id or ""


def send_twice(sdk: Flexprice) -> None:
    events = [event(i) for i in range(EVENTS)]
    for _ in range(2):
        for begin in range(0, EVENTS, 1_000):
            told = sdk.events.ingest_events_bulk(events=events[begin : begin + 1_000])
            assert told == {"message": "Events accepted for processing"}


INS, OUTS = [1_000 + i for i in range(EVENTS)], list(range(EVENTS))
BY_MODEL = {
    "gpt-5": Decimal("0.00000125") * sum(INS[0::3]) + Decimal("0.00001") * sum(OUTS[0::3]),
    "gpt-5-mini": Decimal("0.00000025") * sum(INS[1::3]) + Decimal("0.00001") * sum(OUTS[1::3]),
    "unsold": Decimal(0),
}
EXPECTED = sum(BY_MODEL.values(), Decimal(0))


def check_usage(sdk: Flexprice, subscription: str) -> None:
    used = sdk.subscriptions.get_subscription_usage(subscription_id=subscription)
    charges = used.charges or []
    assert sum(Decimal(str(c.amount)) for c in charges) == EXPECTED
    assert used.amount == float(round(EXPECTED, 2))
    models = {tuple((c.filter_values or {})["model"]) for c in charges}
    assert models == {("gpt-5",), ("gpt-5-mini",)}
    days = sdk.events.get_usage_statistics(
        event_name="text_generated",
        aggregation_type="SUM",
        property_name="input_tokens",
        external_customer_id="acme",
        start_time=START,
        end_time=NOW,
        window_size="DAY",
    )
    assert days.value == sum(INS)
    assert [r.value for r in days.results or []] == [
        sum(INS[d * 144 : (d + 1) * 144]) for d in range(10)
    ]


def check_wallet(sdk: Flexprice) -> None:
    wallet = sdk.wallets.create_wallet(currency="usd", external_customer_id="acme").id or ""
    postings = [
        sdk.wallets.top_up_wallet(
            id=wallet,
            credits_to_add="100",
            transaction_reason="PURCHASED_CREDIT_DIRECT",
            idempotency_key="order-1",
        ).wallet_transaction
        for _ in range(2)
    ]
    assert len({posting.id for posting in postings if posting is not None}) == 1
    balance = sdk.wallets.get_wallet_balance(id=wallet)
    assert balance.balance == "100"
    assert Decimal(balance.real_time_balance or "") == 100 - EXPECTED
    (listed,) = sdk.wallets.get_customer_wallets(lookup_key="acme")
    assert listed.id == wallet
    transactions = sdk.wallets.get_wallet_transactions(id_path_parameter=wallet)
    assert len(transactions.items or []) == 1


def check_invoice(sdk: Flexprice, subscription: str) -> None:
    invoice = sdk.invoices.get_invoice_preview(subscription_id=subscription)
    lines = [Decimal(line.amount or "") for line in invoice.line_items or []]
    assert Decimal(invoice.total or "") == sum(lines)
    charges = sdk.subscriptions.get_subscription_usage(subscription_id=subscription).charges or []
    assert sorted(lines) == sorted(round(Decimal(str(c.amount)), 2) for c in charges)


def check_analytics(sdk: Flexprice) -> None:
    told = sdk.events.get_usage_analytics(
        external_customer_id="acme",
        start_time=START,
        end_time=NOW,
        group_by=["properties.model"],
        window_size="DAY",
    )
    assert Decimal(told.total_cost or "") == EXPECTED
    costs = dict.fromkeys(BY_MODEL, Decimal(0))
    for item in told.items or []:
        assert item.properties is not None
        costs[item.properties["model"]] += Decimal(item.total_cost or "")
        points = [Decimal(point.cost or "") for point in item.points or []]
        assert sum(points) == Decimal(item.total_cost or "")
    assert costs == BY_MODEL


def check_costs(sdk: Flexprice) -> None:
    sheet = sdk.costs.create_costsheet(name="Providers").costsheet
    assert sheet is not None
    (feature,) = sdk.features.query_feature(name_contains="input").items or []
    fields = usage_price(sheet.id or "", feature.meter_id or "", "gpt-5", "0.000001")
    fields |= {"entity_type": "COSTSHEET"}
    sdk.prices.create_price(type_=fields.pop("type"), **fields)
    told = sdk.costs.get_detailed_cost_analytics(
        start_time=START, end_time=NOW, external_customer_id="acme"
    )
    cost = Decimal("0.000001") * sum(INS[0::3])
    assert (Decimal(told.total_cost or ""), Decimal(told.total_revenue or "")) == (cost, EXPECTED)
    assert Decimal(told.margin or "") == EXPECTED - cost


def test_the_official_sdk_runs_the_whole_story(sdk: Flexprice) -> None:
    subscription = sell(sdk)
    send_twice(sdk)
    check_usage(sdk, subscription)
    check_wallet(sdk)
    check_invoice(sdk, subscription)
    check_analytics(sdk)
    check_costs(sdk)


def test_the_sdk_searches_changes_and_deletes(sdk: Flexprice) -> None:
    customer = sdk.customers.create_customer(external_id="acme", name="Acme")
    assert sdk.customers.query_customer(external_ids=["acme"]).items[0].id == customer.id  # type: ignore[index]
    changed = sdk.customers.update_customer(external_customer_id="acme", email="a@acme.example")
    assert changed.email == "a@acme.example"
    feature = token_feature(sdk, "input")
    assert sdk.features.query_feature(name_contains="INPUT").items[0].id == feature.id  # type: ignore[index]
    plan = sdk.plans.create_plan(name="Pro")
    entitlement = sdk.entitlements.create_entitlement(
        feature_id=feature.id, feature_type="metered", plan_id=plan.id, usage_limit=1_000
    )
    assert entitlement.usage_limit == 1_000
    held = sdk.entitlements.get_plan_entitlements(id=plan.id or "")
    assert [e.id for e in held.items or []] == [entitlement.id]
    grant = sdk.credit_grants.create_credit_grant(
        name="Welcome", scope="PLAN", plan_id=plan.id, credits="5", cadence="ONETIME"
    )
    assert sdk.credit_grants.get_credit_grant(id=grant.id or "").credits == "5"
    sheet = sdk.costs.create_costsheet(name="Providers").costsheet
    assert sheet is not None
    assert sdk.costs.get_active_costsheet().id == sheet.id
    sdk.features.delete_feature(id=feature.id)
    sdk.plans.delete_plan(id=plan.id or "")
    sdk.customers.delete_customer(id=customer.id or "")
    assert sdk.plans.query_plan().items == []
    made = sdk.secrets.create_api_key(name="gateway", type_="private_key")
    assert made.api_key


def test_the_sdk_reads_events(sdk: Flexprice) -> None:
    told = sdk.events.ingest_event(
        event_name="e", external_customer_id="acme", properties={"tokens": "1500"}
    )
    found = sdk.events.get_event(id=told["event_id"], external_customer_id="acme")
    assert found.event is not None
    assert found.event.properties == {"tokens": "1500"}
    listed = sdk.events.list_raw_events(external_customer_id="acme")
    assert [e.id for e in listed.events or []] == [told["event_id"]]
