"""What a subscription owes for a period: its usage measured, its fixed prices counted."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from tokenmeter.engine.allowances import allowance_window, allowance_windows
from tokenmeter.engine.committed import NOTHING_BEFORE, Before, held_to_promises
from tokenmeter.engine.contract import Contract, Item
from tokenmeter.engine.metering import Assignments, MeterQuery, Quantity, assignments
from tokenmeter.engine.store.protocol import Store
from tokenmeter.rating.adjust import Charge, Terms, rate
from tokenmeter.rating.aggregation import Bucket, Measurement
from tokenmeter.rating.allowance import covered
from tokenmeter.rating.entitlement import Entitlement
from tokenmeter.rating.meter import AggregationType, Meter
from tokenmeter.rating.periods import BillingPeriod, Cycle
from tokenmeter.rating.price import Cadence, Price
from tokenmeter.rating.proration import share_used
from tokenmeter.rating.rounding import ZERO, plus
from tokenmeter.rating.together import Demand, Promise, rate_together
from tokenmeter.rating.windows import Period

LINE_ID_CHARS = 26
ADDING_UP = frozenset(  # of which several times are counted as one
    {AggregationType.SUM, AggregationType.COUNT, AggregationType.SUM_WITH_MULTIPLIER}
)


@dataclass(frozen=True, slots=True)
class Charged:
    """A charge, the line item it belongs to, and the time it is for."""

    item_id: str
    name: str
    charge: Charge
    period: Period

    @property
    def key(self) -> str:
        """What tells the charges of one invoice apart."""
        over = "overage" if self.charge.is_overage else ""
        start = self.period.start.isoformat()
        return f"{self.item_id}/{self.charge.price.price_id}/{start}/{over}"


@dataclass(frozen=True, slots=True)
class Measured:
    """The usage of one meter in a period, by the price that bills it."""

    meter: Meter
    prices: tuple[Price, ...]
    found: Assignments


def measured(
    store: Store, contract: Contract, period: Period, environment: str
) -> dict[str, Measured]:
    """Measure the usage that a subscription's prices bill, by meter."""
    by_meter: dict[str, list[Price]] = {}
    for item in contract.usage_items():
        held = by_meter.setdefault(item.price.meter_id, [])
        if period.within(item.price.start, item.price.end) is not None:
            held.append(item.price)
    found: dict[str, Measured] = {}
    for meter_id, prices in by_meter.items():
        meter = contract.meters[meter_id]
        query = _query(contract, meter, period)
        answer = assignments(store, query, prices, environment)
        found[meter_id] = Measured(meter, tuple(prices), answer)
    return found


def usage_charges(
    store: Store,
    contract: Contract,
    period: Period,
    environment: str,
    before: Before = NOTHING_BEFORE,
) -> tuple[list[Charged], dict[str, Measured]]:
    """
    Rate a period's usage, after what was used of commitments before.

    Returns the charges in the order of the line items, and what was measured.
    """
    found = measured(store, contract, period, environment)
    terms = _terms(store, contract, period, found, environment)
    demands: list[tuple[Item, Demand]] = []
    for item in contract.usage_items():
        known = found[item.price.meter_id].found.by_price.get(item.price.key)
        if known is not None:
            usage = measurement_of(known, period)
            demands.append((item, Demand(item.price, usage, terms[item.price.key])))
    demands = held_to_promises(contract, demands, period, before)
    return _rated(contract, demands, period, before), found


def fixed_charges(contract: Contract, period: Period, cadence: Cadence) -> list[Charged]:
    """Charge what is fixed and falls into a period: each price by its own rhythm, by share."""
    found: list[Charged] = []
    for item in contract.fixed_items():
        price = item.price
        if price.cadence is not cadence or price.billing_period is BillingPeriod.ONETIME:
            continue
        for full in _own_periods(contract, item, period):
            held = period.within(price.start, price.end)
            active = None if held is None else full.within(held.start, held.end)
            if active is not None:
                terms = Terms(share=share_used(full, active))
                charge = rate(price, Measurement(item.quantity), terms)
                found.append(Charged(item.id, item.name, charge, active))
    return found


def line_id(contract: Contract, charged: Charged) -> str:
    """Name a line by what it bills, so that rating again names it alike."""
    digest = hashlib.sha256(f"{contract.subscription_id}/{charged.key}".encode()).digest()
    return f"inv_line_{base64.b32encode(digest).decode()[:LINE_ID_CHARS]}"


