"""What customers are entitled to, and what of it they have used."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from tokenmeter.engine.entitled import Entitled
from tokenmeter.engine.errors import ValidationError
from tokenmeter.server.auth import Reading
from tokenmeter.server.desk import Desk
from tokenmeter.server.wire import Reply

router = APIRouter(tags=["entitlements"])

Names = Annotated[list[str] | None, Query()]


@router.get("/customers/external/{external_id:path}/entitlements")
def get_entitlements_by_external_id(external_id: str, desk: Reading) -> Reply:
    """List what a customer's subscriptions include."""
    customer = desk.definitions.by_key("customer", external_id)
    return Reply(_entitled(desk).of_customer(customer["id"]))


@router.get("/customers/usage")
def get_customer_usage_summary(
    desk: Reading,
    *,
    customer_id: str = "",
    customer_lookup_key: str = "",
    feature_ids: Names = None,
    feature_lookup_keys: Names = None,
) -> Reply:
    """Set what a customer has used beside what is included."""
    if not customer_id and not customer_lookup_key:
        raise ValidationError("customer_id or customer_lookup_key is required.")
    found = desk.definitions
    if customer_id:
        customer = found.get("customer", customer_id)
    else:
        customer = found.by_key("customer", customer_lookup_key)
    wanted = [*(feature_ids or ()), *(feature_lookup_keys or ())]
    return Reply(_entitled(desk).summary(customer["id"], wanted))


@router.get("/customers/{id}/entitlements")
def get_customer_entitlements(id: str, desk: Reading) -> Reply:  # noqa: A002
    """List what a customer's subscriptions include."""
    desk.definitions.get("customer", id)
    return Reply(_entitled(desk).of_customer(id))


@router.get("/subscriptions/{id}/entitlements")
def get_subscription_entitlements(id: str, desk: Reading) -> Reply:  # noqa: A002
    """List what a subscription includes."""
    return Reply(_entitled(desk).of_subscription(id))


def _entitled(desk: Desk) -> Entitled:
    services, store = desk.services, desk.engine.store
    return Entitled(store, services.invoices, desk.environment, clock=desk.now)
