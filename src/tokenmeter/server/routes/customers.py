"""Customers, by our id and by the caller's own."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from tokenmeter.engine.errors import ValidationError
from tokenmeter.server import schemas
from tokenmeter.server.auth import Administering, Reading
from tokenmeter.server.routes.crud import Entity, add_collection
from tokenmeter.server.wire import Fields, Reply, body_schema

router = APIRouter(tags=["customers"])

NO_CONTENT = 204
CUSTOMER = Entity(
    "customer",
    "/customers",
    schemas.CUSTOMER,
    names={
        "customer_ids": "id",
        "external_id": "external_id",
        "external_ids": "external_id",
        "email": "email",
    },
)
_CHANGE = body_schema({**schemas.CUSTOMER, "required": []})

add_collection(router, CUSTOMER)


@router.put("/customers", openapi_extra=_CHANGE)
def update_customer(
    fields: Fields,
    desk: Administering,
    id: str = "",  # noqa: A002 - the name in the query
    external_customer_id: str = "",
) -> Reply:
    """Change a customer named by either id."""
    if not id and not external_customer_id:
        raise ValidationError("id or external_customer_id is required.")
    found = id or desk.definitions.by_key("customer", external_customer_id)["id"]
    return Reply(desk.definitions.update("customer", found, fields))


# The id that the caller chose may hold slashes.
@router.get("/customers/external/{external_id:path}")
def get_customer_by_external_id(external_id: str, desk: Reading) -> Reply:
    """Return the customer with the caller's own id."""
    return Reply(desk.definitions.by_key("customer", external_id))


@router.get("/customers/{id}")
def get_customer(id: str, desk: Reading) -> Reply:  # noqa: A002 - the name in the path
    """Return one customer."""
    return Reply(desk.definitions.get("customer", id))


@router.get("/customers/{id}/invoices/summary")
def get_invoice_summary(id: str, desk: Reading) -> Reply:  # noqa: A002
    """Sum up what a customer was invoiced and has not paid, by currency."""
    return Reply(desk.services.invoice_summary(id))


@router.put("/customers/{id}", openapi_extra=_CHANGE)
def update_customer_by_id(id: str, fields: Fields, desk: Administering) -> Reply:  # noqa: A002
    """Change one customer."""
    return Reply(desk.definitions.update("customer", id, fields))


@router.delete("/customers/{id}", status_code=NO_CONTENT)
def delete_customer(id: str, desk: Administering) -> Response:  # noqa: A002
    """Delete a customer softly; events and invoices stay."""
    desk.definitions.delete("customer", id)
    return Response(status_code=NO_CONTENT)
