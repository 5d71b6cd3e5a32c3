"""Everything that one environment of a database can do beside storing events."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from tokenmeter.engine.billing import Billing
from tokenmeter.engine.catalog_service import Catalog
from tokenmeter.engine.charge_of import ChargeOf
from tokenmeter.engine.clock import Clock, system_clock
from tokenmeter.engine.contract import Contract
from tokenmeter.engine.costs import cost_analytics
from tokenmeter.engine.counts import StoredCounters
from tokenmeter.engine.definitions.reading import Fields
from tokenmeter.engine.definitions.service import Definitions
from tokenmeter.engine.errors import NotFoundError
from tokenmeter.engine.estimate import EventCharge, estimate
from tokenmeter.engine.grants import Grants
from tokenmeter.engine.invoice_summary import invoice_summary
from tokenmeter.engine.lists import Lists
from tokenmeter.engine.margin import MarginRow, margins
from tokenmeter.engine.owing import Owing
from tokenmeter.engine.quota_holds import QuotaHolds
from tokenmeter.engine.quotas import Quotas
from tokenmeter.engine.rhythm import start_of
from tokenmeter.engine.store.protocol import Store
from tokenmeter.engine.subscriptions import Subscriptions
from tokenmeter.engine.usage_charges import subscription_usage
from tokenmeter.engine.wallets import Wallets
from tokenmeter.errors import TokenmeterError
from tokenmeter.event import Event
from tokenmeter.rating.windows import Period

_logger = logging.getLogger("tokenmeter.engine")


class Services:
    """The services of one environment, made once and shared by threads."""

    def __init__(
        self, store: Store, environment: str = "", *, clock: Clock = system_clock
    ) -> None:
        self._store = store
        self._environment = environment
        self._clock = clock
        self.definitions = Definitions(store, environment, clock)
        self.catalog = Catalog(store, environment, clock=clock)
        self.subscriptions = Subscriptions(store, environment, clock=clock)
        self.invoices = Billing(store, environment, clock=clock)
        owed = Owing(store, environment, self.invoices)
        self.charge_of = ChargeOf(store, environment, self._running, clock)
        rates = self.charge_of
        self.wallets = Wallets(store, environment, owed=owed, rates=rates, clock=clock)
        self.lists = Lists(store, environment, self.wallets)
        self.counters = StoredCounters(store, environment, clock=clock)
        self.quotas = Quotas(store, self.subscriptions, self.invoices, environment)
        self.quota_holds = QuotaHolds(store, environment, self.quotas.of, clock)
        self.grants = Grants(store, self.wallets, environment, clock=clock)

    def rate(
        self,
        customer: str = "",
        *,
        subscription_id: str = "",
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> dict[str, Any]:
        """Rate usage, of the running period unless one is named."""
        chosen = subscription_id or self._only(customer)
        asked = {"period_start": start, "period_end": end}
        return subscription_usage(self._store, self.invoices, chosen, asked, self._environment)

    def invoice_summary(self, customer: str) -> dict[str, Any]:
        """Sum up what a customer was invoiced and has not paid, by currency."""
        return invoice_summary(self.invoices, customer, self._clock())

    def invoice(
        self,
        customer: str = "",
        *,
        subscription_id: str = "",
        start: datetime | None = None,
        end: datetime | None = None,
        hide_zero: bool = False,
    ) -> dict[str, Any]:
        """Preview an invoice, of the running period unless one is named; nothing is kept."""
        return self.invoices.preview(
            {
                "subscription_id": subscription_id or self._only(customer),
                "period_start": start,
                "period_end": end,
                "hide_zero_charges_line_items": hide_zero,
            }
        )

    def margin(
        self, by: Iterable[str], *, start: datetime, end: datetime, customer: str = ""
    ) -> list[MarginRow]:
        """Set charge beside cost by customer, feature, model, or any property."""
        asked = (start, end, customer)
        return margins(self._store, self.invoices, tuple(by), asked, self._environment)

    def costs(self, fields: Fields) -> dict[str, Any]:
        """Rate usage by the cost sheet, beside the revenue; Flexprice's cost analytics."""
        return cost_analytics(self._store, self.invoices, fields, self._environment)

    def charge(self, event: Event) -> EventCharge:
        """Estimate what one event adds to its customer's invoice."""
        chosen = self._only(event.external_customer_id)
        contract, period = self.invoices.at(chosen, event.timestamp)
        return estimate(self._store, contract, event, period, self._environment)

    def run(self) -> list[dict[str, Any]]:
        """
        Give the credit grants and finalize the invoices that are due, of all subscriptions.

        Then look at every wallet of theirs: alerts, automatic top-ups. A subscription that cannot
        be billed, or a wallet that cannot be watched, stops no other: the first error is raised
        when all are done.
        """
        done: list[dict[str, Any]] = []
        customers: dict[str, None] = {}
        failed: list[TokenmeterError] = []
        for subscription in self.subscriptions.list():
            customers[subscription["customer_id"]] = None
            try:
                self.grants.give(subscription["id"])
                done += self.invoices.bill(subscription["id"])
            except TokenmeterError as error:
                _logger.exception("tokenmeter: %s is not billed", subscription["id"])
                failed.append(error)
        for customer in customers:
            try:
                for wallet in self.wallets.of_customer(customer):
                    self.wallets.watch(wallet["id"])
            except TokenmeterError as error:
                _logger.exception("tokenmeter: the wallets of %s are not watched", customer)
                failed.append(error)
        if failed:
            raise failed[0]
        return done

    def close(self) -> None:
        """Pass on the alerts that wait."""
        self.wallets.close()

    def _running(self, customer: str, at: datetime) -> tuple[Contract, Period]:
        return self.invoices.at(self._only(customer), at)

    def _only(self, customer: str) -> str:
        """Find the one subscription of a customer that runs, or else that is to begin."""
        active = self.subscriptions.of_customer(customer, active=True)
        now = self._clock()
        found = [body for body in active if start_of(body) <= now] or active
        if len(found) != 1:
            several = "several subscriptions; name one" if found else "no active subscription"
            raise NotFoundError(f"The customer {customer!r} has {several}.")
        return str(found[0]["id"])
