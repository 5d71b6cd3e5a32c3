"""A small business on the server: one of each definition."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class Maker(Protocol):
    """Makes a definition, which must succeed: a client of the server, or the services."""

    def made(self, path: str, body: Mapping[str, Any]) -> Any: ...


METER: dict[str, Any] = {
    "name": "image_count",
    "event_name": "image_generated",
    "aggregation": {"type": "SUM", "field": "image_count"},
    "filters": [{"key": "provider", "values": ["openai"]}],
    "reset_usage": "Periodic",
}


def price(plan: str, meter: str, **more: Any) -> dict[str, Any]:
    """The fields of a price of a plan."""
    return {
        "currency": "USD",
        "entity_type": "PLAN",
        "entity_id": plan,
        "type": "USAGE",
        "price_unit_type": "FIAT",
        "billing_period": "MONTHLY",
        "billing_period_count": 1,
        "billing_model": "FLAT_FEE",
        "invoice_cadence": "ARREAR",
        "meter_id": meter,
        "amount": "0.04",
        **more,
    }


def catalog(client: Maker) -> dict[str, dict[str, Any]]:
    """Create one of each definition; return them by their path."""
    meter = client.made("/meters", METER)
    feature = client.made(
        "/features", {"name": "Images", "type": "metered", "meter_id": meter["id"]}
    )
    customer = client.made("/customers", {"external_id": "cust_001", "name": "Acme"})
    plan = client.made("/plans", {"name": "AI Pro", "lookup_key": "ai_pro"})
    unit = {
        "name": "Credit",
        "code": "CREDIT",
        "symbol": "cr",
        "base_currency": "usd",
        "conversion_rate": "0.01",
    }
    grant = {
        "name": "Welcome",
        "scope": "PLAN",
        "plan_id": plan["id"],
        "credits": "100",
        "cadence": "ONETIME",
    }
    entitlement = {
        "feature_id": feature["id"],
        "feature_type": "metered",
        "plan_id": plan["id"],
        "usage_limit": 10,
    }
    return {
        "/meters": meter,
        "/features": feature,
        "/customers": customer,
        "/plans": plan,
        "/prices/units": client.made("/prices/units", unit),
        "/prices": client.made(
            "/prices",
            price(plan["id"], meter["id"], lookup_key="dalle3_std")
            | {"filter_values": {"model": ["dall-e-3"], "quality": ["standard"]}},
        ),
        "/entitlements": client.made("/entitlements", entitlement),
        "/creditgrants": client.made("/creditgrants", grant),
    }
