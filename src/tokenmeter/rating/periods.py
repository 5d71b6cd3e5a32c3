"""Billing dates: when a period ends, which period holds a date, when an allowance resets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from enum import StrEnum

from tokenmeter.rating.errors import RatingError
from tokenmeter.rating.windows import Period, add_months

PERIODS_MAX = 5_000  # periods walked or listed at once: 13 years of days
PERIODS_AHEAD_MAX = 240  # periods walked ahead of a known one: 20 years of months
RESET_MONTHS_MAX = 1_000
COUNT_MAX = 1_000  # periods billed as one


class BillingPeriod(StrEnum):
    """How often a price is billed, by Flexprice's names."""

    DAILY = "DAILY"
    WEEKLY = "WEEKLY"
    MONTHLY = "MONTHLY"
    QUARTERLY = "QUARTERLY"
    HALF_YEARLY = "HALF_YEARLY"
    ANNUAL = "ANNUAL"
    ONETIME = "ONETIME"

    @property
    def order(self) -> int:
        """Rank by length, from 1 for a day to 6 for a year; ONETIME stands outside with -1."""
        return -1 if self is BillingPeriod.ONETIME else list(BillingPeriod).index(self) + 1

    @property
    def months(self) -> int:
        """Length in months; 0 for what is not a number of months."""
        return _MONTHS.get(self, 0)

    def is_longer_than(self, other: BillingPeriod) -> bool:
        """Compare lengths; ONETIME is neither longer nor shorter."""
        return BillingPeriod.ONETIME not in {self, other} and self.order > other.order

    def is_multiple_of(self, shorter: BillingPeriod) -> bool:
        """Tell whether a whole number of `shorter` fits: a quarter holds three months."""
        if BillingPeriod.ONETIME in {self, shorter}:
            return False
        if not self.months or not shorter.months:
            return self is shorter
        return self.months % shorter.months == 0


_MONTHS = {
    BillingPeriod.MONTHLY: 1,
    BillingPeriod.QUARTERLY: 3,
    BillingPeriod.HALF_YEARLY: 6,
    BillingPeriod.ANNUAL: 12,
}
# Their first period ends at the anchor itself.
_ANCHORED = {BillingPeriod.QUARTERLY, BillingPeriod.HALF_YEARLY}


class ResetPeriod(StrEnum):
    """When an allowance starts again, by Flexprice's names."""

    DAILY = "DAILY"
    WEEKLY = "WEEKLY"
    MONTHLY = "MONTHLY"
    QUARTERLY = "QUARTERLY"
    HALF_YEARLY = "HALF_YEARLY"
    ANNUAL = "ANNUAL"
    NEVER = "NEVER"


def billing_period_of(name: str) -> BillingPeriod:
    """Read a billing period by Flexprice's name."""
    try:
        return BillingPeriod(name)
    except ValueError:
        raise RatingError(
            f"{name!r} is an invalid billing period type; use one of {', '.join(BillingPeriod)}.",
            field="billing_period",
        ) from None


def reset_period_of(name: str) -> ResetPeriod:
    """Read a usage reset period by Flexprice's name."""
    try:
        return ResetPeriod(name)
    except ValueError:
        raise _unsupported(name) from None


def _unsupported(name: str) -> RatingError:
    return RatingError(
        f"{name!r} is an unsupported entitlement usage reset period.", field="usage_reset_period"
    )


