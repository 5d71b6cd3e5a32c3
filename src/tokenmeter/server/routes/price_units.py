"""Price units."""

from __future__ import annotations

from fastapi import APIRouter

from tokenmeter.server import schemas
from tokenmeter.server.auth import Reading
from tokenmeter.server.routes.crud import Entity, add_all
from tokenmeter.server.wire import Reply

router = APIRouter(tags=["price units"])

PRICE_UNIT = Entity(
    "price_unit", "/prices/units", schemas.PRICE_UNIT, names={"price_unit_ids": "id"}
)


@router.get("/prices/units/code/{code:path}")
def get_price_unit_by_code(code: str, desk: Reading) -> Reply:
    """Return the price unit of a code."""
    return Reply(desk.definitions.by_key("price_unit", code))


add_all(router, PRICE_UNIT)
