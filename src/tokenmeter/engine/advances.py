"""
Fixed prices that are due in advance: what no earlier invoice has billed of a running period.

Each invoice bills the advances of the period after it, as the subscription is then. What is
added or raised later is billed with the period itself, less what was paid for the same time; what
is lowered or ended gives nothing back.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from tokenmeter.engine.charging import Charged, fixed_charges, line_id, onetime_charges
from tokenmeter.engine.contract import Contract
from tokenmeter.engine.definitions import reading
from tokenmeter.engine.rhythm import own_period
from tokenmeter.engine.store.invoices import Invoices
from tokenmeter.engine.store.protocol import Store
from tokenmeter.engine.store.rows import microseconds
from tokenmeter.rating.adjust import Adjustment, AdjustmentKind, Charge
from tokenmeter.rating.price import Cadence
from tokenmeter.rating.proration import share_used
from tokenmeter.rating.rounding import minus, plus, rounded, times
from tokenmeter.rating.windows import Period

PAID_BEFORE = "paid in advance"

Lines = Sequence[Mapping[str, Any]]  # of invoices, as they were written


class _Billed(NamedTuple):
    """What closed invoices have billed of a period."""

    lines: Lines  # of fixed prices
    has_advances: bool  # whether the invoice is among them that bills it in advance


def opening_charges(store: Store, contract: Contract, environment: str) -> list[Charged]:
    """Charge what is due when a subscription starts."""
    first = own_period(contract, contract.start)
    once = [c for c in onetime_charges(contract, first) if _begins(c, contract.start)]
    due = [*fixed_charges(contract, first, Cadence.ADVANCE), *once]
    opening = Period(contract.start, contract.start)
    billed = _billed(store, contract, first, opening, environment)
    return list(_unpaid(contract, due, billed.lines))


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
    once = [c for c in onetime_charges(contract, own) if not _begins(c, contract.start)]
    # Without the invoice before it, which is still to come, that one bills all of this period.
    due = fixed_charges(contract, own, Cadence.ADVANCE) if billed.has_advances else []
    return list(_unpaid(contract, [*due, *once], billed.lines))


def _unpaid(contract: Contract, due: Sequence[Charged], billed: Lines) -> Iterator[Charged]:
    roots = {item.id: item.root for item in contract.items}
    known = {line["id"] for line in billed if not _is_rest(line)}
    for charged in due:
        if line_id(contract, charged) in known:
            continue
        root = roots[charged.item_id]
        same = [x for x in billed if root == roots.get(_item(x), _item(x))]
        rest = _less(charged.charge, plus(_paid(line, charged) for line in same))
        if rest.amount or not same:
            yield replace(charged, charge=rest)


def _is_rest(line: Mapping[str, Any]) -> bool:
    return any(entry["name"] == PAID_BEFORE for entry in line.get("adjustments", ()))


def _paid(line: Mapping[str, Any], charged: Charged) -> Decimal:
    """Tell what of a billed line was for the time of a charge."""
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


def _billed(
    store: Store, contract: Contract, own: Period, rated: Period, environment: str
) -> _Billed:
    """Find what other closed invoices than the one that is rated have billed of a period."""
    start_us, end_us = microseconds(own.start), microseconds(own.end)
    this = (microseconds(rated.start), microseconds(rated.end))
    with store.reading() as connection:
        closed = Invoices(connection, environment).closed(
            contract.subscription_id, start_us, end_us
        )
    others = [row for row in closed if (row.period_start_us, row.period_end_us) != this]
    lines = [line for row in others for line in json.loads(row.body)["line_items"]]
    return _Billed(
        [line for line in lines if line["price_type"] == "FIXED"],
        any(row.period_end_us == start_us for row in others),
    )


def _has_advances(contract: Contract) -> bool:
    return any(i.price.cadence is Cadence.ADVANCE for i in contract.fixed_items())


def _begins(charged: Charged, at: datetime) -> bool:
    return charged.charge.price.start == at


def _item(line: Mapping[str, Any]) -> str:
    return str(line.get("subscription_line_item_id", ""))
