"""Cost sheets: what the provider bills us for."""

from __future__ import annotations

from fastapi import APIRouter

from tokenmeter.engine.errors import NotFoundError
from tokenmeter.server import schemas
from tokenmeter.server.auth import Reading
from tokenmeter.server.routes.crud import Entity, add_all
from tokenmeter.server.wire import Reply

router = APIRouter(tags=["costs"])

COSTSHEET = Entity(
    "costsheet",
    "/costs",
    schemas.PLAN,
    names={
        "costsheet_ids": "id",
        "costsheetIDs": "id",  # as the SDK writes these two
        "lookupKey": "lookup_key",
        "lookup_key": "lookup_key",
        "name": "name",
    },
    wrapped="costsheet",
)


@router.get("/costs/active")
def get_active_costsheet(desk: Reading) -> Reply:
    """Return the active cost sheet."""
    found = desk.definitions.search("costsheet").items
    if not found:
        raise NotFoundError("There is no active cost sheet.")
    return Reply(desk.definitions.get("costsheet", found[0]["id"]))


add_all(router, COSTSHEET)
