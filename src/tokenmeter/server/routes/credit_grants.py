"""Credit grants."""

from __future__ import annotations

from fastapi import APIRouter

from tokenmeter.server import schemas
from tokenmeter.server.routes.crud import Entity, add_all

router = APIRouter(tags=["credit grants"])

CREDIT_GRANT = Entity(
    "credit_grant",
    "/creditgrants",
    schemas.CREDIT_GRANT,
    change=schemas.fields(name=schemas.NAME, end_date=schemas.TIME, metadata=schemas.METADATA),
    names={"plan_ids": "plan_id", "subscription_ids": "subscription_id", "scope": "scope"},
)
add_all(router, CREDIT_GRANT)
