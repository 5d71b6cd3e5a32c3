"""What a customer owes and has not paid: running usage, unpaid invoices."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from tokenmeter.engine.billing import SUBSCRIPTION, Billing
from tokenmeter.engine.contract import Contract
from tokenmeter.engine.invoice_parts import open_parts, told_invoice
from tokenmeter.engine.invoicing import rate_usage
from tokenmeter.engine.rhythm import periods_until
from tokenmeter.engine.store.documents import Documents
from tokenmeter.engine.store.invoices import Invoices
from tokenmeter.engine.store.protocol import Store
from tokenmeter.engine.wallet import Wallet
from tokenmeter.rating.credits import Owed
from tokenmeter.rating.rounding import ZERO, minus, plus
from tokenmeter.rating.windows import Period

OPEN_PERIODS_MAX = 400  # periods without a finalized invoice that count as running

_logger = logging.getLogger("tokenmeter.engine")


class Owing:
    """Tells what a wallet's customer owes in its currency; `Owing(...)(wallet, at)`."""

    def __init__(self, store: Store, environment: str, billing: Billing) -> None:
        self._store = store
        self._environment = environment
        self._billing = billing
        self._told: set[str] = set()  # subscriptions whose billing nobody runs

    def __call__(self, wallet: Wallet, at: datetime) -> Owed:
        """Add up usage that no finalized invoice has billed, and what of these is unpaid."""
        running: list[Decimal] = []
        with self._store.reading() as connection:
            documents = Documents(connection, self._environment)
            held = documents.all(SUBSCRIPTION, parent=wallet.customer_id)
            ids = [h.id for h in held if h.body["currency"] == wallet.currency]
        for subscription_id in ids:
            contract = self._billing.contract(subscription_id)
            for period in self.open_periods(contract, subscription_id, at):
                charges, _ = rate_usage(self._store, contract, period, self._environment)
                # A commitment's true-up is no usage: of no line item, and fixed once it is billed.
                running += [c.charge.unrounded for c in charges if c.item_id]
        usage, left, paid = self._unpaid(wallet)
        return Owed(plus(running), usage, left, paid)

    def open_periods(self, contract: Contract, subscription_id: str, at: datetime) -> list[Period]:
        """List the periods up to now, or parts of them, that no finalized invoice has billed."""
        if contract.start > at:
            return []
        with self._store.reading() as connection:
            documents = Documents(connection, self._environment)
            periods = periods_until(documents.get(SUBSCRIPTION, subscription_id).body, at)
            whole = Period(periods[0].start, periods[-1].end)
            invoices = Invoices(connection, self._environment)
            parts = open_parts(invoices, subscription_id, whole)
        found = [q for p in periods for part in parts if (q := p.within(part.start, part.end))]
        if len(found) > OPEN_PERIODS_MAX:
            self._tell(subscription_id, len(found))
        return found[-OPEN_PERIODS_MAX:]

    def _tell(self, subscription_id: str, periods: int) -> None:
        if subscription_id not in self._told:
            self._told.add(subscription_id)
            _logger.error(
                "tokenmeter: %s has %d periods without an invoice, of which the balance of a "
                "wallet counts the last %d; run the billing",
                subscription_id,
                periods,
                OPEN_PERIODS_MAX,
            )

    def _unpaid(self, wallet: Wallet) -> tuple[Decimal, Decimal, Decimal]:
        """Return the unpaid usage, all that is unpaid, and what of the usage was paid since."""
        with self._store.reading() as connection:
            documents = Documents(connection, self._environment)
            rows = Invoices(connection, self._environment).owing(
                wallet.customer_id, wallet.currency
            )
            told = [told_invoice(documents, row) for row in rows]
        unpaid = [one for one in told if Decimal(one["amount_remaining"]) > 0]
        usage = [plus(map(_owed, one["line_items"])) for one in unpaid]
        paid = [Decimal(one["amount_paid"]) for one in unpaid]
        return (
            plus(usage),
            plus(Decimal(one["amount_remaining"]) for one in unpaid),
            plus(map(min, usage, paid)),  # the rest has paid fixed prices: it is no credit
        )


def _owed(line: Mapping[str, Any]) -> Decimal:
    if line["price_type"] != "USAGE":
        return ZERO
    paid = ("prepaid_credits_applied", "line_item_discount", "invoice_level_discount")
    return minus(Decimal(line["amount"]), *(Decimal(line[name]) for name in paid))
