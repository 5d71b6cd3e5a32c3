"""Included usage: how much of what was used is billed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from tokenmeter.rating.errors import RatingError
from tokenmeter.rating.periods import ResetPeriod
from tokenmeter.rating.rounding import EXACT, ZERO, minus, plus

GRANT_DURATION_MAX = timedelta(microseconds=(2**63 - 1) // 1_000)  # Flexprice: 64-bit ns

AGGREGATION_MODES = frozenset({"additive", "parallel"})
GRANT_MEASURES = frozenset({"quantity", "amount"})
ALLOCATIONS = frozenset({"first_usage", "unit_start"})
GRANT_SCOPES = frozenset({"feature", "subscription", "group"})
GRANT_UNITS = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(weeks=1)}
GRANT_UNIT_NAMES = frozenset({*GRANT_UNITS, "subscription_period"})
DURATION_UNITS = {
    "SECOND": timedelta(seconds=1),
    "MINUTE": timedelta(minutes=1),
    "HOUR": timedelta(hours=1),
    "DAY": timedelta(days=1),
}


@dataclass(frozen=True, slots=True)
class Entitlement:
    """
    Usage that a plan includes.

    `usage_limit` None is unlimited. `reset` None is the billing period. A soft limit bills
    just like a hard one; it only tells the application not to stop.
    """

    usage_limit: Decimal | None = None
    is_enabled: bool = True
    reset: ResetPeriod | None = None
    is_soft_limit: bool = False

    def __post_init__(self) -> None:
        if self.usage_limit is not None and self.usage_limit < 0:
            raise RatingError("A usage limit is at least 0.", field="usage_limit")

    def billable(
        self, usage: Decimal, *, windows: Sequence[Decimal] | None = None, before: Decimal = ZERO
    ) -> Decimal:
        """
        Tell how much of a period's usage is billed.

        `windows` is the usage of each day or month where the allowance resets within the
        period: 15, 3, 12 a day with 10 included bills 7. `before` is what was used before the
        period, for an allowance that never resets; without it, it is granted again, as
        Flexprice does.
        """
        if not self.is_enabled:
            return usage
        if self.usage_limit is None:
            return ZERO
        if self.reset is ResetPeriod.NEVER:
            lifetime = _over(EXACT.add(before, usage), self.usage_limit)
            return minus(lifetime, _over(before, self.usage_limit))
        held = (usage,) if windows is None else windows
        return plus(_over(used, self.usage_limit) for used in held)


def combined(entitlements: Iterable[Entitlement]) -> Entitlement | None:
    """
    Add up the allowances of a plan and its add-ons; None when there is none.

    One without a limit makes the whole unlimited. Disabled ones do not count.
    """
    held = [e for e in entitlements if e.is_enabled]
    if not held:
        return None
    limits = [e.usage_limit for e in held if e.usage_limit is not None]
    limit = plus(limits) if len(limits) == len(held) else None
    return Entitlement(
        limit, reset=held[0].reset, is_soft_limit=any(e.is_soft_limit for e in held)
    )


def grant_overage(quota: Decimal, usage: Decimal) -> Decimal:
    """Tell how much was used beyond a grant's quota."""
    return _over(usage, quota)


def grant_duration(value: int, unit: str) -> timedelta:
    """Read how long a grant lasts: a positive number of hours, days or weeks."""
    length = _duration(value, unit, GRANT_UNITS)
    if length > GRANT_DURATION_MAX:
        raise RatingError("The grant lasts too long.", field="grant_duration_value")
    return length


def duration(value: int, unit: str) -> timedelta:
    """Read a length of time, as a cool-off has it: a positive number of SECOND to DAY."""
    return _duration(value, unit, DURATION_UNITS)


def check_choice(value: str, allowed: frozenset[str], field: str) -> None:
    """Refuse a word that is not one of the allowed; an empty one leaves the default."""
    if value and value not in allowed:
        raise RatingError(f"{field} is one of {', '.join(sorted(allowed))}.", field=field)


def _duration(value: int, unit: str, units: dict[str, timedelta]) -> timedelta:
    if value <= 0:
        raise RatingError("A duration is above 0.", field="value")
    if unit not in units:
        raise RatingError(f"The unit is one of {', '.join(units)}.", field="unit")
    try:
        return value * units[unit]
    except OverflowError:
        raise RatingError("The duration is too long.", field="value") from None


def _over(usage: Decimal, limit: Decimal) -> Decimal:
    return max(ZERO, minus(usage, limit))
