"""What a customer was invoiced, and what of it is unpaid or overdue, by currency."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from tokenmeter.engine.billing import Billing
from tokenmeter.engine.definitions import reading
from tokenmeter.engine.store.invoices import DRAFT, FINALIZED
from tokenmeter.rating.invoice import money
from tokenmeter.rating.rounding import plus

Told = Mapping[str, Any]


def invoice_summary(billing: Billing, customer: str, at: datetime) -> dict[str, Any]:
    """Sum up a customer's invoices; NotFoundError if there is no such customer."""
    found: list[Told] = []
    while True:
        page, total = billing.listed(customer=customer, offset=len(found))
        found += page
        if not page or len(found) >= total:
            return _summary(found[0]["customer_id"] if found else customer, found, at)


def _summary(customer_id: str, invoices: Iterable[Told], at: datetime) -> dict[str, Any]:
    """
    Sum up invoices as Flexprice does: drafts and finalized ones count, voided ones do not.

    `total_revenue_amount` is what was due on all of them; the charges are those of the lines of
    unpaid invoices. Overdue is what is unpaid after its `due_date`.
    """
    by_currency: dict[str, list[Told]] = {}
    for invoice in invoices:  # the newest first
        if invoice["invoice_status"] in {DRAFT, FINALIZED}:
            by_currency.setdefault(invoice["currency"], []).append(invoice)
    return {
        "customer_id": customer_id,
        "default_currency": next(iter(by_currency), ""),
        "summaries": [
            {"customer_id": customer_id, **_summed(currency, found, at)}
            for currency, found in by_currency.items()
        ],
    }


def _summed(currency: str, invoices: list[Told], at: datetime) -> dict[str, Any]:
    unpaid = [i for i in invoices if i["payment_status"] != "SUCCEEDED"]
    overdue = [i for i in unpaid if (reading.moment(i, "due_date") or at) < at]
    lines = [line for invoice in unpaid for line in invoice["line_items"]]
    usage = [line for line in lines if line["price_type"] == "USAGE"]
    fixed = [line for line in lines if line["price_type"] != "USAGE"]
    return {
        "currency": currency,
        "total_revenue_amount": _sum(invoices, "amount_due", currency),
        "total_unpaid_amount": _sum(unpaid, "amount_remaining", currency),
        "total_overdue_amount": _sum(overdue, "amount_remaining", currency),
        "total_invoice_count": len(invoices),
        "unpaid_invoice_count": len(unpaid),
        "overdue_invoice_count": len(overdue),
        "unpaid_usage_charges": _sum(usage, "amount", currency),
        "unpaid_fixed_charges": _sum(fixed, "amount", currency),
    }


def _sum(items: Iterable[Told], name: str, currency: str) -> str:
    return money(plus(Decimal(item[name]) for item in items), currency)
