"""Subscriptions: who has which plan, from when, in which rhythm, with what of their own."""

from __future__ import annotations

import contextlib
from collections.abc import Container, Generator, Iterable, Sequence
from typing import Any

from tokenmeter.engine.clock import Clock, rfc3339, system_clock
from tokenmeter.engine.definitions import reading
from tokenmeter.engine.definitions.customers import customer_of
from tokenmeter.engine.definitions.grants import CREDIT_GRANT
from tokenmeter.engine.definitions.pages import Listed, page_in
from tokenmeter.engine.definitions.prices import PRICE
from tokenmeter.engine.definitions.reading import Fields
from tokenmeter.engine.definitions.registry import Registry, changed, shown
from tokenmeter.engine.definitions.search import Listing, Search
from tokenmeter.engine.errors import InvalidOperationError, NotFoundError, ValidationError
from tokenmeter.engine.ids import new_id
from tokenmeter.engine.line_items import (
    LINE_ITEM,
    at_one_time,
    billed,
    ended,
    expanded,
    line_item,
    line_items_of,
    price_in,
    refuse_ambiguous,
    replaced,
)
from tokenmeter.engine.rhythm import ACTIVE, CANCELLED, current_period, is_active, start_of
from tokenmeter.engine.store.documents import Document, Documents
from tokenmeter.engine.store.protocol import Store
from tokenmeter.engine.store.rows import microseconds
from tokenmeter.engine.subscription_terms import (
    after,
    cancelled_at,
    commitment_in,
    first_versions,
    fits,
    included,
    is_on,
    new_end,
    overrides_price,
    overriding,
    own_terms,
    rhythm_in,
)
from tokenmeter.engine.unsold import refuse_unsold

SUBSCRIPTION = "subscription"
_LISTED = Listed(
    SUBSCRIPTION,
    frozenset({"id", "customer_id", "plan_id", "billing_period"}),  # the status goes by the time
    parent="customer_id",
)
_ITEMS = Listed(
    LINE_ITEM,
    frozenset({"id", "subscription_id", "price_id", "meter_id"}),
    parent="subscription_id",
)
_ECHOED = ("metadata", "collection_method", "payment_behavior", "proration_behavior")


