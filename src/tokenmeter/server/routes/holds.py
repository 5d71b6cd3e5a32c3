"""Holds: money reserved before a call, settled after it. Flexprice has none."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from fastapi import APIRouter

from tokenmeter.engine.definitions import reading
from tokenmeter.engine.errors import ValidationError
from tokenmeter.engine.holds import Hold
from tokenmeter.event import Event
from tokenmeter.server import schemas
from tokenmeter.server.auth import Ingesting
from tokenmeter.server.desk import Desk
from tokenmeter.server.incoming import events_in
from tokenmeter.server.routes.crud import CREATED
from tokenmeter.server.wire import Fields, Reply, body_schema

router = APIRouter(tags=["holds"])

EXPIRES_S = Decimal(60)


@router.post("/holds", status_code=CREATED, openapi_extra=body_schema(schemas.HOLD))
def create_hold(fields: Fields, desk: Ingesting) -> Reply:
    """
    Reserve money of a customer; what does not fit is refused.

    A client may give the hold its `id`: then it can void it though it never got the answer. With
    the `events` that the call may become, usage at prices that depend on other usage is priced
    together with all that is under way.
    """
    customer = reading.key(fields, "customer_id") or reading.key(fields, "external_customer_id")
    if customer is None:
        raise ValidationError("customer_id or external_customer_id is required.")
    expires_s = reading.amount(fields, "expires_s")
    made = desk.services.wallets.hold(
        customer,
        _amount(fields),
        float(EXPIRES_S if expires_s is None else expires_s),
        reading.text(fields, "reference", limit=reading.KEY_CHARS_MAX),
        currency=reading.text(fields, "currency"),
        hold_id=reading.text(fields, "id", limit=reading.KEY_CHARS_MAX),
        events=_events(fields, desk),
    )
    return Reply(_shown(made), CREATED)


@router.get("/holds")
def list_holds(external_customer_id: str, reference: str, desk: Ingesting) -> Reply:
    """List the open holds of a customer under a reference, the oldest first."""
    found = desk.services.wallets.waiting(external_customer_id, reference)
    return Reply({"items": list(map(_shown, found))})


@router.get("/holds/{id}")
def get_hold(id: str, desk: Ingesting) -> Reply:  # noqa: A002 - the name in the path
    """Return one hold."""
    return Reply(_shown(desk.services.wallets.held(id)))


@router.post("/holds/{id}/settle", openapi_extra=body_schema(schemas.SETTLE))
def settle_hold(id: str, fields: Fields, desk: Ingesting) -> Reply:  # noqa: A002
    """Say what the call cost, once; the rest is given back."""
    reference = reading.text(fields, "reference", limit=reading.KEY_CHARS_MAX)
    wallets, events = desk.services.wallets, _events(fields, desk)
    return Reply(_shown(wallets.settle(id, _amount(fields), reference=reference, events=events)))


@router.post("/holds/{id}/keep", openapi_extra=body_schema(schemas.KEEP))
def keep_hold(id: str, fields: Fields, desk: Ingesting) -> Reply:  # noqa: A002
    """Have an open hold known by another reference from now on: that of its job."""
    reference = reading.text(fields, "reference", limit=reading.KEY_CHARS_MAX)
    if not reference:
        raise ValidationError("reference is required.")
    return Reply(_shown(desk.services.wallets.keep(id, reference)))


@router.post("/holds/{id}/void")
def void_hold(id: str, desk: Ingesting) -> Reply:  # noqa: A002
    """Give back what was held."""
    return Reply(_shown(desk.services.wallets.void(id)))


def _events(fields: dict[str, Any], desk: Desk) -> list[Event]:
    return events_in(fields, desk.now()) if "events" in fields else []


def _amount(fields: dict[str, Any]) -> Decimal:
    amount = reading.amount(fields, "amount")
    if amount is None:
        raise ValidationError("amount is required.")
    return amount


def _shown(hold: Hold) -> dict[str, Any]:
    return {
        "id": hold.id,
        "wallet_id": hold.wallet_id,
        "amount": hold.amount,
        "currency": hold.currency,
        "state": hold.state,
        "expires_at": hold.expires_at,
        "reference": hold.reference,
        "settled_amount": hold.settled_amount,
    }
