"""
Fixed prices that are due in advance: what no earlier invoice has billed of a running period.

Each invoice bills the advances of the period after it, as the subscription is then. What is
added or raised later is billed with the period itself, less what was paid for the same time; what
is lowered or ended gives nothing back. A one-time price is charged once, by the version that its
line item began with; where that time was billed before, by the next invoice.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple

from tokenmeter.engine.charging import Charged, fixed_charges
from tokenmeter.engine.contract import Contract, Item
from tokenmeter.engine.definitions import reading
from tokenmeter.engine.rhythm import own_period
from tokenmeter.engine.store.invoices import Invoices
from tokenmeter.engine.store.protocol import Store
from tokenmeter.engine.store.rows import microseconds, moment
from tokenmeter.rating.adjust import Adjustment, AdjustmentKind, Charge, rate
from tokenmeter.rating.aggregation import Measurement
from tokenmeter.rating.periods import BillingPeriod
from tokenmeter.rating.price import Cadence
from tokenmeter.rating.proration import share_used
from tokenmeter.rating.rounding import minus, plus, rounded, times
from tokenmeter.rating.windows import Period

PAID_BEFORE = "paid in advance"

Lines = Sequence[Mapping[str, Any]]  # of invoices, as they were written


class _Billed(NamedTuple):
    """What closed invoices have billed, others than the one that is rated."""

    lines: Lines  # of fixed prices
    times: Sequence[Period]

    def has_ended_at(self, at: datetime) -> bool:
        """Tell whether one of them ends at a moment, and so bills what is due in advance then."""
        return any(period.end == at for period in self.times)


def opening_charges(store: Store, contract: Contract, environment: str) -> list[Charged]:
    """Charge what is due when a subscription starts."""
    first = own_period(contract, contract.start)
    opening = Period(contract.start, contract.start)
    billed = _billed(store, contract, first, opening, environment)
    once = [c for c in _onetime(contract) if _begun(contract, c) == contract.start]
    return [
        *_unpaid(contract, fixed_charges(contract, first, Cadence.ADVANCE), billed.lines),
        *_unpaid(contract, once, _ever(store, contract, opening, environment).lines),
    ]


def next_advances(
    store: Store, contract: Contract, period: Period, environment: str
) -> list[Charged]:
    """Charge what is due in advance for the period that begins where one ends, if one does."""
    at = period.end
    if not _has_advances(contract) or (contract.end is not None and at >= contract.end):
        return []
    following = own_period(contract, at)
    if following.start != at:
        return []
    billed = _billed(store, contract, following, period, environment)
    due = fixed_charges(contract, following, Cadence.ADVANCE)
    return list(_unpaid(contract, due, billed.lines))


def late_advances(
    store: Store, contract: Contract, period: Period, environment: str
) -> list[Charged]:
    """Charge what was due in advance for a period, and no invoice has billed that is closed."""
    if not _has_advances(contract):
        return []
    own = own_period(contract, period.start)
    billed = _billed(store, contract, own, period, environment)
    # Without the invoice before it, which is still to come, that one bills all of this period.
    is_late = billed.has_ended_at(own.start)
    due = fixed_charges(contract, own, Cadence.ADVANCE) if is_late else []
    return [
        *_unpaid(contract, due, billed.lines),
        *_late_onetime(store, contract, period, environment),
    ]


def _late_onetime(
    store: Store, contract: Contract, period: Period, environment: str
) -> Iterator[Charged]:
    """Charge the one-time prices that begin in a period, or before it in a time that is billed."""
    own = own_period(contract, period.start)
    once = [c for c in _onetime(contract) if _begun(contract, c) < own.end]
    if not once:
        return
    ever = _ever(store, contract, period, environment)
    opening = Period(contract.start, contract.start)
    for charged in once:
        at = _begun(contract, charged)
        if at == contract.start:
            is_due = opening in ever.times  # else that one is still to come, and bills it
        else:
            is_due = at in own or any(at in billed for billed in ever.times)
        if is_due:
            yield from _unpaid(contract, [charged], ever.lines)


def _onetime(contract: Contract) -> list[Charged]:
    """Charge each one-time line item, by the first version of its price."""
    first: dict[str, Item] = {}
    items = [i for i in contract.fixed_items() if i.price.billing_period is BillingPeriod.ONETIME]
    for item in sorted(items, key=lambda i: i.price.start or contract.start):
        first.setdefault(item.id, item)
    return [
        Charged(
            item.id,
            item.name,
            rate(item.price, Measurement(item.quantity)),
            own_period(contract, item.price.start or contract.start),
        )
        for item in first.values()
    ]


def _unpaid(contract: Contract, due: Sequence[Charged], billed: Lines) -> Iterator[Charged]:
    roots = {item.id: item.root for item in contract.items}
    for charged in due:
        root = roots[charged.item_id]
        same = [x for x in billed if root == roots.get(_item(x), _item(x))]
        rest = _less(charged.charge, plus(_paid(line, charged) for line in same))
        if rest.amount or not same:
            yield replace(charged, charge=rest)


def _paid(line: Mapping[str, Any], charged: Charged) -> Decimal:
    """Tell what of a billed line was for the time of a charge, or for what is charged once."""
    if charged.charge.price.billing_period is BillingPeriod.ONETIME:
        return Decimal(line["amount"])
    start, end = (reading.moment(line, name) for name in ("period_start", "period_end"))
    if start is None or end is None or start == end:
        return Decimal(0)
    share = share_used(Period(start, end), charged.period)
    return rounded(times(Decimal(line["amount"]), share), charged.charge.price.currency)


def _less(charge: Charge, paid: Decimal) -> Charge:
    part = min(paid, charge.amount)
    if part <= 0:
        return charge
    entry = Adjustment(AdjustmentKind.PRORATION, part.copy_negate(), PAID_BEFORE)
    return replace(
        charge, amount=minus(charge.amount, part), adjustments=(*charge.adjustments, entry)
    )


def _ever(store: Store, contract: Contract, rated: Period, environment: str) -> _Billed:
    whole = Period(contract.start, datetime.max.replace(tzinfo=UTC))
    return _billed(store, contract, whole, rated, environment)


def _billed(
    store: Store, contract: Contract, own: Period, rated: Period, environment: str
) -> _Billed:
    """Find what closed invoices have billed whose periods end within a time, or with it."""
    start_us, end_us = microseconds(own.start), microseconds(own.end)
    with store.reading() as connection:
        closed = Invoices(connection, environment).closed(
            contract.subscription_id, start_us, end_us
        )
    times = [Period(moment(r.period_start_us), moment(r.period_end_us)) for r in closed]
    others = [(row, time) for row, time in zip(closed, times, strict=True) if time != rated]
    lines = [line for row, _ in others for line in json.loads(row.body)["line_items"]]
    return _Billed(
        [line for line in lines if line["price_type"] == "FIXED"], [time for _, time in others]
    )


def _has_advances(contract: Contract) -> bool:
    return any(i.price.cadence is Cadence.ADVANCE for i in contract.fixed_items())


def _begun(contract: Contract, charged: Charged) -> datetime:
    return charged.charge.price.start or contract.start


def _item(line: Mapping[str, Any]) -> str:
    return str(line.get("subscription_line_item_id", ""))
