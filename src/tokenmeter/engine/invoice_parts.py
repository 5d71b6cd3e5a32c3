"""Parts of billing: rows, and the wallet that pays."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from tokenmeter.engine.account import Account, Why
from tokenmeter.engine.errors import NotFoundError
from tokenmeter.engine.invoice_text import envelope, invoice_bytes, shown_invoice
from tokenmeter.engine.invoicing import Rated, line_id
from tokenmeter.engine.store import invoices as rows
from tokenmeter.engine.store.documents import Document, Documents
from tokenmeter.engine.store.invoices import InvoiceRow, Invoices
from tokenmeter.engine.store.rows import microseconds, moment
from tokenmeter.engine.wallet import Wallet
from tokenmeter.engine.wallet_rows import wallets_of
from tokenmeter.rating.credits import to_amount, to_credits
from tokenmeter.rating.price import PriceType
from tokenmeter.rating.rounding import ZERO, minus, plus, rounded_down
from tokenmeter.rating.windows import Period

PAID = "INVOICE_PAYMENT"
FIELDS = "invoice_fields"  # kind of the documents that hold what an owner added


def row_of(rated: Rated, invoice_id: str, now: datetime) -> InvoiceRow:
    """Make the row of a draft."""
    body = envelope(rated.body(invoice_id), rows.DRAFT, rated.contract)
    return InvoiceRow(
        invoice_id,
        rated.contract.customer_id,
        rated.contract.subscription_id,
        rows.DRAFT,
        microseconds(rated.period.start),
        microseconds(rated.period.end),
        rated.contract.currency,
        body["amount_due"],
        invoice_bytes(body).decode(),
        microseconds(now),
    )


def paid_by(
    rated: Rated, wallet: Wallet, account: Account, invoice_id: str
) -> tuple[Rated, Decimal]:
    """Pay what a wallet may pay, line by line, and debit it once."""
    have = account.usable
    left = rounded_down(to_amount(have, wallet.rate), wallet.currency)
    money: dict[str, Decimal] = {}
    for charged in rated.charged:
        if _pays(wallet, charged.charge.price.type):
            key = line_id(rated.contract, charged)
            money[key] = max(ZERO, min(left, charged.charge.amount))
            left = minus(left, money[key])
    total = plus(money.values())
    if not total:
        return rated, ZERO
    taken = min(have, to_credits(total, wallet.rate))
    account.debit(taken, Why(PAID, "INVOICE", invoice_id))
    return rated.paid_from(money), taken


def _pays(wallet: Wallet, kind: PriceType) -> bool:
    return not wallet.price_types or not {"ALL", kind.value}.isdisjoint(wallet.price_types)


def prepaid(documents: Documents, customer_id: str, currency: str) -> Wallet | None:
    """Find the wallet that pays a customer's invoices in a currency."""
    held = [w for w in wallets_of(documents, customer_id) if w.currency == currency]
    return next((w for w in held if not w.post_paid), None)


def period_of(row: InvoiceRow) -> Period:
    """Return the period that an invoice bills."""
    return Period(moment(row.period_start_us), moment(row.period_end_us))


def payments(documents: Documents, invoice_id: str) -> Decimal:
    """Add up what was paid on an invoice."""
    held: Sequence[Document] = documents.all("payment", parent=invoice_id)
    return plus(Decimal(d.body["amount"]) for d in held)


def told_invoice(documents: Documents, row: InvoiceRow) -> dict[str, Any]:
    """Write an invoice with what was paid on it, and the fields that its owner added."""
    told = shown_invoice(json.loads(row.body), row, payments(documents, row.id))
    added = documents.find(FIELDS, row.id)
    return told if added is None else {**told, **added.body}


def added(documents: Documents, invoice_id: str, fields: Mapping[str, Any], now_us: int) -> None:
    """Keep fields that an owner adds to an invoice, whose own bytes stay as they are."""
    known = documents.find(FIELDS, invoice_id)
    if known is None:
        made = Document(FIELDS, invoice_id, fields, parent=invoice_id, created_us=now_us)
        documents.insert(replace(made, updated_us=now_us))
    else:
        documents.replace(replace(known, body={**known.body, **fields}, updated_us=now_us))


def customer_id_of(documents: Documents, customer: str) -> str:
    """Find the id of a customer whom either side names."""
    found = documents.find("customer", customer) or documents.by_lookup_key("customer", customer)
    if found is None:
        raise NotFoundError(f"There is no customer {customer!r}.")
    return found.id


def is_done(invoices: Invoices, subscription_id: str, period: Period) -> bool:
    """Tell whether a period has an invoice that is no draft."""
    known = invoices.of_period(
        subscription_id, microseconds(period.start), microseconds(period.end)
    )
    return known is not None and known.status != rows.DRAFT