class Subscriptions:
    """
    The subscriptions of one environment, in Flexprice's fields.

    The time zone is the customer's. A price of the plan that gets a new version is followed;
    a price with an override is not.
    """

    def __init__(
        self, store: Store, environment: str = "", *, clock: Clock = system_clock
    ) -> None:
        self._store = store
        self._environment = environment
        self._clock = clock

    def create(self, fields: Fields) -> dict[str, Any]:
        """Subscribe a customer to a plan."""
        with self._writing() as registry:
            made = self._new(registry, fields)
            plan_prices = first_versions(included(fields, self._prices(registry, made)))
            overrides = {
                registry.referred("price", price, "price_id").id: own
                for price, own in own_terms(fields).items()
            }
            unknown = set(overrides) - {p.id for p in plan_prices}
            if unknown:
                raise ValidationError(f"price_id: {min(unknown)!r} is no price of this plan.")
            for price in plan_prices:
                self._add(registry, made, price, overrides.get(price.id))
            for item in reading.objects(fields, "line_items"):
                self._bill(registry, made, item)
            for grant in reading.objects(fields, "credit_grants"):
                own = {"scope": "SUBSCRIPTION", "subscription_id": made.id}
                registry.create(CREDIT_GRANT, {**grant, **own})
            return self._body(registry, made)

    def get(self, subscription_id: str, expand: Container[str] = ()) -> dict[str, Any]:
        """Return a subscription with its line items and its current period."""
        with self._reading() as registry:
            body = self._body(registry, registry.get(SUBSCRIPTION, subscription_id))
            return expanded(registry, body, expand)

    def of_customer(self, customer: str, *, active: bool = False) -> list[dict[str, Any]]:
        """Return a customer's subscriptions, by the id of either side, the oldest first."""
        with self._reading() as registry:
            found = registry.documents.find("customer", customer)
            found = found or registry.documents.by_lookup_key("customer", customer)
            if found is None:
                raise NotFoundError(f"There is no customer {customer!r}.")
            held = registry.documents.all(SUBSCRIPTION, parent=found.id)
            bodies = [self._body(registry, document) for document in held]
        return [b for b in bodies if not active or b["subscription_status"] == ACTIVE]

    def list(self) -> list[dict[str, Any]]:
        """Return every subscription, the oldest first."""
        with self._reading() as registry:
            return [self._body(registry, d) for d in registry.documents.all(SUBSCRIPTION)]

    def search(self, wanted: Search) -> Listing:
        """Return a page of subscriptions; `expand` shows the plan, the customer, the prices."""
        with self._reading() as registry:
            return page_in(
                registry.documents,
                _LISTED,
                wanted,
                lambda d: expanded(registry, self._body(registry, d), wanted.expand),
            )

    def search_line_items(self, wanted: Search) -> Listing:
        """Return a page of the line items of all subscriptions."""
        with self._reading() as registry:
            return page_in(registry.documents, _ITEMS, wanted, shown)

    def update(self, subscription_id: str, fields: Fields) -> dict[str, Any]:
        """Change the metadata, the commitment, or the end."""
        refuse_unsold(fields)
        with self._writing() as registry:
            held = registry.get(SUBSCRIPTION, subscription_id)
            changes = reading.given(fields, (*_ECHOED, "enable_true_up"))
            changes |= commitment_in({**held.body, **fields})
            changes |= new_end(held.body, fields, registry.now)
            return self._body(registry, registry.put(held, changed(held, changes)))

    def cancel(self, subscription_id: str, fields: Fields | None = None) -> dict[str, Any]:
        """End a subscription: `cancel_at_period_end`, at `cancel_at`, or now."""
        given = fields or {}
        with self._writing() as registry:
            held = registry.get(SUBSCRIPTION, subscription_id)
            if not is_active(held.body, registry.now):
                raise InvalidOperationError("The subscription is not active.")
            later = reading.flag(given, "cancel_at_period_end", default=False)
            end = cancelled_at(held.body, given, registry.now)
            changes = {
                "end_date": rfc3339(after(end, start_of(held.body))),
                "cancelled_at": rfc3339(registry.now),
                "cancel_at": rfc3339(end) if end > registry.now else None,
                "cancel_at_period_end": later,
                "subscription_status": ACTIVE if end > registry.now else CANCELLED,
            }
            return self._body(registry, registry.put(held, changed(held, changes)))

    def add_line_item(self, subscription_id: str, fields: Fields) -> dict[str, Any]:
        """Bill another price, from `start_date` on."""
        with self._writing() as registry:
            return shown(self._bill(registry, registry.get(SUBSCRIPTION, subscription_id), fields))

    def update_line_item(self, line_item_id: str, fields: Fields) -> dict[str, Any]:
        """
        Begin a new line item with another quantity, commitment or price; the old one ends.

        A price's fields make a price of the subscription's own, as overrides do at the start.
        """
        with self._writing() as registry:
            held = registry.get(LINE_ITEM, line_item_id)
            subscription = registry.get(SUBSCRIPTION, str(held.parent))
            return shown(replaced(registry, subscription, held, fields))

    def end_line_item(self, line_item_id: str, fields: Fields | None = None) -> dict[str, Any]:
        """Bill a price no more from `effective_from` on, or from now."""
        with self._writing() as registry:
            held = registry.get(LINE_ITEM, line_item_id)
            return shown(registry.put(held, ended(held, fields or {}, registry.now)))

    def sync_plan(self, plan: str) -> int:
        """
        Add the prices that a plan got later to its active subscriptions; return how many.

        A subscription that chose among the plan's prices keeps to them.
        """
        added = 0
        with self._writing() as registry:
            plan_id = registry.referred("plan", plan, "plan_id").id
            for held in registry.documents.all(SUBSCRIPTION):
                runs = is_active(held.body, registry.now)
                chose = held.body.get("include_price_ids") is not None
                if held.body["plan_id"] != plan_id or not runs or chose:
                    continue
                known = billed(registry.documents, held.id)
                for price in first_versions(self._prices(registry, held)):
                    root = price.body.get("parent_price_id") or price.id
                    if root not in known and price.id not in known:
                        self._add(registry, held, price, None)
                        added += 1
        return added

    def _new(self, registry: Registry, fields: Fields) -> Document:
        refuse_unsold(fields)
        reading.choice(fields, "subscription_status", (ACTIVE,), ACTIVE)
        customer = customer_of(registry, fields)
        plan = registry.referred("plan", reading.needed(fields, "plan_id"), "plan_id")
        body = {
            "customer_id": customer.id,
            "plan_id": plan.id,
            "subscription_status": ACTIVE,
            "lookup_key": reading.key(fields) or "",
            "cancel_at_period_end": False,
            "billing_cadence": "RECURRING",
            "timezone": reading.text(customer.body, "timezone") or "UTC",
            "enable_true_up": reading.flag(fields, "enable_true_up", default=False),
            **reading.given(fields, (*_ECHOED, "include_price_ids")),
            **rhythm_in(registry, customer, fields),
            **commitment_in(fields),
        }
        now_us = microseconds(registry.now)
        made = Document(
            SUBSCRIPTION,
            new_id("subs"),
            body,
            lookup_key=reading.key(fields),
            parent=customer.id,
            created_us=now_us,
            updated_us=now_us,
        )
        return registry.documents.insert(made)

    def _prices(self, registry: Registry, subscription: Document) -> Sequence[Document]:
        """Choose the plan's prices: of the currency, in force, of a period that fits."""
        body = subscription.body
        found = [
            price
            for price in registry.documents.all("price", parent=body["plan_id"])
            if price.body["currency"] == body["currency"]
            and fits(price.body, body)
            and is_on(price, registry.now)
        ]
        if not found:
            raise ValidationError(
                f"plan_id: the plan has no price in {body['currency'].upper()} that is billed "
                f"{body['billing_period']}."
            )
        every = registry.documents.all("price", parent=body["plan_id"], status=None)
        place = {price.id: number for number, price in enumerate(every)}
        # A later version stands where its price stood: included usage is shared in this order.
        return sorted(
            found, key=lambda p: place.get(str(p.body.get("parent_price_id")), place[p.id])
        )

    def _add(
        self, registry: Registry, subscription: Document, price: Document, override: Fields | None
    ) -> None:
        own = dict(override or {})
        own.pop("price_id", None)
        if overrides_price(own):
            price = registry.create(PRICE, overriding(price, own, subscription))
        registry.documents.insert(line_item(registry, subscription, price, own))

    def _bill(self, registry: Registry, held: Document, fields: Fields) -> Document:
        price = price_in(registry, held, fields)
        made = line_item(registry, held, price, fields)
        beside = at_one_time(line_items_of(registry.documents, held.id), made)
        if any(i.body["price_id"] == price.id for i in beside):
            raise ValidationError("price_id: the subscription bills this price already.")
        refuse_ambiguous(registry.documents, beside, price)
        return registry.documents.insert(made)

    def _body(self, registry: Registry, document: Document) -> dict[str, Any]:
        period = current_period(document.body, registry.now)
        items: Iterable[Document] = line_items_of(registry.documents, document.id)
        return {
            **shown(document),
            "subscription_status": ACTIVE if is_active(document.body, registry.now) else CANCELLED,
            "current_period_start": rfc3339(period.start),
            "current_period_end": rfc3339(period.end),
            "line_items": [shown(item) for item in items],
        }

    @contextlib.contextmanager
    def _reading(self) -> Generator[Registry, None, None]:
        with self._store.reading() as connection:
            yield Registry(Documents(connection, self._environment), self._clock())

    @contextlib.contextmanager
    def _writing(self) -> Generator[Registry, None, None]:
        with self._store.writing() as connection:
            yield Registry(Documents(connection, self._environment), self._clock())
