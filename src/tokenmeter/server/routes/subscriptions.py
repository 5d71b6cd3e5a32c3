"""Subscriptions, their line items and their usage."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from fastapi import APIRouter

from tokenmeter.engine.definitions import reading
from tokenmeter.engine.definitions.search import Search, page_of, search_of
from tokenmeter.engine.errors import InvalidOperationError
from tokenmeter.event import timestamp_text
from tokenmeter.server import schemas
from tokenmeter.server.asked import as_number
from tokenmeter.server.auth import Administering, Reading
from tokenmeter.server.paging import SEARCH, ListQuery, listed
from tokenmeter.server.routes.crud import CREATED
from tokenmeter.server.wire import Fields, OptionalFields, Reply, body_schema

router = APIRouter(tags=["subscriptions"])

NAMES = {
    "subscription_ids": "id",
    "customer_id": "customer_id",
    "customer_ids": "customer_id",
    "plan_id": "plan_id",
    "subscription_status": "subscription_status",
    "billing_period": "billing_period",
}
ITEM_NAMES = {
    "subscription_ids": "subscription_id",
    "price_ids": "price_id",
    "meter_ids": "meter_id",
    "subscription_line_item_ids": "id",
    "billing_periods": "billing_period",
    "currencies": "currency",
}
GENERATE = "generate_invoice"
INVOICE_POLICIES = ("skip", GENERATE)
# Flexprice's older clients misspell it.
POLICY_NAMES = ("cancel_immediately_invoice_policy", "cancel_immediately_inovice_policy")
# Flexprice writes these of a usage answer as numbers.
_NUMBERS = ("amount", "quantity", "commitment_amount", "overage_factor", "overage_amount")


@router.post(
    "/subscriptions", status_code=CREATED, openapi_extra=body_schema(schemas.SUBSCRIPTION)
)
def create_subscription(fields: Fields, desk: Administering) -> Reply:
    """Subscribe a customer to a plan; the grants that are due are given at once."""
    made = desk.services.subscriptions.create(fields)
    desk.services.grants.give(made["id"])
    return Reply(made, CREATED)


@router.get("/subscriptions")
def list_subscriptions(asked: ListQuery, desk: Reading) -> Reply:
    """List subscriptions."""
    search = asked.search(NAMES)
    return listed(desk.services.subscriptions.search(search), search)


@router.post("/subscriptions/search", openapi_extra=body_schema(SEARCH, required=False))
def search_subscriptions(fields: OptionalFields, desk: Reading) -> Reply:
    """Search subscriptions."""
    external = reading.key(fields, "external_customer_id")
    if external is not None:
        customer = desk.definitions.by_key("customer", external)
        fields = {**fields, "customer_id": customer["id"]}
    search = search_of(fields, NAMES)
    return listed(desk.services.subscriptions.search(search), search, searched=True)


@router.post("/subscriptions/usage", openapi_extra=body_schema(schemas.SUBSCRIPTION_USAGE))
def get_subscription_usage(fields: Fields, desk: Reading) -> Reply:
    """Rate a subscription's usage, exactly; by default of the running period."""
    subscription_id = reading.needed(fields, "subscription_id")
    start, end = reading.bound(fields, "start_time"), reading.bound(fields, "end_time")
    if reading.flag(fields, "lifetime_usage", default=False):
        body = desk.services.subscriptions.get(subscription_id)
        start, end = reading.moment(body, "start_date"), end or desk.now()
    told = desk.services.rate(subscription_id=subscription_id, start=start, end=end)
    charges = [_numbered(charge) for charge in told["charges"]]
    return Reply({**_numbered(told), "charges": charges})


@router.post("/subscriptions/lineitems/search", openapi_extra=body_schema(SEARCH, required=False))
def search_line_items(fields: OptionalFields, desk: Reading) -> Reply:
    """Search the line items of all subscriptions."""
    search = search_of(fields, ITEM_NAMES)
    found = desk.services.subscriptions.search_line_items(search)
    return listed(found, search, searched=True)


@router.put("/subscriptions/lineitems/{id}", openapi_extra=body_schema(schemas.LINE_ITEM))
def update_line_item(id: str, fields: Fields, desk: Administering) -> Reply:  # noqa: A002
    """Change a line item from `effective_from` on: a new one takes its place."""
    return Reply(desk.services.subscriptions.update_line_item(id, fields))


