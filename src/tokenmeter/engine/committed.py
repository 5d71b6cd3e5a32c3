"""
What is promised is promised once: not by each version of a price, nor in each part of a period.

A line item that came in place of another one goes on with what that one used of its promise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

from tokenmeter.engine.contract import Contract, Item
from tokenmeter.engine.rhythm import own_period
from tokenmeter.rating.adjust import Terms, rate
from tokenmeter.rating.commitment import Commitment
from tokenmeter.rating.models import total
from tokenmeter.rating.rounding import ZERO, plus
from tokenmeter.rating.together import Demand
from tokenmeter.rating.windows import Period

Demands = Sequence[tuple[Item, Demand]]


@dataclass(frozen=True, slots=True)
class Before:
    """
    What was used of commitments before a period: of the subscription's, of the line items'.

    `prior` None: the subscription's begins with the period. `is_last`: it ends with it.
    """

    prior: Decimal | None = None
    is_last: bool = True
    by_root: Mapping[str, Decimal] = field(default_factory=dict[str, Decimal])


NOTHING_BEFORE = Before()


def without_promises(contract: Contract) -> Contract:
    """Return a contract under which usage costs what it costs."""
    items = tuple(replace(item, commitment=None) for item in contract.items)
    return replace(contract, promise=None, items=items)


def held_to_promises(
    contract: Contract, demands: Demands, period: Period, before: Before
) -> list[tuple[Item, Demand]]:
    """Hold line items to their own commitments, each to what is left of it in its turn."""
    used = dict(before.by_root)
    found: dict[str, Demand] = {}
    for item, demand in sorted(demands, key=lambda d: d[0].price.start or contract.start):
        promised = item.commitment
        if promised is not None:
            terms = demand.terms or Terms()
            spent = used.get(item.root, ZERO)
            used[item.root] = plus((spent, cost_of(demand)))
            mine = _trued_up_at_last(contract, item, promised, period)
            terms = replace(terms, commitment=mine, committed_before=spent)
            found[item.price.key] = replace(demand, terms=terms)
    return [(item, found.get(item.price.key, demand)) for item, demand in demands]


def cost_of(demand: Demand) -> Decimal:
    """Tell what usage costs, whatever was promised."""
    return total(rate(demand.price, demand.usage, demand.terms).lines)


def _trued_up_at_last(
    contract: Contract, item: Item, promised: Commitment, period: Period
) -> Commitment:
    """Have only the last version, in the last part of a billing period, make up for the rest."""
    whole, mine = own_period(contract, period.start), item.price
    goes_on = period.end < whole.end and (mine.end is None or period.end < mine.end)
    followed = mine.end is not None and any(
        other.root == item.root
        and other.price.start is not None
        and mine.end <= other.price.start < whole.end
        for other in contract.usage_items()
        if other.commitment is not None
    )
    return replace(promised, true_up=promised.true_up and not goes_on and not followed)
