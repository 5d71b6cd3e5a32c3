"""An invoice as JSON: what was rated, and what happened to it since."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from tokenmeter.engine.clock import rfc3339
from tokenmeter.engine.contract import Contract
from tokenmeter.engine.definitions import reading
from tokenmeter.engine.definitions.reading import Fields
from tokenmeter.engine.errors import ValidationError
from tokenmeter.engine.store.invoices import FINALIZED, InvoiceRow
from tokenmeter.engine.store.rows import moment
from tokenmeter.rating.invoice import money
from tokenmeter.rating.rounding import ZERO, minus

URL_CHARS_MAX = 2_000

# What rating decides; the rest is the invoice's own story.
RATED = (
    *("customer_id", "subscription_id", "currency", "period_start", "period_end"),
    *("subtotal", "total_discount", "total_tax", "total", "total_prepaid_credits_applied"),
    *("amount_due", "line_items", "unpriced"),
)


def envelope(rated: Mapping[str, Any], status: str, contract: Contract) -> dict[str, Any]:
    """Add what Flexprice's invoice has beside what was rated."""
    opening = rated["period_start"] == rated["period_end"]
    return {
        **rated,
        "invoice_type": "SUBSCRIPTION",
        "invoice_status": status,
        "billing_reason": "SUBSCRIPTION_CREATE" if opening else "SUBSCRIPTION_CYCLE",
        "billing_period": contract.cycle.period.value,
        "version": 1,
    }


def invoice_bytes(body: Mapping[str, Any]) -> bytes:
    """Write an invoice so that equal invoices are equal bytes."""
    return json.dumps(body, separators=(",", ":"), sort_keys=True).encode()


def rated_part(body: Mapping[str, Any]) -> dict[str, Any]:
    """Keep what rating decides."""
    return {name: body[name] for name in RATED}


def shown_invoice(
    body: Mapping[str, Any], row: InvoiceRow | None = None, paid: Decimal = ZERO
) -> dict[str, Any]:
    """Write an invoice with its present state: status, payments."""
    due, currency = Decimal(body["amount_due"]), str(body["currency"])
    left = minus(due, paid)
    status = body["invoice_status"] if row is None else row.status
    settled = status == FINALIZED and left <= 0
    return {
        **body,
        "invoice_status": status,
        "payment_status": "SUCCEEDED" if settled else "PENDING",
        "amount_paid": money(paid, currency),
        "amount_remaining": money(left, currency),
        "invoice_number": None if row is None else row.number,
        **({} if row is None else _times(row)),
    }


def added_fields(fields: Fields) -> dict[str, Any]:
    """Read what an owner adds to an invoice; ValidationError for what is not done here."""
    if reading.flag(fields, "apply_discount", default=False):
        raise ValidationError("apply_discount: there are no coupons here.")
    said: dict[str, Any] = {}
    due = reading.moment(fields, "due_date")
    if due is not None:
        said["due_date"] = rfc3339(due)
    if fields.get("invoice_pdf_url") is not None:
        said["invoice_pdf_url"] = reading.text(fields, "invoice_pdf_url", limit=URL_CHARS_MAX)
    if fields.get("metadata") is not None:
        said["metadata"] = reading.metadata(fields)
    return said


def _times(row: InvoiceRow) -> dict[str, str | None]:
    at = None if row.finalized_us is None else rfc3339(moment(row.finalized_us))
    return {"created_at": rfc3339(moment(row.created_us)), "finalized_at": at}
