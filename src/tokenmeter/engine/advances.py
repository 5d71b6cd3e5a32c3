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
from typing import Any

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


def opening_charges(contract: Contract) -> list[Charged]:
    """Charge what is due when a subscription starts."""
    first = own_period(contract, contract.start)
    once = [c for c in onetime_charges(contract, first) if _begins(c, contract.start)]
    return [*fixed_charges(contract, first, Cadence.ADVANCE), *once]


def next_advances(contract: Contract, at: datetime) -> list[Charged]:
    """Charge what is due in advance for the period that begins at a moment, if one does."""
    if not _has_advances(contract) or (contract.end is not None and at >= contract.end):
        return []
    following = own_period(contract, at)
    return fixed_charges(contract, following, Cadence.ADVANCE) if following.start == at else []


def late_advances(
    store: Store, contract: Contract, period: Period, environment: str
) -> list[Charged]:
    """Charge what was due in advance for a period, and no invoice has billed that is closed."""
    if not _has_advances(contract):
        return []
    own = own_period(contract, period.start)
    billed = _billed(store, contract, Period(own.start, max(own.start, period.start)), environment)
    once = [c for c in onetime_charges(contract, own) if not _begins(c, contract.start)]
    # Without an invoice before it, the one that is still to come bills all of this period.
    due = [] if billed is None else fixed_charges(contract, own, Cadence.ADVANCE)
    return list(_unpaid(contract, [*due, *once], billed or ()))


def _unpaid(contract: Contract, due: Sequence[Charged], billed: Lines) -> Iterator[Charged]:
    roots = {item.id: item.root for item in contract.items}
    known = {line["id"] for line in billed}
    for charged in due:
        if line_id(contract, charged) in known:
            continue
        root = roots[charged.item_id]
        same = [x for x in billed if root == roots.get(_item(x), _item(x))]
        rest = _less(charged.charge, plus(_paid(line, charged) for line in same))
        if rest.amount or not same:
            yield replace(charged, charge=rest)


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
    store: Store, contract: Contract, ends: Period, environment: str
) -> list[Mapping[str, Any]] | None:
    """Return the fixed lines of closed invoices that end within a time; None: there is none."""
    with store.reading() as connection:
        rows = Invoices(connection, environment).closed(
            contract.subscription_id, microseconds(ends.start), microseconds(ends.end)
        )
    if not rows:
        return None
    lines = [line for row in rows for line in json.loads(row.body)["line_items"]]
    return [line for line in lines if line["price_type"] == "FIXED"]


def _has_advances(contract: Contract) -> bool:
    return any(i.price.cadence is Cadence.ADVANCE for i in contract.fixed_items())


def _begins(charged: Charged, at: datetime) -> bool:
    return charged.charge.price.start == at


def _item(line: Mapping[str, Any]) -> str:
    return str(line.get("subscription_line_item_id", ""))
