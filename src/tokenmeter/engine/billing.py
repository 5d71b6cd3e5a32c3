"""Invoices: previewed, drafted, finalized once, voided; what is owed until then."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from tokenmeter.engine.account import Account, Why
from tokenmeter.engine.clock import Clock, rfc3339, system_clock
from tokenmeter.engine.contract import Contract, read_contract
from tokenmeter.engine.definitions import reading
from tokenmeter.engine.definitions.reading import Fields
from tokenmeter.engine.errors import (
    AlreadyExistsError,
    InvalidOperationError,
    ValidationError,
    VersionConflictError,
)
from tokenmeter.engine.invoice_parts import (
    added,
    check_period,
    customer_id_of,
    keep_draft,
    open_parts,
    paid_by,
    payment_of,
    period_of,
    prepaid,
    refund_of,
    refuse_billed,
    row_of,
    told_invoice,
)
from tokenmeter.engine.invoice_text import (
    added_fields,
    envelope,
    invoice_bytes,
    rated_part,
    shown_invoice,
)
from tokenmeter.engine.invoicing import Rated, differences, rate_period
from tokenmeter.engine.rhythm import current_period, periods_until
from tokenmeter.engine.store import invoices as rows
from tokenmeter.engine.store.documents import Documents
from tokenmeter.engine.store.invoices import InvoiceRow, Invoices
from tokenmeter.engine.store.ledger import Ledger
from tokenmeter.engine.store.protocol import Store
from tokenmeter.engine.store.rows import microseconds
from tokenmeter.engine.unsold import refuse_own_amounts
from tokenmeter.rating.rounding import ZERO, plain
from tokenmeter.rating.windows import Period

BILL_TRIES_MAX = 5  # to bill a period that others draft and void at the same time
SUBSCRIPTION = "subscription"
PREVIEW = "preview"
TRIES_MAX = 50  # for a number, or a draft, that other processes take at the same time
REFUNDED = "INVOICE_VOID_REFUND"


class Billing:
    """
    The invoices of one environment, in Flexprice's fields.

    A draft is rated again whenever it is asked for; a finalized invoice never changes. What
    late events would have added is shown by `difference`.
    """

    def __init__(
        self, store: Store, environment: str = "", *, clock: Clock = system_clock
    ) -> None:
        self._store = store
        self._environment = environment
        self._clock = clock

    def preview(self, fields: Fields) -> dict[str, Any]:
        """Rate a period (the current one, unless it is named); nothing is kept."""
        contract, body = self._contract(reading.needed(fields, "subscription_id"))
        period = self._period(body, fields)
        hide = reading.flag(fields, "hide_zero_charges_line_items", default=False)
        told = self.rate(contract, period).body(PREVIEW, hide_zero=hide)
        return shown_invoice(envelope(told, rows.DRAFT, contract))

    def draft(self, fields: Fields) -> dict[str, Any]:
        """Make the draft of a period that has no invoice, or rate its draft again."""
        refuse_own_amounts(fields)
        contract, body = self._contract(reading.needed(fields, "subscription_id"))
        period = self._period(body, fields)
        check_period(contract, period)
        rated = self.rate(contract, period)
        for _ in range(TRIES_MAX):
            try:
                with self._store.writing() as connection:
                    invoices = Invoices(connection, self._environment)
                    drafted = keep_draft(invoices, rated, self._clock())
                return self.get(drafted)
            except AlreadyExistsError:
                continue  # another process drafted it; rate its draft again
        raise AlreadyExistsError

    def finalize(self, invoice_id: str) -> dict[str, Any]:
        """Rate a draft for the last time, pay it from the wallet, give it its number."""
        for _ in range(TRIES_MAX):
            row = self._row(invoice_id)
            contract, _ = self._contract(row.subscription_id)
            rated = self.rate(contract, period_of(row))
            try:
                return self._finalized(row, rated)
            except VersionConflictError:
                continue  # another process took the number; take the next
        raise VersionConflictError

    def void(self, invoice_id: str) -> dict[str, Any]:
        """Void an invoice on which no payment is noted; what its wallet paid is given back."""
        row = self._row(invoice_id)
        now = self._clock()
        with self._store.writing() as connection:
            documents = Documents(connection, self._environment)
            ledger = Ledger(connection, self._environment)
            wallet = prepaid(documents, row.customer_id, row.currency)
            account = None if wallet is None else Account(ledger, wallet, now)
            invoices = Invoices(connection, self._environment)
            row = invoices.get(row.id, lock=True)
            if row.status not in {rows.DRAFT, rows.FINALIZED}:
                raise InvalidOperationError(f"The invoice is {row.status} already.")
            refund = refund_of(documents, ledger, wallet, row)
            if refund and account is not None:
                account.credit(refund, Why(REFUNDED, "INVOICE", row.id))
            invoices.change(replace(row, status=rows.VOIDED))
        return self.get(row.id)

    def get(self, invoice_id: str) -> dict[str, Any]:
        """Return an invoice by its id or number, with what has been paid."""
        row = self._row(invoice_id)
        with self._store.reading() as connection:
            return told_invoice(Documents(connection, self._environment), row)

    def update(self, invoice_id: str, fields: Fields) -> dict[str, Any]:
        """Add a due date, the address of a PDF and metadata; what was billed stays as it is."""
        row = self._row(invoice_id)
        if row.status not in {rows.DRAFT, rows.FINALIZED}:
            raise InvalidOperationError("Only a draft or a finalized invoice is changed.")
        said = added_fields(fields)
        with self._store.writing() as connection:
            documents = Documents(connection, self._environment)
            added(documents, row.id, said, microseconds(self._clock()))
        return self.get(row.id)

    def document(self, invoice_id: str) -> bytes:
        """Return a finalized invoice's own bytes, the same for ever."""
        row = self._row(invoice_id)
        if row.status == rows.DRAFT:
            raise InvalidOperationError("A draft changes; finalize it first.")
        return row.body.encode()

    def listed(
        self, *, customer: str = "", subscription_id: str = "", limit: int = 1_000, offset: int = 0
    ) -> tuple[list[dict[str, Any]], int]:
        """Return a page of invoices, the newest first, and how many there are."""
        with self._store.reading() as connection:
            documents = Documents(connection, self._environment)
            customer_id = customer_id_of(documents, customer) if customer else None
            found, total = Invoices(connection, self._environment).list(
                customer_id=customer_id,
                subscription_id=subscription_id or None,
                limit=limit,
                offset=offset,
            )
            return [told_invoice(documents, row) for row in found], total

    def rate_again(self, invoice_id: str) -> bytes:
        """Rate a period as it is now: the same bytes as `rated` if nothing came late."""
        row = self._row(invoice_id)
        return invoice_bytes(rated_part(self._again(row)))

    def rated(self, invoice_id: str) -> bytes:
        """Return what was rated when the invoice was written."""
        return invoice_bytes(rated_part(json.loads(self._row(invoice_id).body)))

    def difference(self, invoice_id: str) -> list[dict[str, Any]]:
        """Show what late events add to a closed invoice's lines; the invoice stays as it is."""
        row = self._row(invoice_id)
        return differences(json.loads(row.body)["line_items"], self._again(row)["line_items"])

    def pay(self, invoice_id: str, amount: Decimal | None = None) -> dict[str, Any]:
        """Note that an invoice was paid, in part or (without an amount) in whole."""
        with self._store.writing() as connection:
            row = Invoices(connection, self._environment).get(invoice_id, lock=True)
            documents = Documents(connection, self._environment)
            documents.insert(payment_of(documents, row, amount, microseconds(self._clock())))
        return self.get(invoice_id)

    def due(self, subscription_id: str) -> list[Period]:
        """List the periods that have ended and have no finalized invoice; the opening first."""
        contract, body = self._contract(subscription_id)
        now = self._clock()
        ended = [p for p in periods_until(body, now) if p.end <= now]
        opening = Period(contract.start, contract.start)
        has_advance = bool(self.rate(contract, opening).charged) and contract.start <= now
        wanted = [*([opening] if has_advance else []), *ended]
        with self._store.reading() as connection:
            invoices = Invoices(connection, self._environment)
            return [q for p in wanted for q in open_parts(invoices, subscription_id, p)]

    def bill(self, subscription_id: str) -> list[dict[str, Any]]:
        """Draft and finalize everything that is due; what another process bills, it leaves."""
        found = [self._billed(subscription_id, period) for period in self.due(subscription_id)]
        return [invoice for invoice in found if invoice is not None]

    def _billed(self, subscription_id: str, period: Period) -> dict[str, Any] | None:
        """Draft and finalize one period; None if another process bills it."""
        asked = {
            "subscription_id": subscription_id,
            "period_start": period.start,
            "period_end": period.end,
        }
        for tries_left in reversed(range(BILL_TRIES_MAX)):
            try:
                return self.finalize(self.draft(asked)["id"])
            except (AlreadyExistsError, InvalidOperationError):
                if period not in self.due(subscription_id):
                    return None
                if not tries_left:  # nobody is in the way: it is due, and cannot be billed
                    raise
        return None

    def rate(self, contract: Contract, period: Period) -> Rated:
        """Rate a period of a contract."""
        return rate_period(self._store, contract, period, self._environment)

    def contract(self, subscription_id: str) -> Contract:
        """Read what a subscription bills by."""
        return self._contract(subscription_id)[0]

    def asked(self, subscription_id: str, fields: Fields) -> tuple[Contract, Period]:
        """Read what a subscription bills by, and the period that a request names."""
        contract, body = self._contract(subscription_id)
        return contract, self._period(body, fields)

    def at(self, subscription_id: str, moment: datetime) -> tuple[Contract, Period]:
        """Read what a subscription bills by, and the period that holds a moment."""
        contract, body = self._contract(subscription_id)
        return contract, current_period(body, moment)

    def _again(self, row: InvoiceRow) -> dict[str, Any]:
        stored = json.loads(row.body)
        contract, _ = self._contract(row.subscription_id)
        money = {x["id"]: Decimal(x["prepaid_credits_applied"]) for x in stored["line_items"]}
        return self.rate(contract, period_of(row)).paid_from(money).body(row.id)

    def _finalized(self, row: InvoiceRow, rated: Rated) -> dict[str, Any]:
        now = self._clock()
        with self._store.writing() as connection:
            documents = Documents(connection, self._environment)
            wallet = prepaid(documents, row.customer_id, row.currency)
            ledger = Ledger(connection, self._environment)
            account = None if wallet is None else Account(ledger, wallet, now)
            invoices = Invoices(connection, self._environment)
            row = invoices.get(row.id, lock=True)
            if row.status != rows.DRAFT:
                raise InvalidOperationError(f"Only a draft is finalized; this is {row.status}.")
            refuse_billed(invoices, row)
            debited = ZERO
            if wallet is not None and account is not None:
                rated, debited = paid_by(rated, wallet, account, row.id)
            row = invoices.numbered(replace(row_of(rated, row.id, now), created_us=row.created_us))
            body = envelope(rated.body(row.id), rows.FINALIZED, rated.contract)
            body |= {"invoice_number": row.number, "finalized_at": rfc3339(now)}
            body |= {"credits_debited": plain(debited)}
            final = invoice_bytes(body).decode()
            invoices.change(
                replace(row, status=rows.FINALIZED, body=final, finalized_us=microseconds(now))
            )
        return self.get(row.id)

    def _row(self, invoice_id: str) -> InvoiceRow:
        with self._store.reading() as connection:
            return Invoices(connection, self._environment).get(invoice_id)

    def _contract(self, subscription_id: str) -> tuple[Contract, Mapping[str, Any]]:
        with self._store.reading() as connection:
            documents = Documents(connection, self._environment)
            held = documents.get(SUBSCRIPTION, subscription_id)
            return read_contract(documents, held), held.body

    def _period(self, body: Fields, fields: Fields) -> Period:
        """Read the period that a request names; by default the one that is running."""
        start = reading.bound(fields, "period_start")
        end = reading.bound(fields, "period_end")
        if start is None and end is None:
            return current_period(body, self._clock())
        current = current_period(body, start or self._clock())
        begins, ends = start or current.start, end or current.end
        if ends < begins:
            raise ValidationError("period_end: a period cannot end before it starts.")
        return Period(begins, ends)
