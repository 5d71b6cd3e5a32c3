"""What a customer owes and has not paid: running usage, unpaid invoices."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from tokenmeter.engine.billing import SUBSCRIPTION, Billing
from tokenmeter.engine.contract import Contract
from tokenmeter.engine.invoice_parts import open_parts
from tokenmeter.engine.invoicing import rate_usage
from tokenmeter.engine.rhythm import periods_until
from tokenmeter.engine.store.documents import Documents
from tokenmeter.engine.store.invoices import FINALIZED, Invoices
from tokenmeter.engine.store.protocol import Store
from tokenmeter.engine.wallet import Wallet
from tokenmeter.rating.credits import Owed
from tokenmeter.rating.rounding import ZERO, minus, plus
from tokenmeter.rating.windows import Period

OPEN_PERIODS_MAX = 12  # periods without a finalized invoice that count as running


class Owing:
    """Tells what a wallet's customer owes in its currency; `Owing(...)(wallet, at)`."""

    def __init__(self, store: Store, environment: str, billing: Billing) -> None:
        self._store = store
        self._environment = environment
        self._billing = billing

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
                running += [c.charge.unrounded for c in charges]
        usage, left, paid = self._unpaid(wallet)
        return Owed(plus(running), usage, left, paid)

    def open_periods(self, contract: Contract, subscription_id: str, at: datetime) -> list[Period]:
        """List the periods up to now that no finalized invoice has billed."""
        if contract.start > at:
            return []
        with self._store.reading() as connection:
            documents = Documents(connection, self._environment)
            body = documents.get(SUBSCRIPTION, subscription_id).body
            invoices = Invoices(connection, self._environment)
            found = periods_until(body, at)[-OPEN_PERIODS_MAX:]
            return [q for p in found for q in open_parts(invoices, subscription_id, p)]

    def _unpaid(self, wallet: Wallet) -> tuple[Decimal, Decimal, Decimal]:
        """Return the unpaid usage, all that is unpaid, and what was paid on these invoices."""
        told, _ = self._billing.listed(customer=wallet.customer_id)
        usage, left, paid = [ZERO], [ZERO], [ZERO]
        for invoice in told:
            is_open = invoice["invoice_status"] == FINALIZED and invoice["currency"]
            if is_open != wallet.currency or Decimal(invoice["amount_remaining"]) <= 0:
                continue
            usage += [_owed(line) for line in invoice["line_items"]]
            left.append(Decimal(invoice["amount_remaining"]))
            paid.append(Decimal(invoice["amount_paid"]))
        return plus(usage), plus(left), plus(paid)


def _owed(line: Mapping[str, Any]) -> Decimal:
    if line["price_type"] != "USAGE":
        return ZERO
    paid = ("prepaid_credits_applied", "line_item_discount", "invoice_level_discount")
    return minus(Decimal(line["amount"]), *(Decimal(line[name]) for name in paid))
