"""Parts of billing: rows, and the wallet that pays."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from tokenmeter.engine.account import Account, Why
from tokenmeter.engine.charging import line_id
from tokenmeter.engine.clock import rfc3339
from tokenmeter.engine.contract import Contract
from tokenmeter.engine.errors import InvalidOperationError, NotFoundError, ValidationError
from tokenmeter.engine.ids import new_id
from tokenmeter.engine.invoice_text import envelope, invoice_bytes, shown_invoice
from tokenmeter.engine.invoicing import Rated
from tokenmeter.engine.rhythm import own_period
from tokenmeter.engine.store import invoices as rows
from tokenmeter.engine.store.documents import Document, Documents
from tokenmeter.engine.store.invoices import InvoiceRow, Invoices
from tokenmeter.engine.store.ledger import Ledger
from tokenmeter.engine.store.rows import microseconds, moment
from tokenmeter.engine.wallet import Wallet
from tokenmeter.engine.wallet_rows import wallets_of
from tokenmeter.rating.credits import to_amount, to_credits
from tokenmeter.rating.price import PriceType
from tokenmeter.rating.rounding import ZERO, minus, plain, plus, rounded, rounded_down
from tokenmeter.rating.windows import Period

PAID = "INVOICE_PAYMENT"
ZONES_APART = timedelta(days=1)  # no two clocks on Earth are further apart
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


def check_period(contract: Contract, period: Period) -> None:
    """
    Refuse to bill a time in which a subscription does not run, or several of its periods.

    A month of another time zone than the subscription's is one: it differs by hours at its ends.
    """
    if period.length and period.within(contract.start, contract.end) is None:
        raise ValidationError("period_start: the subscription does not run in this period.")
    own = own_period(contract, period.start)
    apart = min(ZONES_APART, (own.end - own.start) / 4)
    own = own_period(contract, min(period.start + apart, period.end))
    if own.end + apart < period.end and own.end != contract.end:
        raise ValidationError(
            f"period_end: a billing period ends at {rfc3339(own.end)}; bill the rest apart."
        )


def keep_draft(invoices: Invoices, rated: Rated, now: datetime) -> str:
    """Write the draft of a period, in place of the one there is; return its id."""
    times = (microseconds(rated.period.start), microseconds(rated.period.end))
    known = invoices.of_period(rated.contract.subscription_id, *times, lock=True)
    if known is not None and known.status == rows.FINALIZED:
        raise InvalidOperationError("The invoice of this period is finalized; void it first.")
    row = row_of(rated, new_id("inv") if known is None else known.id, now)
    refuse_billed(invoices, row)
    if known is None:
        invoices.add(row)
    else:
        invoices.change(replace(row, created_us=known.created_us))
    return row.id


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


def refund_of(
    documents: Documents, ledger: Ledger, wallet: Wallet | None, row: InvoiceRow
) -> Decimal:
    """
    Tell how many credits of a customer's wallet give back what it paid of an invoice.

    One that was closed since has its successor take the same money, at its own rate. Raises
    InvalidOperationError for an invoice that was paid from elsewhere: we cannot give that back.
    """
    noted = payments(documents, row.id)
    if noted:
        raise InvalidOperationError(
            f"{plain(noted)} {row.currency.upper()} were paid on this invoice, so it is not "
            "voided; give the customer credits instead."
        )
    made = {"reference_id": [row.id], "transaction_reason": [PAID]}
    found, _ = ledger.search(made, limit=1, offset=0, newest_first=True)
    if not found:
        return ZERO
    (paid,) = found
    if wallet is None:
        raise InvalidOperationError(
            f"A wallet paid {plain(paid.amount)} {row.currency.upper()} of this invoice and is "
            "closed; open another one for the customer, which takes it back."
        )
    same = wallet.id == paid.wallet_id
    return paid.credit_amount if same else to_credits(paid.amount, wallet.rate)


def period_of(row: InvoiceRow) -> Period:
    """Return the period that an invoice bills."""
    return Period(moment(row.period_start_us), moment(row.period_end_us))


def payments(documents: Documents, invoice_id: str) -> Decimal:
    """Add up what was paid on an invoice."""
    held: Sequence[Document] = documents.all("payment", parent=invoice_id)
    return plus(Decimal(d.body["amount"]) for d in held)


def payment_of(
    documents: Documents, row: InvoiceRow, amount: Decimal | None, now_us: int
) -> Document:
    """Note a payment of an invoice that is locked: in part or (without an amount) in whole."""
    told = told_invoice(documents, row)
    left = Decimal(told["amount_remaining"])
    if row.status != rows.FINALIZED:
        raise InvalidOperationError("Only a finalized invoice is paid.")
    part = left if amount is None else amount
    if not part.is_finite() or part < 0 or part > left:
        raise ValidationError(f"amount is between 0 and {told['amount_remaining']}.")
    if part != rounded(part, row.currency):
        raise ValidationError(f"amount: {row.currency.upper()} has no smaller part; round it.")
    body = {"amount": plain(part), "invoice_id": row.id}
    return Document("payment", new_id("pay"), body, parent=row.id, created_us=now_us)


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


def open_parts(invoices: Invoices, subscription_id: str, period: Period) -> list[Period]:
    """Tell what of a period no closed invoice has billed: all, nothing, or parts of it."""
    start_us, end_us = microseconds(period.start), microseconds(period.end)
    if start_us == end_us:
        known = invoices.of_period(subscription_id, start_us, end_us)
        return [period] if known is None or known.status == rows.DRAFT else []
    found: list[Period] = []
    begun = period.start
    for row in invoices.overlapping(subscription_id, start_us, end_us):
        billed = period_of(row)
        if begun < billed.start:
            found.append(Period(begun, billed.start))
        begun = max(begun, billed.end)
    return [*found, *([Period(begun, period.end)] if begun < period.end else [])]


def refuse_billed(invoices: Invoices, row: InvoiceRow) -> None:
    """Refuse an invoice for a time of which another one, that is closed, has billed a part."""
    times = (row.period_start_us, row.period_end_us)
    others = [o for o in invoices.overlapping(row.subscription_id, *times) if o.id != row.id]
    if others:
        told = " to ".join(rfc3339(moment(at)) for at in _span(others[0]))
        raise InvalidOperationError(
            f"{others[0].number} bills {told} already; void it first, or leave that time out."
        )


def _span(row: InvoiceRow) -> tuple[int, int]:
    return row.period_start_us, row.period_end_us
