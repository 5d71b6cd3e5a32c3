"""Plans, and what is attached to them."""

from __future__ import annotations

from fastapi import APIRouter

from tokenmeter.server import schemas
from tokenmeter.server.auth import Reading
from tokenmeter.server.paging import ListQuery, listed
from tokenmeter.server.routes.crud import Entity, add_all
from tokenmeter.server.wire import Reply

router = APIRouter(tags=["plans"])

PLAN = Entity("plan", "/plans", schemas.PLAN, names={"plan_ids": "id", "lookup_key": "lookup_key"})
add_all(router, PLAN)


@router.get("/plans/{id}/entitlements")
def get_plan_entitlements(id: str, asked: ListQuery, desk: Reading) -> Reply:  # noqa: A002
    """List the entitlements of a plan."""
    search = asked.search({}).within(id)
    return listed(desk.definitions.search("entitlement", search), search)


@router.get("/plans/{id}/creditgrants")
def get_plan_credit_grants(id: str, asked: ListQuery, desk: Reading) -> Reply:  # noqa: A002
    """List the credit grants of a plan."""
    search = asked.search({}).within(id)
    return listed(desk.definitions.search("credit_grant", search), search)
