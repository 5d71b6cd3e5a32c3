"""Prices, one at a time and in bulk."""

from __future__ import annotations

from fastapi import APIRouter

from tokenmeter.engine.definitions import reading
from tokenmeter.engine.definitions.service import BULK_MAX
from tokenmeter.server import schemas
from tokenmeter.server.auth import Administering, Reading
from tokenmeter.server.routes.crud import CREATED, Entity, add_all
from tokenmeter.server.wire import Fields, Reply, body_schema

router = APIRouter(tags=["prices"])

PRICE = Entity(
    "price",
    "/prices",
    schemas.PRICE,
    change=schemas.PRICE_CHANGE,
    names={
        "price_ids": "id",
        "plan_ids": "entity_id",
        "entity_ids": "entity_id",
        "entity_type": "entity_type",
        "meter_ids": "meter_id",
        "billing_periods": "billing_period",
        "parent_price_id": "parent_price_id",
        "subscription_id": "entity_id",
        "lookup_key": "lookup_key",
    },
)
_BULK = schemas.fields(("items",), items=schemas.several(schemas.PRICE, least=1, most=BULK_MAX))


@router.post("/prices/bulk", status_code=CREATED, openapi_extra=body_schema(_BULK))
def create_prices_bulk(fields: Fields, desk: Administering) -> Reply:
    """Create up to 100 prices, or none of them if one is refused."""
    items = reading.objects(fields, "items")
    return Reply({"items": desk.definitions.create_many("price", items)}, CREATED)


@router.get("/prices/lookup/{lookup_key:path}")
def get_price_by_lookup_key(lookup_key: str, desk: Reading) -> Reply:
    """Return the price in force under a lookup key."""
    return Reply(desk.definitions.by_key("price", lookup_key))


add_all(router, PRICE)
