"""
Usage whose price depends on what was used before it: included amounts, tiers, packages.

Each call that is under way may cost nothing by itself, and all of them together a lot. So a hold
knows what its call is about to use, by price, and what all of them come to is reckoned at once.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from tokenmeter.engine.contract import Contract
from tokenmeter.engine.estimate import ADDING, cost_of, counted_in, is_flat, prices_by_meter
from tokenmeter.engine.metering import MeterQuery, assignments
from tokenmeter.engine.store.protocol import Store
from tokenmeter.event import Event
from tokenmeter.rating.entitlement import Entitlement
from tokenmeter.rating.filters import choose
from tokenmeter.rating.meter import AggregationType
from tokenmeter.rating.models import total
from tokenmeter.rating.price import Price
from tokenmeter.rating.rounding import EXACT, ZERO, minus, plain, plus
from tokenmeter.rating.windows import Period

Steps = Mapping[str, Decimal]  # quantities, by the key of the price that bills them
NO_STEPS: Steps = {}


@dataclass(frozen=True, slots=True)
class Split:
    """What events add: `flat` whatever else is used, and `steps`, whose price depends on it."""

    flat: Decimal
    steps: Steps


def split(contract: Contract, events: Sequence[Event]) -> Split:
    """Tell apart what the price of which depends on other usage, and what comes to so much."""
    flat: list[Decimal] = []
    steps: list[Steps] = []
    for meter_id, prices in prices_by_meter(contract).items():
        meter = contract.meters[meter_id]
        if meter.aggregation.kind not in ADDING:
            continue
        for event in events:
            sample = meter.sample(event)
            if sample is None or not sample.quantity:
                continue
            current = (p for p in prices if p.is_current(event.timestamp))
            price = choose(current, event.properties)
            if price is None:
                continue
            if is_flat(contract, meter, prices):
                flat.append(total(price.lines(sample.quantity)))
            else:
                steps.append({price.key: sample.quantity})
    return Split(plus(flat), added(steps))


@dataclass(frozen=True, slots=True)
class Ahead:
    """What a customer used of such prices when it was looked up: the ground for what comes."""

    parts: tuple[_Used, ...] = ()

    def cost(self, more: Steps) -> Decimal:
        """Tell what more usage comes to, at least 0."""
        return max(ZERO, plus(part.cost(more) for part in self.parts)) if more else ZERO


@dataclass(frozen=True, slots=True)
class _Used:
    """What was used of one meter, by price."""

    is_max: bool
    prices: Sequence[Price]
    included: Entitlement | None
    used: Steps

    def cost(self, more: Steps) -> Decimal:
        after = {key: self._after(key, more) for key in self.used}
        whole = cost_of(self.prices, after, self.included)
        return minus(whole, cost_of(self.prices, self.used, self.included))

    def _after(self, key: str, more: Steps) -> Decimal:
        held, quantity = self.used[key], more.get(key, ZERO)
        return max(held, quantity) if self.is_max else EXACT.add(held, quantity)


NOTHING_AHEAD = Ahead()


def ahead(
    store: Store, contract: Contract, period: Period, at: datetime, environment: str
) -> Ahead:
    """Look up what a customer has used, where later prices depend on it."""
    parts: list[_Used] = []
    for meter_id, prices in prices_by_meter(contract).items():
        meter = contract.meters[meter_id]
        if meter.aggregation.kind in ADDING and not is_flat(contract, meter, prices):
            counted = counted_in(contract, meter, prices, period, at)
            window = (counted.start, counted.end)
            query = MeterQuery(meter, (contract.external_id,), *window, zone=contract.zone)
            found = assignments(store, query, prices, environment).by_price
            used = {key: held.quantity for key, held in found.items()}
            is_max = meter.aggregation.kind is AggregationType.MAX
            parts.append(_Used(is_max, prices, contract.allowances.get(meter_id), used))
    return Ahead(tuple(parts))


def added(several: Iterable[Steps]) -> Steps:
    """Add quantities up, price by price."""
    found: dict[str, Decimal] = {}
    for steps in several:
        for key, quantity in steps.items():
            found[key] = EXACT.add(found.get(key, ZERO), quantity)
    return found


def written(steps: Steps) -> str | None:
    """Write quantities as a hold keeps them; None for none."""
    return json.dumps({k: plain(v) for k, v in steps.items()}) if steps else None


def read(text: str | None) -> Steps:
    """Read what `written` wrote."""
    if text is None:
        return NO_STEPS
    held: dict[str, str] = json.loads(text)
    return {key: Decimal(quantity) for key, quantity in held.items()}