@router.delete("/subscriptions/lineitems/{id}")
def delete_line_item(id: str, fields: OptionalFields, desk: Administering) -> Reply:  # noqa: A002
    """End a line item."""
    return Reply(desk.services.subscriptions.end_line_item(id, fields))


@router.get("/subscriptions/{id}")
@router.get("/subscriptions/{id}/v2", operation_id="get_subscription_v2")
def get_subscription(id: str, desk: Reading, expand: str = "") -> Reply:  # noqa: A002
    """Return one subscription."""
    names = search_of({"expand": expand}, {}).expand
    return Reply(desk.services.subscriptions.get(id, names))


@router.put("/subscriptions/{id}", openapi_extra=body_schema(schemas.fields()))
def update_subscription(id: str, fields: Fields, desk: Administering) -> Reply:  # noqa: A002
    """Change a subscription's metadata, commitment or end."""
    return Reply(desk.services.subscriptions.update(id, fields))


@router.post("/subscriptions/{id}/activate")
def activate_subscription(id: str, fields: OptionalFields, desk: Administering) -> Reply:  # noqa: A002
    """Return the subscription: it is active from its start on, and starts at no other time."""
    told = desk.services.subscriptions.get(id)
    start = reading.moment(fields, "start_date")
    if start not in (None, reading.moment(told, "start_date")):
        raise InvalidOperationError("start_date: only a draft can start anew, and this is none.")
    return Reply(told)


@router.post(
    "/subscriptions/{id}/cancel", openapi_extra=body_schema(schemas.CANCEL, required=False)
)
def cancel_subscription(id: str, fields: OptionalFields, desk: Administering) -> Reply:  # noqa: A002
    """
    End a subscription now, at the end of its period, or at a date.

    One that ends now is invoiced at once if `cancel_immediately_invoice_policy` is
    `generate_invoice`, else with the next run of the billing.
    """
    kinds = ("immediate", "end_of_period", "scheduled_date")
    kind = reading.choice(fields, "cancellation_type", kinds, "immediate")
    policies = [reading.choice(fields, n, INVOICE_POLICIES, "skip") for n in POLICY_NAMES]
    if kind == "scheduled_date":
        reading.needed(fields, "cancel_at")
    asked = {**fields, "cancel_at_period_end": kind == "end_of_period"}
    ended = desk.services.subscriptions.cancel(id, asked)
    if kind == "immediate" and GENERATE in policies:
        desk.services.invoices.bill(id)
    return Reply(
        {
            "subscription_id": id,
            "cancellation_type": kind,
            "effective_date": ended["end_date"],
            "status": ended["subscription_status"],
            "reason": reading.text(fields, "reason"),
            "processed_at": timestamp_text(desk.now()),
            "message": "Subscription cancelled successfully",
        }
    )


@router.post(
    "/subscriptions/{id}/lineitems",
    status_code=CREATED,
    openapi_extra=body_schema(schemas.LINE_ITEM),
)
def create_line_item(id: str, fields: Fields, desk: Administering) -> Reply:  # noqa: A002
    """Bill one more price."""
    return Reply(desk.services.subscriptions.add_line_item(id, fields), CREATED)


@router.get("/customers/external/{external_id:path}/subscriptions")
def get_customer_subscriptions(external_id: str, desk: Reading) -> Reply:
    """List the subscriptions of a customer."""
    desk.definitions.by_key("customer", external_id)
    search = Search()
    found = desk.services.subscriptions.of_customer(external_id)
    return listed(page_of(found, search), search)


@router.post("/plans/{id}/sync/subscriptions")
def sync_plan_prices(id: str, desk: Administering) -> Reply:  # noqa: A002
    """Add the prices a plan got later to its active subscriptions."""
    added = desk.services.subscriptions.sync_plan(id)
    message = f"{added} line items were added"
    return Reply({"message": message, "workflow_id": "", "run_id": ""})


def _numbered(told: Mapping[str, Any]) -> dict[str, Any]:
    numbers = {n: told[n] for n in _NUMBERS if told.get(n) is not None}
    return {**told, **{n: as_number(Decimal(value)) for n, value in numbers.items()}}
