"""Meters."""

from __future__ import annotations

from fastapi import APIRouter

from tokenmeter.server import schemas
from tokenmeter.server.auth import Administering
from tokenmeter.server.routes.crud import Entity, add_all
from tokenmeter.server.wire import Reply

router = APIRouter(tags=["meters"])

METER = Entity(
    "meter",
    "/meters",
    schemas.METER,
    change=schemas.fields(filters=schemas.several(schemas.FILTER)),
    names={"meter_ids": "id", "event_name": "event_name", "name": "name"},
)


@router.post("/meters/{id}/disable")
def disable_meter(id: str, desk: Administering) -> Reply:  # noqa: A002 - the name in the path
    """Take a meter out of use."""
    desk.definitions.archive("meter", id)
    return Reply({"message": "meter disabled successfully", "id": id})


add_all(router, METER)
