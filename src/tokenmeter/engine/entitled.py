"""What customers are entitled to, and how much of it they have used."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from tokenmeter.engine.billing import Billing
from tokenmeter.engine.clock import Clock, rfc3339, system_clock
from tokenmeter.engine.contract import Contract
from tokenmeter.engine.definitions.entitlements import rating_entitlement
from tokenmeter.engine.definitions.registry import shown
from tokenmeter.engine.errors import NotFoundError
from tokenmeter.engine.metering import MeterQuery, measure
from tokenmeter.engine.rhythm import is_active
from tokenmeter.engine.store.documents import PUBLISHED, Document, Documents
from tokenmeter.engine.store.protocol import Store
from tokenmeter.rating.entitlement import Entitlement, combined
from tokenmeter.rating.rounding import ZERO, divided, plain, times
from tokenmeter.rating.windows import Period

HUNDRED = Decimal(100)


@dataclass(frozen=True, slots=True)
class Held:
    """A feature, and the entitlements to it of one subscription."""

    feature: Document
    subscription_id: str
    entitlements: tuple[Document, ...]

    @property
    def total(self) -> Entitlement | None:
        """The allowances added up."""
        return combined(rating_entitlement(e) for e in self.entitlements)


class Entitled:
    """The entitlements of one environment's customers, in Flexprice's fields."""

    def __init__(
        self,
        store: Store,
        billing: Billing,
        environment: str = "",
        *,
        clock: Clock = system_clock,
    ) -> None:
        self._store = store
        self._billing = billing
        self._environment = environment
        self._clock = clock

    def of_subscription(self, subscription_id: str) -> dict[str, Any]:
        """List what a subscription includes."""
        subscription = self._subscription(subscription_id)
        features = [_told(held) for held in self._held(subscription)]
        plan_id = subscription.body["plan_id"]
        return {"subscription_id": subscription_id, "plan_id": plan_id, "features": features}

    def of_customer(self, customer_id: str) -> dict[str, Any]:
        """List what a customer's subscriptions include."""
        features = [_told(h) for s in self._subscriptions(customer_id) for h in self._held(s)]
        return {"customer_id": customer_id, "features": features}

    def summary(self, customer_id: str, features: Iterable[str] = ()) -> dict[str, Any]:
        """Set what a customer has used in the running period beside what is included."""
        wanted = frozenset(features)
        rows: list[dict[str, Any]] = []
        period: Period | None = None
        for subscription in self._subscriptions(customer_id):
            contract, period = self._billing.asked(subscription.id, {})
            rows += [
                self._used(held, contract, period)
                for held in self._held(subscription)
                if not wanted or {held.feature.id, held.feature.lookup_key} & wanted
            ]
        told = {"customer_id": customer_id, "features": rows}
        return told if period is None else {**told, "period": _period(period)}

    def _used(self, held: Held, contract: Contract, period: Period) -> dict[str, Any]:
        total = held.total
        meter = contract.meters.get(str(held.feature.body.get("meter_id")))
        used = ZERO
        if meter is not None:
            customers = (contract.external_id,)
            query = MeterQuery(meter, customers, period.start, period.end, zone=contract.zone)
            used = measure(self._store, query, self._environment)[0].quantity
        limit = None if total is None else total.usage_limit
        return {
            "feature": shown(held.feature),
            "total_limit": _whole(limit),
            "current_usage": plain(used),
            "usage_percent": plain(divided(times(used, HUNDRED), limit)) if limit else "0",
            "is_enabled": total is not None,
            "is_soft_limit": total is not None and total.is_soft_limit,
            "is_unlimited": total is not None and limit is None,
            "sources": [_source(held, e) for e in held.entitlements],
        }

    def _subscription(self, subscription_id: str) -> Document:
        with self._store.reading() as connection:
            found = Documents(connection, self._environment).find("subscription", subscription_id)
        if found is None:
            raise NotFoundError(f"There is no subscription {subscription_id!r}.")
        return found

    def _subscriptions(self, customer_id: str) -> list[Document]:
        with self._store.reading() as connection:
            held = Documents(connection, self._environment).all("subscription", parent=customer_id)
        now = self._clock()
        return [s for s in held if is_active(s.body, now)]

    def _held(self, subscription: Document) -> list[Held]:
        found: dict[str, list[Document]] = {}
        with self._store.reading() as connection:
            documents = Documents(connection, self._environment)
            for parent in (str(subscription.body["plan_id"]), subscription.id):
                for entitlement in documents.all("entitlement", parent=parent):
                    found.setdefault(str(entitlement.body["feature_id"]), []).append(entitlement)
            features = {key: documents.find("feature", key) for key in found}
        return [
            Held(feature, subscription.id, tuple(found[key]))
            for key, feature in features.items()
            if feature is not None and feature.status == PUBLISHED
        ]


def _told(held: Held) -> dict[str, Any]:
    total = held.total
    static = [e.body["static_value"] for e in held.entitlements if e.body.get("static_value")]
    resets = [e.body.get("usage_reset_period") for e in held.entitlements]
    return {
        "feature": shown(held.feature),
        "entitlement": {
            "is_enabled": total is not None,
            "usage_limit": None if total is None else _whole(total.usage_limit),
            "is_soft_limit": total is not None and total.is_soft_limit,
            "usage_reset_period": next((reset for reset in resets if reset), None),
            "static_values": static,
        },
        "sources": [_source(held, e) for e in held.entitlements],
    }


def _source(held: Held, entitlement: Document) -> Mapping[str, Any]:
    body = entitlement.body
    return {
        "subscription_id": held.subscription_id,
        "entity_id": entitlement.parent,
        "entity_type": "subscription" if entitlement.parent == held.subscription_id else "plan",
        "entitlement_id": entitlement.id,
        "is_enabled": body.get("is_enabled", True),
        "usage_limit": body.get("usage_limit"),
        "usage_reset_period": body.get("usage_reset_period"),
        "static_value": body.get("static_value"),
    }


def _period(period: Period) -> dict[str, str]:
    return {"start_time": rfc3339(period.start), "end_time": rfc3339(period.end)}


def _whole(limit: Decimal | None) -> int | str | None:
    if limit is None:
        return None
    return int(limit) if limit == limit.to_integral_value() else plain(limit)
