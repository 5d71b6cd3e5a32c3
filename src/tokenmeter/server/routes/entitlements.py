"""Entitlements, one at a time and in bulk."""

from __future__ import annotations

from fastapi import APIRouter

from tokenmeter.engine.definitions import reading
from tokenmeter.engine.definitions.service import BULK_MAX
from tokenmeter.server import schemas
from tokenmeter.server.auth import Administering
from tokenmeter.server.routes.crud import CREATED, Entity, add_all
from tokenmeter.server.wire import Fields, Reply, body_schema

router = APIRouter(tags=["entitlements"])

ENTITLEMENT = Entity(
    "entitlement",
    "/entitlements",
    schemas.ENTITLEMENT,
    names={
        "plan_ids": "plan_id",
        "entity_ids": "entity_id",
        "entity_type": "entity_type",
        "feature_ids": "feature_id",
        "feature_type": "feature_type",
        "is_enabled": "is_enabled",
    },
)
_BULK = schemas.fields(
    ("items",), items=schemas.several(schemas.ENTITLEMENT, least=1, most=BULK_MAX)
)


@router.post("/entitlements/bulk", status_code=CREATED, openapi_extra=body_schema(_BULK))
def create_entitlements_bulk(fields: Fields, desk: Administering) -> Reply:
    """Create up to 100 entitlements, or none of them if one is refused."""
    items = reading.objects(fields, "items")
    return Reply({"items": desk.definitions.create_many("entitlement", items)}, CREATED)


add_all(router, ENTITLEMENT)
