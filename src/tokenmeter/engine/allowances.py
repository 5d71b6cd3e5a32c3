"""When included usage starts again: with the billing period, a day, a week ..., or never."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise

from tokenmeter.engine.contract import Contract
from tokenmeter.engine.rhythm import own_period
from tokenmeter.rating.entitlement import Entitlement
from tokenmeter.rating.periods import BillingPeriod, Cycle, ResetPeriod
from tokenmeter.rating.windows import Period, Window, window_after, window_start, windows, zone_of


def allowance_windows(
    contract: Contract, period: Period, allowance: Entitlement
) -> Iterator[Period]:
    """Cut a period at the resets of an allowance."""
    starts = (max(s, period.start) for s in _starts(contract, period, allowance))
    for start, end in pairwise([*starts, period.end]):
        if start < end:
            yield Period(start, end)


def allowance_window(
    contract: Contract, period: Period, allowance: Entitlement, at: datetime
) -> Period:
    """Find the whole window of an allowance that holds a moment of a period."""
    reset = allowance.reset
    if reset is ResetPeriod.NEVER:
        return Period(min(contract.start, period.start), period.end)
    if reset is None:
        return own_period(contract, at)
    if reset is ResetPeriod.DAILY:
        zone = zone_of(contract.zone)
        midnight = window_start(at, Window.DAY, zone)
        return Period(max(midnight, contract.start), window_after(midnight, Window.DAY, zone))
    return term_of(contract, BillingPeriod(reset.value), at)


def term_of(contract: Contract, lasts: BillingPeriod, at: datetime) -> Period:
    """Find the stretch of weeks, months ..., counted from the start, that holds a moment."""
    cycle = _cycle(contract, lasts)
    start = contract.start
    while (end := cycle.next(start)) <= at:
        start = end
    return Period(start, end)


def _starts(contract: Contract, period: Period, allowance: Entitlement) -> Iterator[datetime]:
    reset = allowance.reset
    if reset is ResetPeriod.DAILY:
        yield from windows(period, Window.DAY, zone_of(contract.zone))
        return
    yield period.start
    if reset in (None, ResetPeriod.NEVER):
        return
    lasts = BillingPeriod(reset.value)
    cycle, at = _cycle(contract, lasts), term_of(contract, lasts, period.start).end
    while at < period.end:
        yield at
        at = cycle.next(at)


def _cycle(contract: Contract, lasts: BillingPeriod) -> Cycle:
    return Cycle(contract.cycle.anchor, lasts, 1, zone_of(contract.zone))
