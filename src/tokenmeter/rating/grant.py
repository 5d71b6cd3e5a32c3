"""A credit grant: how many credits a plan or a subscription gives, when, and until when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from tokenmeter.rating.credits import check_credits, expires_at
from tokenmeter.rating.define import Fields, number_in, text_in, whole_in
from tokenmeter.rating.entitlement import check_choice
from tokenmeter.rating.errors import RatingError
from tokenmeter.rating.periods import BillingPeriod, billing_period_of
from tokenmeter.rating.rounding import ZERO

ONETIME, RECURRING = "ONETIME", "RECURRING"
NEVER, DURATION, BILLING_CYCLE = "NEVER", "DURATION", "BILLING_CYCLE"
UNITS = frozenset({"DAY", "WEEK", "MONTH", "YEAR"})


@dataclass(frozen=True, slots=True)
class Grant:
    """
    Credits given once, or at the start of every period.

    They never expire, or after a `duration` of `unit`s, or with the period they were given for.
    """

    name: str
    credits: Decimal
    period: BillingPeriod | None = None  # None: given once
    count: int = 1
    expiration: str = NEVER
    duration: int | None = None
    unit: str | None = None
    priority: int | None = None

    def __post_init__(self) -> None:
        if not self.name.strip():
            raise RatingError("A credit grant needs a name.", field="name")
        if self.credits <= 0:
            raise RatingError("Credits must be above 0.", field="credits")
        check_choice(
            self.expiration, frozenset({NEVER, DURATION, BILLING_CYCLE}), "expiration_type"
        )
        if self.count < 1:
            raise RatingError("A period_count is at least 1.", field="period_count")
        if self.expiration == DURATION and ((self.duration or 0) < 1 or self.unit not in UNITS):
            raise RatingError(
                "A grant that expires after a DURATION needs an expiration_duration above 0 and, "
                "as expiration_duration_unit, DAY, WEEK, MONTH or YEAR.",
                field="expiration_duration",
            )

    def expires(self, given: datetime, period_end: datetime) -> datetime | None:
        """Tell when credits given at a time expire; `period_end` is the billing period's."""
        if self.expiration == BILLING_CYCLE:
            return period_end
        if self.expiration == DURATION:
            return expires_at(given, self.duration, self.unit)
        return None


def define_grant(fields: Fields) -> Grant:
    """Build a credit grant from Flexprice's fields; RatingError names the field that is wrong."""
    cadence = text_in(fields, "cadence")
    check_choice(cadence or "-", frozenset({ONETIME, RECURRING}), "cadence")
    given = number_in(fields, "credits") or ZERO
    check_credits(given)
    period = text_in(fields, "period")
    if cadence == RECURRING and not period:
        raise RatingError("A recurring credit grant needs a period.", field="period")
    period_count = whole_in(fields, "period_count")
    return Grant(
        name=text_in(fields, "name"),
        credits=given,
        period=billing_period_of(period) if cadence == RECURRING else None,
        count=1 if period_count is None else period_count,
        expiration=text_in(fields, "expiration_type") or NEVER,
        duration=whole_in(fields, "expiration_duration"),
        unit=text_in(fields, "expiration_duration_unit") or None,
        priority=whole_in(fields, "priority"),
    )
