"""Invoices: previewed, drafted, finalized, voided, paid."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from tokenmeter.engine.definitions import reading
from tokenmeter.engine.definitions.search import search_of
from tokenmeter.engine.errors import ValidationError
from tokenmeter.server import schemas
from tokenmeter.server.auth import Administering, Reading
from tokenmeter.server.paging import SEARCH, ListQuery, listed
from tokenmeter.server.routes.crud import CREATED
from tokenmeter.server.wire import Fields, OptionalFields, Reply, body_schema

router = APIRouter(tags=["invoices"])

ACCEPTED = 202
PAID, UNPAID = "SUCCEEDED", ("PENDING", "PROCESSING", "INITIATED", "FAILED")
NAMES = {
    "invoice_ids": "id",
    "customer_id": "customer_id",
    "subscription_id": "subscription_id",
    "invoice_status": "invoice_status",
    "payment_status": "payment_status",
    "currency": "currency",
    "invoice_type": "invoice_type",
    "billing_reason": "billing_reason",
}


@router.post("/invoices/preview", openapi_extra=body_schema(schemas.INVOICE))
def preview_invoice(fields: Fields, desk: Reading) -> Reply:
    """Rate a period, by default the running one; nothing is kept."""
    return Reply(desk.services.invoices.preview(fields))


@router.post("/invoices", status_code=CREATED, openapi_extra=body_schema(schemas.INVOICE))
def create_invoice(fields: Fields, desk: Administering) -> Reply:
    """Draft the invoice of a subscription's period."""
    return Reply(desk.services.invoices.draft(fields), CREATED)


@router.get("/invoices")
def list_invoices(asked: ListQuery, desk: Reading) -> Reply:
    """List invoices."""
    search = asked.search(NAMES)
    return listed(desk.services.lists.invoices(search), search)


@router.post("/invoices/search", openapi_extra=body_schema(SEARCH, required=False))
def search_invoices(fields: OptionalFields, desk: Reading) -> Reply:
    """Search invoices."""
    external = reading.key(fields, "external_customer_id")
    if external is not None:
        customer = desk.definitions.by_key("customer", external)
        fields = {**fields, "customer_id": customer["id"]}
    search = search_of(fields, NAMES)
    return listed(desk.services.lists.invoices(search), search, searched=True)


@router.get("/invoices/{id}")
def get_invoice(id: str, desk: Reading) -> Reply:  # noqa: A002 - the name in the path
    """Return one invoice."""
    return Reply(desk.services.invoices.get(id))


@router.put("/invoices/{id}", openapi_extra=body_schema(schemas.INVOICE_CHANGE))
def update_invoice(id: str, fields: Fields, desk: Administering) -> Reply:  # noqa: A002
    """Add a due date, the address of a PDF and metadata; amounts stay."""
    return Reply(desk.services.invoices.update(id, fields))


@router.get("/invoices/{id}/document")
def get_invoice_document(id: str, desk: Reading) -> Response:  # noqa: A002
    """Return the bytes of a finalized invoice, the same for ever."""
    return Response(desk.services.invoices.document(id), media_type="application/json")


@router.get("/invoices/{id}/difference")
def get_invoice_difference(id: str, desk: Reading) -> Reply:  # noqa: A002
    """Show what came late: how rating the period now differs from the invoice."""
    return Reply({"items": desk.services.invoices.difference(id)})


@router.post("/invoices/{id}/finalize")
def finalize_invoice(id: str, desk: Administering) -> Reply:  # noqa: A002
    """Close a draft: it gets a number, is paid from the wallet, and never changes."""
    desk.services.invoices.finalize(id)
    return Reply({"message": "invoice finalized successfully"})


@router.post("/invoices/{id}/void")
def void_invoice(id: str, desk: Administering) -> Reply:  # noqa: A002
    """Void an invoice; what the wallet paid is given back."""
    desk.services.invoices.void(id)
    return Reply({"message": "invoice voided successfully"})


@router.put("/invoices/{id}/payment", openapi_extra=body_schema(schemas.PAYMENT))
def pay_invoice(id: str, fields: Fields, desk: Administering) -> Reply:  # noqa: A002
    """Note that an invoice was paid, in part or in whole; one that has not SUCCEEDED is none."""
    status = reading.choice(fields, "payment_status", (PAID, *UNPAID), PAID)
    if status != PAID:
        if reading.amount(fields, "amount"):
            raise ValidationError(f"amount: a payment that is {status} has paid nothing.")
        return Reply(desk.services.invoices.get(id))
    return Reply(desk.services.invoices.pay(id, reading.amount(fields, "amount")))


@router.post("/invoices/{id}/recalculate", status_code=ACCEPTED)
def recalculate_invoice(id: str, desk: Administering) -> Reply:  # noqa: A002
    """Rate a draft again; the answer is Flexprice's, which does so later."""
    recalculate_invoice_v2(id, desk)
    return Reply({"message": "invoice recalculated successfully"}, ACCEPTED)


@router.post("/invoices/{id}/recalculate-v2")
def recalculate_invoice_v2(id: str, desk: Administering) -> Reply:  # noqa: A002
    """Rate a draft again."""
    invoice = desk.services.invoices.get(id)
    names = ("subscription_id", "period_start", "period_end")
    return Reply(desk.services.invoices.draft({name: invoice[name] for name in names}))
