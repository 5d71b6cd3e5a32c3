"""What a customer's plans include, and how much of it is used up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from tokenmeter.engine.allowances import allowance_window
from tokenmeter.engine.billing import Billing
from tokenmeter.engine.contract import Contract
from tokenmeter.engine.errors import NotFoundError
from tokenmeter.engine.metering import MeterQuery, measure
from tokenmeter.engine.rhythm import current_period, start_of
from tokenmeter.engine.store.protocol import Store
from tokenmeter.engine.subscriptions import Subscriptions
from tokenmeter.rating.meter import Meter
from tokenmeter.rating.periods import ResetPeriod
from tokenmeter.rating.windows import Period


class NoPlanError(NotFoundError):
    """No active subscription says what the customer may use; give it one."""

    has_plan = False


@dataclass(frozen=True, slots=True)
class Quota:
    """
    One included amount: `used` of `limit` in the running window, which ends at `resets_at`.

    A soft limit is only told; None as `resets_at` means never.
    """

    feature: str
    meter: Meter
    limit: Decimal
    used: Decimal
    resets_at: datetime | None
    is_soft: bool


class Quotas:
    """Tells the quotas of customers of one environment."""

    def __init__(
        self, store: Store, subscriptions: Subscriptions, billing: Billing, environment: str
    ) -> None:
        self._store = store
        self._subscriptions = subscriptions
        self._billing = billing
        self._environment = environment

    def of(self, customer: str, at: datetime) -> list[Quota]:
        """
        List what the active subscriptions of a customer include, as far as it is limited.

        NoPlanError if there is no such customer, or none of its subscriptions runs.
        """
        found: list[Quota] = []
        for body in self._subscribed(customer, at):
            contract = self._billing.contract(str(body["id"]))
            found += self._in_contract(contract, current_period(body, at), at)
        return found

    def _subscribed(self, customer: str, at: datetime) -> list[dict[str, Any]]:
        try:
            found = self._subscriptions.of_customer(customer, active=True)
        except NotFoundError as error:
            raise NoPlanError(str(error)) from error
        bodies = [body for body in found if start_of(body) <= at]
        if not bodies:
            raise NoPlanError(f"The customer {customer!r} has no active subscription.")
        return bodies

    def _in_contract(self, contract: Contract, period: Period, at: datetime) -> Iterator[Quota]:
        for meter_id, allowance in contract.allowances.items():
            limit = allowance.usage_limit
            if limit is None or not allowance.is_enabled:
                continue
            window = allowance_window(contract, period, allowance, at)
            meter = contract.meters[meter_id]
            query = MeterQuery(
                meter, (contract.external_id,), window.start, window.end, zone=contract.zone
            )
            (used,) = measure(self._store, query, self._environment)
            never = allowance.reset is ResetPeriod.NEVER
            name = contract.features.get(meter_id, meter.name)
            resets_at = None if never else window.end
            yield Quota(name, meter, limit, used.quantity, resets_at, allowance.is_soft_limit)
