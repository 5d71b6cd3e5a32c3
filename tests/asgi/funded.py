"""A database with a plan, customers and wallets, as a reseller of images has it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tokenmeter.engine.local import Engine

PRICE = Decimal("0.50")
IMAGE_PATH = "/v1/images/generations"


def funded(url: str, *customers: str, credit: str, included: int | None = None) -> Engine:
    """Set up a plan of $0.50 an image, and a wallet for each customer."""
    engine = Engine(url)
    define = engine.definitions
    feature = define.create(
        "feature",
        {
            "name": "Images",
            "lookup_key": "images",
            "type": "metered",
            "meter": {
                "name": "images",
                "event_name": "image_generated",
                "aggregation": {"type": "SUM", "field": "image_count"},
                "reset_usage": "BILLING_PERIOD",
            },
        },
    )
    plan = define.create("plan", {"name": "Pro", "lookup_key": "pro"})
    define.create(
        "price",
        {
            "entity_type": "PLAN",
            "entity_id": plan["id"],
            "type": "USAGE",
            "meter_id": feature["meter_id"],
            "currency": "usd",
            "amount": str(PRICE),
            "billing_model": "FLAT_FEE",
            "billing_period": "MONTHLY",
            "billing_period_count": 1,
            "price_unit_type": "FIAT",
            "invoice_cadence": "ARREAR",
        },
    )
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
