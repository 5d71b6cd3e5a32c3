"""A subscription's usage and what it costs so far, as Flexprice tells it: not rounded by line."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from tokenmeter.engine.billing import Billing
from tokenmeter.engine.charging import Charged
from tokenmeter.engine.clock import rfc3339
from tokenmeter.engine.contract import Contract
from tokenmeter.engine.definitions.prices import SYMBOLS
from tokenmeter.engine.invoicing import rate_usage
from tokenmeter.engine.store.protocol import Store
from tokenmeter.engine.unpriced import unpriced
from tokenmeter.rating.invoice import money
from tokenmeter.rating.rounding import ONE, plain, plus, rounded


def subscription_usage(
    store: Store,
    billing: Billing,
    subscription_id: str,
    asked: Mapping[str, datetime | None],
    environment: str,
) -> dict[str, Any]:
    """
    Rate a subscription's usage: every charge exact, only the total rounded.

    So the total may differ by cents from the invoice, whose lines are rounded each.
    """
    contract, period = billing.asked(subscription_id, asked)
    charges, found = rate_usage(store, contract, period, environment)
    amount = rounded(plus(c.charge.unrounded for c in charges), contract.currency)
    over = [c.charge.unrounded for c in charges if c.charge.is_overage]
    promise = contract.promise
    missing = unpriced(store, contract, period, found, environment)
    return {
        "amount": plain(amount),
        "currency": contract.currency,
        "display_amount": display(amount, contract.currency),
        "start_time": rfc3339(period.start),
        "end_time": rfc3339(period.end),
        "charges": [_charge(contract, charged) for charged in charges],
        "commitment_amount": None if promise is None else plain(promise.value),
        "overage_factor": None if promise is None else plain(promise.overage_factor),
        "overage_amount": plain(plus(over)),
        "has_overage": bool(over),
        "unpriced": [u.to_dict() for u in missing],
    }


def display(amount: Decimal, currency: str) -> str:
    """Write money for people: $0.64."""
    symbol = SYMBOLS.get(currency, f"{currency.upper()} ")
    return f"{symbol}{money(rounded(amount, currency), currency)}"


def _charge(contract: Contract, charged: Charged) -> dict[str, Any]:
    charge, price = charged.charge, charged.charge.price
    meter = contract.meters.get(price.meter_id)
    keys = price.filters or (() if meter is None else meter.filters)
    factor = ONE if contract.promise is None else contract.promise.overage_factor
    return {
        "subscription_line_item_id": charged.item_id,
        "amount": plain(charge.unrounded),
        "currency": contract.currency,
        "display_amount": display(charge.unrounded, contract.currency),
        "quantity": plain(charge.quantity),
        "filter_values": {f.key: list(f.values) for f in keys},
        "meter_id": price.meter_id,
        "meter_display_name": charged.name,
        "price_id": price.price_id,
        "is_overage": charge.is_overage,
        "overage_factor": plain(factor) if charge.is_overage else None,
    }
