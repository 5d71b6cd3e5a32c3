"""What a subscription owes for a period: its usage measured, its fixed prices counted."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from itertools import pairwise

from tokenmeter.engine.contract import Contract, Item
from tokenmeter.engine.metering import Assignments, MeterQuery, Quantity, assignments
from tokenmeter.engine.store.protocol import Store
from tokenmeter.rating.adjust import Charge, Terms, rate
from tokenmeter.rating.aggregation import Bucket, Measurement
from tokenmeter.rating.allowance import covered
from tokenmeter.rating.entitlement import Entitlement
from tokenmeter.rating.meter import Meter
from tokenmeter.rating.periods import BillingPeriod, Cycle, ResetPeriod
from tokenmeter.rating.price import Cadence, Price
from tokenmeter.rating.proration import share_used
from tokenmeter.rating.rounding import ZERO, plus
from tokenmeter.rating.together import Demand, Promise, rate_together
from tokenmeter.rating.windows import Period, Window, windows, zone_of

LINE_ID_CHARS = 26


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
    *,
    prior: Decimal | None = None,
    is_last: bool = True,
) -> tuple[list[Charged], dict[str, Measured]]:
    """
    Rate a period's usage; `prior` and `is_last` are of a commitment over several periods.

    Returns the charges in the order of the line items, and what was measured.
    """
    found = measured(store, contract, period, environment)
    terms = _terms(store, contract, period, found, environment)
    demands: list[tuple[Item, Demand]] = []
    for item in contract.usage_items():
        known = found[item.price.meter_id].found.by_price.get(item.price.key)
        if known is not None:
            own = replace(terms[item.price.key], commitment=item.commitment)
            demands.append((item, Demand(item.price, measurement_of(known, period), own)))
    return _rated(contract, demands, period, prior, is_last=is_last), found


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


def onetime_charges(contract: Contract, period: Period) -> list[Charged]:
    """Charge the prices that are charged once, in the period in which their line item starts."""
    return [
        Charged(i.id, i.name, rate(i.price, Measurement(i.quantity)), period)
        for i in contract.fixed_items()
        if i.price.billing_period is BillingPeriod.ONETIME and i.price.start in period
    ]


def line_id(contract: Contract, charged: Charged) -> str:
    """Name a line by what it bills, so that rating again names it alike."""
    digest = hashlib.sha256(f"{contract.subscription_id}/{charged.key}".encode()).digest()
    return f"inv_line_{base64.b32encode(digest).decode()[:LINE_ID_CHARS]}"


def _rated(
    contract: Contract,
    demands: Sequence[tuple[Item, Demand]],
    period: Period,
    prior: Decimal | None,
    *,
    is_last: bool,
) -> list[Charged]:
    items = {d.price.key: item for item, d in demands}
    if contract.promise is None:
        charges = tuple(rate(d.price, d.usage, d.terms) for _, d in demands)
    else:
        promise = Promise(contract.promise, prior, is_last)
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
    """Return what an allowance that lasts longer than the period has seen before it."""
    allowance, environment = how
    term = allowance_term(contract, period, allowance)
    if term is None or period.start <= term.start:
        return ZERO
    query = _query(contract, known.meter, Period(term.start, period.start))
    answer = assignments(store, query, known.prices, environment)
    return plus(quantity.quantity for quantity in answer.by_price.values())


def allowance_windows(
    contract: Contract, period: Period, allowance: Entitlement
) -> Iterator[Period]:
    """Cut a period at the resets of an allowance: midnights, or the cycle's weeks, months …"""
    zone, reset = zone_of(contract.zone), allowance.reset
    if reset is ResetPeriod.DAILY:
        starts = list(windows(period, Window.DAY, zone))
    elif reset not in (None, ResetPeriod.NEVER) and contract.cycle.period.is_longer_than(
        BillingPeriod(reset.value)
    ):
        inner = Cycle(contract.cycle.anchor, BillingPeriod(reset.value), 1, zone)
        starts = [p.start for p in inner.periods(period.start, period.end)]
    else:
        term = allowance_term(contract, period, allowance)
        starts = [period.start, *([term.end] if term and term.end < period.end else [])]
    bounds = [*(max(s, period.start) for s in starts), period.end]
    for start, end in pairwise(bounds):
        if start < end:
            yield Period(start, end)


def allowance_window(
    contract: Contract, period: Period, allowance: Entitlement, at: datetime
) -> Period:
    """Find the window of an allowance that holds a moment."""
    term = allowance_term(contract, period, allowance)
    if term is not None and at < term.end:
        return term
    cut = list(allowance_windows(contract, period, allowance))
    return next((w for w in cut if w.start <= at < w.end), cut[-1])


def allowance_term(contract: Contract, period: Period, allowance: Entitlement) -> Period | None:
    """Find the time of an allowance that lasts longer than a billing period; None: it does not."""
    if allowance.reset is ResetPeriod.NEVER:
        return Period(min(contract.start, period.start), period.end)
    if allowance.reset is None:
        return None
    lasts = BillingPeriod(allowance.reset.value)
    if not lasts.is_longer_than(contract.cycle.period):
        return None
    return term_of(contract, lasts, period.start)


def term_of(contract: Contract, lasts: BillingPeriod, at: datetime) -> Period:
    """Find the stretch of several billing periods, counted from the start, that holds a moment."""
    cycle = Cycle(contract.cycle.anchor, lasts, 1, zone_of(contract.zone))
    start = contract.start
    while (end := cycle.next(start)) <= at:
        start = end
    return Period(start, end)


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