def _rated(
    contract: Contract,
    demands: Sequence[tuple[Item, Demand]],
    period: Period,
    before: Before,
) -> list[Charged]:
    items = {d.price.key: item for item, d in demands}
    if contract.promise is None:
        charges = tuple(rate(d.price, d.usage, d.terms) for _, d in demands)
    else:
        promise = Promise(contract.promise, before.prior, before.is_last, contract.currency)
        charges = rate_together([d for _, d in demands], promise)
    found: list[Charged] = []
    for charge in charges:
        item = items.get(charge.price.key)
        name = charge.price.display_name if item is None else item.name
        held = period.within(charge.price.start, charge.price.end) or period
        found.append(Charged("" if item is None else item.id, name, charge, held))
    return found


def _terms(
    store: Store,
    contract: Contract,
    period: Period,
    found: Mapping[str, Measured],
    environment: str,
) -> dict[str, Terms]:
    terms: dict[str, Terms] = {}
    for meter_id, known in found.items():
        allowance = contract.allowances.get(meter_id)
        if allowance is None or not allowance.is_enabled:
            terms |= {p.key: Terms() for p in known.prices}
            continue
        used = _used(store, contract, period, known, (allowance, environment))
        before = _before(store, contract, period, known, (allowance, environment))
        shares = covered(allowance, used, before)
        terms |= {key: Terms(Entitlement(share)) for key, share in shares.items()}
    return terms


def _used(
    store: Store,
    contract: Contract,
    period: Period,
    known: Measured,
    how: tuple[Entitlement, str],
) -> dict[str, list[Decimal]]:
    """Return the usage of each price in each window of the allowance."""
    allowance, environment = how
    inner = list(allowance_windows(contract, period, allowance))
    if len(inner) == 1:
        return {k: [q.quantity] for k, q in known.found.by_price.items()}
    found: dict[str, list[Decimal]] = {p.key: [] for p in known.prices}
    for part in inner:
        query = _query(contract, known.meter, part)
        answer = assignments(store, query, known.prices, environment)
        for key, quantity in answer.by_price.items():
            found[key].append(quantity.quantity)
    return found


def _before(
    store: Store,
    contract: Contract,
    period: Period,
    known: Measured,
    how: tuple[Entitlement, str],
) -> Decimal:
    """Return what was billed, or included, of an allowance that began before the period."""
    allowance, environment = how
    begun = allowance_window(contract, period, allowance, period.start).start
    if period.start <= begun:
        return ZERO
    meter_id, earlier = known.meter.meter_id, Period(begun, period.start)
    prices = [i.price for i in contract.usage_items() if i.price.meter_id == meter_id]
    prices = [p for p in prices if earlier.within(p.start, p.end) is not None]
    adds_up = known.meter.aggregation.kind in ADDING_UP
    parts = [earlier] if adds_up else contract.cycle.periods(earlier.start, earlier.end)
    answers = [
        assignments(store, _query(contract, known.meter, part), prices, environment)
        for part in parts
    ]
    return plus(quantity.quantity for found in answers for quantity in found.by_price.values())


def _own_periods(contract: Contract, item: Item, period: Period) -> list[Period]:
    """List the price's own periods within a billing period, whole ones."""
    price = item.price
    rhythm = (contract.cycle.period, contract.cycle.count)
    if (price.billing_period, price.billing_period_count) == rhythm:
        return [_whole(contract.cycle, period)]
    cycle = replace(contract.cycle, period=price.billing_period, count=price.billing_period_count)
    return [_whole(cycle, part) for part in cycle.periods(period.start, period.end)]


def _whole(cycle: Cycle, period: Period) -> Period:
    """Widen a period that the subscription's start or end cuts to the full one."""
    end = max(period.end, cycle.next(period.start))
    return Period(min(period.start, cycle.previous(end)), end)


def _query(contract: Contract, meter: Meter, period: Period) -> MeterQuery:
    return MeterQuery(meter, (contract.external_id,), period.start, period.end, zone=contract.zone)


def measurement_of(quantity: Quantity, period: Period) -> Measurement:
    """Return what was counted in a period as rating takes it: with its buckets, if any."""
    if quantity.buckets is None:
        return Measurement(quantity.quantity)
    buckets = tuple(Bucket(period.start, "", value) for value in quantity.buckets)
    return Measurement(quantity.quantity, buckets)
