"""Included usage, shared by the prices of one meter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

from tokenmeter.rating.entitlement import Entitlement
from tokenmeter.rating.rounding import EXACT, ZERO, minus


def covered(
    entitlement: Entitlement,
    used: Mapping[str, Sequence[Decimal]],
    before: Decimal = ZERO,
) -> dict[str, Decimal]:
    """
    Tell how much of each price's usage is included, in the order of the prices.

    `used` is the usage in each window of the allowance, by price. With 10 a day included and
    8 used at the first price, 5 at the second, the second has 2 included. `before` is what was
    used of an allowance that began before the first window.
    """
    found = dict.fromkeys(used, ZERO)
    if not entitlement.is_enabled:
        return found
    for window in range(max((len(values) for values in used.values()), default=0)):
        left = entitlement.usage_limit
        if left is not None and window == 0:
            left = max(ZERO, minus(left, before))
        for key, values in used.items():
            part = values[window] if left is None else min(left, values[window])
            found[key] = EXACT.add(found[key], part)
            left = None if left is None else minus(left, part)
    return found
