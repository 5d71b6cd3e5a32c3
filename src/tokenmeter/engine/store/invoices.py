"""Rows of invoices: a draft changes, a finalized one is its bytes for ever."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from tokenmeter.engine.errors import AlreadyExistsError, NotFoundError, VersionConflictError
from tokenmeter.engine.store.conditions import chosen
from tokenmeter.engine.store.ledger_schema import invoices
from tokenmeter.rating.invoice import money
from tokenmeter.rating.rounding import ZERO

# The fields of an invoice that are columns here, by Flexprice's names.
_NAMED: Mapping[str, ColumnElement[Any]] = {
    "id": invoices.c.id,
    "customer_id": invoices.c.customer_id,
    "subscription_id": invoices.c.subscription_id,
    "invoice_status": invoices.c.status,
    "currency": invoices.c.currency,
}
INVOICE_NAMES = frozenset(_NAMED)
DRAFT, FINALIZED, VOIDED, SKIPPED = "DRAFT", "FINALIZED", "VOIDED", "SKIPPED"
NUMBER_DIGITS = 6


@dataclass(frozen=True, slots=True)
class InvoiceRow:
    """One invoice; `body` is its JSON as it was written."""

    id: str
    customer_id: str
    subscription_id: str
    status: str
    period_start_us: int
    period_end_us: int
    currency: str
    amount_due: str
    body: str
    created_us: int
    number: str | None = None
    finalized_us: int | None = None


Found = Sequence[InvoiceRow]


class Invoices:
    """The invoices of one environment, within the transaction of one connection."""

    def __init__(self, connection: Connection, environment: str) -> None:
        self._connection = connection
        self._environment = environment

    def add(self, invoice: InvoiceRow) -> None:
        """Keep a new invoice; AlreadyExistsError if its period has one that is not void."""
        try:
            with self._connection.begin_nested():
                self._connection.execute(insert(invoices), self._row(invoice))
        except IntegrityError as error:
            raise AlreadyExistsError(
                "This period has an invoice already; void it first."
            ) from error

    def change(self, invoice: InvoiceRow) -> None:
        """Write an invoice that was read here; VersionConflictError if its number is taken."""
        change = update(invoices).where(invoices.c.id == invoice.id)
        try:
            with self._connection.begin_nested():
                self._connection.execute(change.values(**self._row(invoice)))
        except IntegrityError as error:
            raise VersionConflictError from error

    def get(self, invoice_id: str, *, lock: bool = False) -> InvoiceRow:
        """Return an invoice by its id or number; locked, nobody else changes it meanwhile."""
        query = self._all().where(
            (invoices.c.id == invoice_id) | (invoices.c.number == invoice_id)
        )
        query = query.with_for_update() if lock else query
        row = self._connection.execute(query).first()
        if row is None:
            raise NotFoundError(f"There is no invoice {invoice_id!r}.")
        return _invoice(row)

    def of_period(
        self, subscription_id: str, start_us: int, end_us: int, *, lock: bool = False
    ) -> InvoiceRow | None:
        """Find the invoice of a period that is not void; locked, nobody else changes it."""
        query = self._all().where(
            invoices.c.subscription_id == subscription_id,
            invoices.c.period_start_us == start_us,
            invoices.c.period_end_us == end_us,
            invoices.c.status != VOIDED,
        )
        query = query.with_for_update() if lock else query
        row = self._connection.execute(query).first()
        return None if row is None else _invoice(row)

    def overlapping(self, subscription_id: str, start_us: int, end_us: int) -> Found:
        """Return the finalized invoices that bill a part of a time, in its order."""
        within = (invoices.c.period_start_us < end_us, invoices.c.period_end_us > start_us)
        return self._closed(subscription_id, *within)

    def closed(self, subscription_id: str, first_us: int, last_us: int) -> Found:
        """Return the finalized invoices whose periods end within a time; both bounds count."""
        return self._closed(subscription_id, invoices.c.period_end_us.between(first_us, last_us))

    def owing(self, customer_id: str, currency: str) -> Found:
        """Return the finalized invoices of which the wallet paid less than all, by their time."""
        return self._finalized(
            invoices.c.customer_id == customer_id,
            invoices.c.currency == currency,
            invoices.c.amount_due != money(ZERO, currency),
        )

    def _closed(self, subscription_id: str, *conditions: ColumnElement[bool]) -> Found:
        return self._finalized(
            invoices.c.subscription_id == subscription_id,
            invoices.c.status != VOIDED,  # SQLite takes no index of these for FINALIZED alone
            *conditions,
        )

    def _finalized(self, *conditions: ColumnElement[bool]) -> Found:
        query = self._all().where(invoices.c.status == FINALIZED, *conditions)
        in_time = query.order_by(invoices.c.period_start_us, invoices.c.id)
        return [_invoice(row) for row in self._connection.execute(in_time)]

    def list(
        self,
        *,
        customer_id: str | None = None,
        subscription_id: str | None = None,
        limit: int = 1_000,
        offset: int = 0,
    ) -> tuple[Sequence[InvoiceRow], int]:
        """Return a page of invoices, the newest first, and how many there are."""
        query = self._all()
        for column, wanted in (
            (invoices.c.customer_id, customer_id),
            (invoices.c.subscription_id, subscription_id),
        ):
            query = query if wanted is None else query.where(column == wanted)
        total = self._connection.execute(select(func.count()).select_from(query.subquery()))
        ordered = query.order_by(invoices.c.period_end_us.desc(), invoices.c.id.desc())
        rows = self._connection.execute(ordered.limit(limit).offset(offset))
        return [_invoice(row) for row in rows], total.scalar_one()

    def search(
        self,
        equal: Mapping[str, Sequence[str]],
        *,
        limit: int,
        offset: int,
        newest_first: bool,
    ) -> tuple[Sequence[InvoiceRow], int]:
        """Return a page by when they were made, of those whose fields have one of the values."""
        query = self._all().where(*chosen(_NAMED, equal))
        total = self._connection.execute(select(func.count()).select_from(query.subquery()))
        columns = (invoices.c.created_us, invoices.c.id)
        query = query.order_by(*(c.desc() if newest_first else c for c in columns))
        rows = self._connection.execute(query.limit(limit).offset(offset))
        return [_invoice(row) for row in rows], total.scalar_one()

    def numbered(self, invoice: InvoiceRow) -> InvoiceRow:
        """Give an invoice the next number of the environment."""
        number = func.max(invoices.c.number)
        query = select(number).where(invoices.c.environment == self._environment)
        last: str | None = self._connection.execute(query).scalar()
        while last is not None and not last.strip("INV-9"):  # as text it is above those it begins
            longer = query.where(func.length(invoices.c.number) > len(last))
            following: str | None = self._connection.execute(longer).scalar()
            if following is None:
                break
            last = following
        count = 1 if last is None else 1 + int(last.rpartition("-")[2])
        return replace(invoice, number=f"INV-{count:0{NUMBER_DIGITS}d}")

    def _all(self) -> Any:
        return select(invoices).where(invoices.c.environment == self._environment)

    def _row(self, invoice: InvoiceRow) -> dict[str, Any]:
        found = {name: getattr(invoice, name) for name in InvoiceRow.__slots__}
        return {"environment": self._environment, **found}


def _invoice(row: Row[Any]) -> InvoiceRow:
    found = row._asdict()
    return InvoiceRow(**{name: found[name] for name in InvoiceRow.__slots__})
