"""Features."""

from __future__ import annotations

from fastapi import APIRouter

from tokenmeter.server import schemas
from tokenmeter.server.routes.crud import Entity, add_all

router = APIRouter(tags=["features"])

FEATURE = Entity(
    "feature",
    "/features",
    schemas.FEATURE,
    names={
        "feature_ids": "id",
        "lookup_key": "lookup_key",
        "lookup_keys": "lookup_key",
        "meter_ids": "meter_id",
        "name_contains": "name",
    },
)
add_all(router, FEATURE)
