"""A database with a plan, customers and wallets, as a reseller of images has it."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from tokenmeter.engine.local import Engine

PRICE = Decimal("0.50")
TOKEN_PRICE = Decimal("0.001")
NAMES = {"image_count": "Images"}
IMAGE_PATH = "/v1/images/generations"
PERIOD = {"billing_period": "MONTHLY", "billing_period_count": 1}


def funded(url: str, *customers: str, credit: str, included: int | None = None) -> Engine:
    """Set up a plan of $0.50 an image, and a wallet for each customer."""
    engine = Engine(url)
    define = engine.definitions
    plan = define.create("plan", {"name": "Pro", "lookup_key": "pro"})
    feature = _sold(engine, plan["id"], "image_generated", "image_count", PRICE)
    if included is not None:
        define.create(
            "entitlement",
            {
                "plan_id": plan["id"],
                "feature_id": feature["id"],
                "feature_type": "metered",
                "usage_limit": included,
            },
        )
    for customer in customers:
        _customer(engine, customer, plan["id"], credit)
    return engine


def sold(
    url: str,
    meter: dict[str, Any],
    *,
    included: int | None = None,
    credit: str | None = None,
    prices: Sequence[dict[str, Any]] = ({"amount": "0.01"},),
    also: Sequence[dict[str, Any]] = (),
) -> None:
    """
    Set up a plan with a metered feature, by default at $0.01, and the customer acme on it.

    `also`: other meters that are sold at $0.01.
    """
    engine = Engine(url)
    make = engine.definitions.create
    plan = make("plan", {"name": "Pro", "lookup_key": "pro"})
    reset = {"name": "sold", "reset_usage": "BILLING_PERIOD", **meter}
    feature = make(
        "feature", {"name": "Sold", "lookup_key": "sold", "type": "metered", "meter": reset}
    )
    price = {"entity_type": "PLAN", "entity_id": plan["id"], "type": "USAGE", "currency": "usd"}
    terms = {"billing_model": "FLAT_FEE", "price_unit_type": "FIAT", "invoice_cadence": "ARREAR"}
    for said in prices:
        make("price", {**price, **terms, **PERIOD, "meter_id": feature["meter_id"], **said})
    for number, other in enumerate(also):
        named = {"name": f"also {number}", "lookup_key": f"also_{number}", "type": "metered"}
        counts = {**reset, "name": f"also {number}", **other}
        found = make("feature", {**named, "meter": counts})["meter_id"]
        make("price", {**price, **terms, **PERIOD, "meter_id": found, "amount": "0.01"})
    if included is not None:
        limit = {"feature_type": "metered", "usage_limit": included}
        make("entitlement", {"plan_id": plan["id"], "feature_id": feature["id"], **limit})
    customer = make("customer", {"external_id": "acme", "name": "acme"})["id"]
    engine.subscriptions.create(
        {"customer_id": customer, "plan_id": plan["id"], "currency": "usd", **PERIOD}
    )
    if credit is not None:
        paid = {"customer_id": customer, "currency": "usd", "initial_credits_to_load": credit}
        engine.wallets.create(paid)
    engine.close()


def funded_by_token(url: str, customer: str, *, credit: str) -> Engine:
    """Set up a plan of $0.001 a token of chats, and a wallet for a customer."""
    engine = Engine(url)
    plan = engine.definitions.create("plan", {"name": "Chat", "lookup_key": "chat"})
    for metric in ("uncached_input_tokens", "output_tokens"):
        _sold(engine, plan["id"], "text_generated", metric, TOKEN_PRICE)
    _customer(engine, customer, plan["id"], credit)
    return engine


def _sold(engine: Engine, plan: str, event_name: str, metric: str, price: Decimal) -> Any:
    """Sell a metric at a price; returns the feature."""
    name = NAMES.get(metric, metric)
    feature = engine.definitions.create(
        "feature",
        {
            "name": name,
            "lookup_key": metric,
            "type": "metered",
            "meter": {
                "name": metric,
                "event_name": event_name,
                "aggregation": {"type": "SUM", "field": metric},
                "reset_usage": "BILLING_PERIOD",
            },
        },
    )
    engine.definitions.create(
        "price",
        {
            "entity_type": "PLAN",
            "entity_id": plan,
            "type": "USAGE",
            "meter_id": feature["meter_id"],
            "currency": "usd",
            "amount": str(price),
            "billing_model": "FLAT_FEE",
            "billing_period": "MONTHLY",
            "billing_period_count": 1,
            "price_unit_type": "FIAT",
            "invoice_cadence": "ARREAR",
        },
    )
    return feature


def _customer(engine: Engine, customer: str, plan: str, credit: str) -> None:
    made = engine.definitions.create("customer", {"external_id": customer, "name": customer})
    terms: dict[str, Any] = {
        "customer_id": made["id"],
        "plan_id": plan,
        "currency": "usd",
        "billing_period": "MONTHLY",
        "billing_period_count": 1,
    }
    engine.subscriptions.create(terms)
    engine.wallets.create(
        {"customer_id": made["id"], "currency": "usd", "initial_credits_to_load": credit}
    )