@dataclass(frozen=True, slots=True)
class Cycle:
    """
    The rhythm of a subscription: every `count` periods, on the anchor's day and clock.

    Dates are worked out on the zone's calendar and returned as UTC.
    """

    anchor: datetime
    period: BillingPeriod = BillingPeriod.MONTHLY
    count: int = 1
    zone: tzinfo = UTC

    def __post_init__(self) -> None:
        if not 0 < self.count <= COUNT_MAX:
            raise RatingError(
                f"The billing period unit must be a positive integer up to {COUNT_MAX}.",
                field="billing_period_count",
            )
        if self.period is BillingPeriod.ONETIME:
            raise RatingError(
                "A one-time price has no billing dates: invalid billing period type.",
                field="billing_period",
            )

    def next(self, start: datetime, end: datetime | None = None) -> datetime:
        """Find the end of the period that starts at `start`; never after `end`."""
        following = self._following(start.astimezone(self.zone)).astimezone(UTC)
        return following if end is None else min(following, end.astimezone(UTC))

    def previous(self, boundary: datetime) -> datetime:
        """Find the start of the full period that would end at `boundary`."""
        local = boundary.astimezone(self.zone)
        if self.period.months:
            day = self.anchor.astimezone(self.zone).day
            return add_months(local, -self.period.months * self.count, day).astimezone(UTC)
        days = 7 if self.period is BillingPeriod.WEEKLY else 1
        return (local - timedelta(days=days * self.count)).astimezone(UTC)

    def periods(self, start: datetime, end: datetime) -> Iterator[Period]:
        """List the periods from `start` on; the last one is cut at `end`."""
        listed = 0
        while start < end:
            if listed == PERIODS_MAX:
                raise RatingError(f"More than {PERIODS_MAX} billing periods.", field="end_date")
            following = self.next(start, end)
            yield Period(start, following)
            listed += 1
            start = following

    def containing(self, moment: datetime, known: Period) -> Period:
        """Find the period that holds a moment, walking ahead from a known one."""
        held = known
        for _ in range(PERIODS_AHEAD_MAX):
            if moment in held:
                return held
            held = Period(held.end, self.next(held.end))
        raise RatingError(
            "We could not find billing period for date: it is before the known period or too far "
            "ahead.",
            field="date",
        )

    def _following(self, start: datetime) -> datetime:
        anchor = self.anchor.astimezone(self.zone)
        if self.period is BillingPeriod.DAILY:
            return _clock(start, anchor) + timedelta(days=self.count)
        if self.period is BillingPeriod.WEEKLY:
            return _clock(start, anchor) + timedelta(days=self._days_to(anchor, start))
        if self.period in _ANCHORED and start < anchor:
            return anchor
        if self.period is BillingPeriod.MONTHLY and start < _days_in(start, anchor):
            return add_months(_clock(start, anchor), 0, anchor.day)
        if self.period is BillingPeriod.ANNUAL:
            start = start.replace(day=1, month=anchor.month)
        first = _clock(start.replace(day=1), anchor)
        return add_months(first, self.period.months * self.count, anchor.day)

    def _days_to(self, anchor: datetime, start: datetime) -> int:
        ahead = (anchor.weekday() - start.weekday()) % 7
        return ahead + 7 * (self.count - 1) if ahead else 7 * self.count


def _clock(day: datetime, anchor: datetime) -> datetime:
    """Set the anchor's clock time, whole seconds, on a local day."""
    clock = anchor.time().replace(microsecond=0, fold=0)
    return datetime.combine(day.date(), clock, tzinfo=day.tzinfo)


def _days_in(start: datetime, anchor: datetime) -> datetime:
    """Midnight of the anchor's day in the month of `start`, to compare days and no clock."""
    return add_months(start.replace(hour=0, minute=0, second=0, microsecond=0), 0, anchor.day)


def calendar_anchor(start: datetime, period: BillingPeriod | None, zone: tzinfo = UTC) -> datetime:
    """
    Find the first calendar boundary after a start: next midnight, Monday, 1st, quarter, year.

    Without a recurring period the start itself is the anchor.
    """
    local = start.astimezone(zone)
    today = local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    if period is BillingPeriod.DAILY:
        return (today + timedelta(days=1)).astimezone(UTC)
    if period is BillingPeriod.WEEKLY:
        return (today + timedelta(days=7 - today.weekday())).astimezone(UTC)
    if period is None or not period.months:
        return start.astimezone(UTC)
    into = (today.month - 1) % period.months
    return add_months(today, period.months - into, 1).astimezone(UTC)


def next_reset(
    moment: datetime, reset: ResetPeriod, cycle: Cycle, term: tuple[datetime, datetime | None]
) -> datetime | None:
    """
    Find when an allowance resets next; None for NEVER.

    DAILY is the next local midnight, MONTHLY the local midnight of the day on which the
    monthly period from the subscription's start ends; Flexprice dates no other reset. `term`
    is the subscription's start and end; nothing resets after the end.
    """
    start, end = term
    if reset is ResetPeriod.NEVER:
        return None
    if reset is ResetPeriod.DAILY:
        day = moment.astimezone(cycle.zone) + timedelta(days=1)
    elif reset is ResetPeriod.MONTHLY:
        day = _monthly_end(moment, start, cycle).astimezone(cycle.zone)
    else:
        raise _unsupported(reset)
    midnight = day.replace(hour=0, minute=0, second=0, microsecond=0, fold=0).astimezone(UTC)
    return midnight if end is None else min(midnight, end.astimezone(UTC))


def _monthly_end(moment: datetime, start: datetime, cycle: Cycle) -> datetime:
    monthly = Cycle(cycle.anchor, BillingPeriod.MONTHLY, 1, cycle.zone)
    for _ in range(RESET_MONTHS_MAX if moment >= start else 0):
        start = monthly.next(start)
        if moment < start:
            return start
    raise RatingError(
        "We failed to find monthly reset period: the date is before the subscription starts.",
        field="date",
    )
