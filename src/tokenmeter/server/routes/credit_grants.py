"""Credit grants, and what they will give."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from fastapi import APIRouter

from tokenmeter.server import schemas
from tokenmeter.server.auth import Reading
from tokenmeter.server.desk import Desk
from tokenmeter.server.paging import listed_body
from tokenmeter.server.routes.crud import Entity, add_all
from tokenmeter.server.wire import Reply

router = APIRouter(tags=["credit grants"])

UPCOMING = timedelta(days=366)  # how far ahead is looked

CREDIT_GRANT = Entity(
    "credit_grant",
    "/creditgrants",
    schemas.CREDIT_GRANT,
    change=schemas.fields(name=schemas.NAME, end_date=schemas.TIME, metadata=schemas.METADATA),
    names={"plan_ids": "plan_id", "subscription_ids": "subscription_id", "scope": "scope"},
)
add_all(router, CREDIT_GRANT)


@router.get("/subscriptions/{id}/grants/upcoming")
def get_subscription_upcoming_grants(id: str, desk: Reading) -> Reply:  # noqa: A002
    """List what will be given to a subscription within a year."""
    return _upcoming(desk, [id])


@router.get("/customers/{id}/grants/upcoming")
def get_customer_upcoming_grants(id: str, desk: Reading) -> Reply:  # noqa: A002
    """List what will be given to a customer's active subscriptions within a year."""
    desk.definitions.get("customer", id)
    held = desk.services.subscriptions.of_customer(id, active=True)
    return _upcoming(desk, [body["id"] for body in held])


def _upcoming(desk: Desk, subscriptions: Iterable[str]) -> Reply:
    until = desk.now() + UPCOMING
    found = [due for one in subscriptions for due in desk.services.grants.upcoming(one, until)]
    found.sort(key=lambda due: str(due["scheduled_for"]))
    return Reply(listed_body(found, len(found), len(found), 0))
