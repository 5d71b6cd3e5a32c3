"""What events would be charged, without storing them: for gateways that hold before a call."""

from __future__ import annotations

from fastapi import APIRouter

from tokenmeter.money import Money
from tokenmeter.server import schemas
from tokenmeter.server.auth import Ingesting
from tokenmeter.server.incoming import events_of
from tokenmeter.server.wire import RawBody, Reply, body_schema

router = APIRouter(tags=["charges"])

CHARGED_EVENTS_MAX = 1_000
_EVENTS = schemas.fields(
    ("events",), events=schemas.several(schemas.EVENT, least=1, most=CHARGED_EVENTS_MAX)
)


@router.post("/charges", openapi_extra=body_schema(_EVENTS))
def estimate_charges(raw: RawBody, desk: Ingesting) -> Reply:
    """Tell what each event would add to its customer's invoice; null where nothing bills it."""
    charge_of = desk.services.charge_of
    return Reply({"charges": [_shown(charge_of(event)) for event in events_of(raw, desk.now())]})


def _shown(charge: Money | None) -> dict[str, object] | None:
    return None if charge is None else {"amount": charge.amount, "currency": charge.currency}
