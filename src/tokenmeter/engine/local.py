"""The local engine: events go in, usage comes out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from types import TracebackType
from typing import Any, Self

from tokenmeter.delivery.protocol import Receipt
from tokenmeter.engine import query
from tokenmeter.engine.billing import Billing
from tokenmeter.engine.catalog_service import Catalog
from tokenmeter.engine.counting import backfill
from tokenmeter.engine.counts import StoredCounters
from tokenmeter.engine.definitions.service import Definitions
from tokenmeter.engine.estimate import EventCharge
from tokenmeter.engine.grants import Grants
from tokenmeter.engine.ingest import ingest
from tokenmeter.engine.lacking import Lacking
from tokenmeter.engine.margin import MarginRow
from tokenmeter.engine.query import EventPage, Filters, UsageRow
from tokenmeter.engine.quota_holds import QuotaHolds
from tokenmeter.engine.quotas import Quota
from tokenmeter.engine.services import Services
from tokenmeter.engine.store import events as stored_events
from tokenmeter.engine.store import usage as stored_usage
from tokenmeter.engine.store.events import Conflict
from tokenmeter.engine.store.opening import open_store
from tokenmeter.engine.store.protocol import Store
from tokenmeter.engine.store.usage import Window
from tokenmeter.engine.subscriptions import Subscriptions
from tokenmeter.engine.wallets import Wallets
from tokenmeter.event import Event
from tokenmeter.money import Money
from tokenmeter.usage import Number

EVENTS_LIMIT = 50
CONFLICTS_LIMIT = 100


class Engine:
    """
    Events in one database, and the questions about them: ``Engine("sqlite:///usage.db")``.

    Threads may share an engine and processes the file. Time ranges are half-open,
    [start, end), and aware. A dimension is `customer`, `model`, `provider`, `feature`,
    `outcome`, `environment`, `event_name`, ... or the name of any property of the events.
    """

    def __init__(self, url: str) -> None:
        self._store = open_store(url)
        self._services = Services(self._store)
        self._lacking = Lacking(self._services.definitions)

    @property
    def store(self) -> Store:
        """The open database, for the services beside this one."""
        return self._store

    def ingest(self, events: Iterable[Event], *, environment: str | None = None) -> Receipt:
        """
        Store a batch durably, each event id once; see `engine.ingest`.

        `environment` is that of the API key the events came with, whose sender the server warns;
        in process (None) it is the unnamed one, which this engine bills, and events that lack
        what their meters count are logged. A property `environment` is a dimension like any other.
        """
        if environment is not None:
            return ingest(self._store, events, environment=environment)
        batch = list(events)
        receipt = ingest(self._store, batch)
        self._lacking.warning(batch)
        return receipt

    def backfill(self, progress: Callable[[int], object] | None = None) -> int:
        """
        Count for new meters what came before them; return how many events were looked at.

        `progress` is told how many at each step.

        Every ingest counts some, and until all are counted such meters are answered from the
        events: this only makes their answers fast at once.
        """
        total = 0
        while done := backfill(self._store):
            total += done
            if progress is not None:
                progress(done)
        return total

    def usage(
        self,
        *,
        by: Iterable[str] = (),
        window: Window | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
        filters: Filters | None = None,
        metrics: Iterable[str] | None = None,
        environment: str | None = None,
    ) -> list[UsageRow]:
        """
        Add up usage and cost by dimensions and, if wanted, by UTC minute, hour, day or month.

        ``usage(by=["customer", "model"], filters={"feature": ["chat", "search"]})``; without
        `metrics` every metric that the events report is added up. A report: events that are not
        billable count too, unless a filter ``{"billable": "true"}`` leaves them out.
        """
        wanted = query.conditions(start=start, end=end, filters=filters, environment=environment)
        return query.usage(self._store, wanted, query.grouping(by, window), metrics=metrics)

    def events(
        self,
        *,
        filters: Filters | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
        limit: int = EVENTS_LIMIT,
        cursor: str | None = None,
        environment: str | None = None,
        oldest_first: bool = False,
    ) -> EventPage:
        """Return a page of events, newest first; pass its `cursor` to get the next one."""
        wanted = query.conditions(start=start, end=end, filters=filters, environment=environment)
        return query.events(
            self._store, wanted, limit=limit, cursor=cursor, oldest_first=oldest_first
        )

    def aggregate(
        self,
        event_name: str,
        aggregation: str = "SUM",
        field: str = "tokens",
        *,
        filters: Filters | None = None,
        customer: str | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
        include_unbilled: bool = False,
    ) -> Number:
        """
        Meter: aggregate one property of the events of one name, as Flexprice counts it.

        COUNT, SUM, AVG, MAX, LATEST or COUNT_UNIQUE. Events whose `billable` is "false" are
        skipped unless `include_unbilled`. What is no number, or negative, counts as 0.
        """
        named: dict[str, object] = {"event_name": event_name}
        named |= {"customer": customer} if customer is not None else {}
        named |= {} if include_unbilled else {"billable": "true"}
        wanted = query.conditions(start=start, end=end, filters={**(filters or {}), **named})
        return query.aggregate(self._store, wanted, aggregation=aggregation, field=field)

    def conflicts(self, *, limit: int = CONFLICTS_LIMIT) -> list[Conflict]:
        """Return the copies that differed from the event stored before them, newest first."""
        with self._store.reading() as connection:
            return stored_events.conflicts(connection, limit=limit)

    def knows(self, dimension: str) -> bool:
        """Say whether a dimension is one of every event's, or a property that some event has."""
        name = query.dimension_name(dimension)
        if name in query.DIMENSIONS:
            return True
        with self._store.reading() as connection:
            return stored_usage.has_property(connection, name)

    @property
    def catalog(self) -> Catalog:
        """The definitions: meters, features, plans, prices, as a file brings them here."""
        return self._services.catalog

    @property
    def definitions(self) -> Definitions:
        """Meters, customers, plans, prices …, one by one, in Flexprice's fields."""
        return self._services.definitions

    @property
    def subscriptions(self) -> Subscriptions:
        """Who has which plan."""
        return self._services.subscriptions

    @property
    def invoices(self) -> Billing:
        """Invoices: previewed, drafted, finalized, voided."""
        return self._services.invoices

    @property
    def grants(self) -> Grants:
        """Credits that plans and subscriptions give."""
        return self._services.grants

    @property
    def wallets(self) -> Wallets:
        """The wallets: credits, real-time balance, holds."""
        return self._services.wallets

    @property
    def counters(self) -> StoredCounters:
        """The counts of limits, for all processes that share this database."""
        return self._services.counters

    def charge_of(self, event: Event) -> Money | None:
        """Tell what one more event adds to what its customer owes; None if nothing bills it."""
        return self._services.charge_of(event)

    def may_charge(self, event: Event) -> bool:
        """Tell at once, without the database, whether `charge_of` may know a charge."""
        return self._services.charge_of.may_charge(event)

    def quotas(self, customer: str, at: datetime) -> list[Quota]:
        """List what a customer's subscriptions include, and how much of it is used up."""
        return self._services.quotas.of(customer, at)

    @property
    def quota_holds(self) -> QuotaHolds:
        """What calls under way take of quotas, for all processes that share this database."""
        return self._services.quota_holds

    def rate(
        self,
        customer: str = "",
        *,
        subscription_id: str = "",
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> dict[str, Any]:
        """
        Rate a customer's usage, of the running period unless one is named.

        ``rate("acme")["charges"]``: each exact; `unpriced` lists what no price bills.
        """
        return self._services.rate(customer, subscription_id=subscription_id, start=start, end=end)

    def invoice(
        self,
        customer: str = "",
        *,
        subscription_id: str = "",
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> dict[str, Any]:
        """Preview the invoice of a period, by default the running one; nothing is kept."""
        return self._services.invoice(
            customer, subscription_id=subscription_id, start=start, end=end
        )

    def margin(
        self, by: Iterable[str], *, start: datetime, end: datetime, customer: str = ""
    ) -> list[MarginRow]:
        """
        Set what is charged beside what it costs: ``margin(["customer", "model"], ...)``.

        By `customer`, `feature`, `model`, or any property; not rounded, in USD.
        """
        return self._services.margin(by, start=start, end=end, customer=customer)

    def charge(self, event: Event) -> EventCharge:
        """Estimate what one event adds to its customer's invoice, at the running quantity."""
        return self._services.charge(event)

    def run_billing(self) -> list[dict[str, Any]]:
        """Give the credit grants and finalize the invoices that are due; return these."""
        return self._services.run()

    def close(self) -> None:
        """Let go of the database."""
        self._services.close()
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
