"""Credit grants: what makes sense, and when the credits expire."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.rating.made import MARCH, START, d
from tokenmeter.rating.errors import RatingError
from tokenmeter.rating.grant import Grant, define_grant
from tokenmeter.rating.periods import BillingPeriod

WELCOME: dict[str, Any] = {"name": "welcome", "credits": "5", "cadence": "ONETIME"}


def test_a_grant_is_read_from_flexprices_fields() -> None:
    fields = {**WELCOME, "cadence": "RECURRING", "period": "MONTHLY", "period_count": 2}
    assert define_grant({**fields, "priority": 3}) == Grant(
        "welcome", d(5), BillingPeriod.MONTHLY, 2, priority=3
    )


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"name": ""}, "name"),
        ({"credits": "0"}, "credits_to_add"),
        ({"credits": None}, "credits_to_add"),
        ({"cadence": "SOMETIMES"}, "cadence"),
        ({"cadence": None}, "cadence"),
        ({"cadence": "RECURRING"}, "period"),
        ({"expiration_type": "LATER"}, "expiration_type"),
        ({"expiration_type": "DURATION"}, "expiration_duration"),
        (
            {
                "expiration_type": "DURATION",
                "expiration_duration": 1,
                "expiration_duration_unit": "CENTURY",
            },
            "expiration_duration",
        ),
        (
            {
                "expiration_type": "DURATION",
                "expiration_duration": -1,
                "expiration_duration_unit": "DAY",
            },
            "expiration_duration",
        ),
        ({"cadence": "RECURRING", "period": "MONTHLY", "period_count": 0}, "period_count"),
        ({"cadence": "RECURRING", "period": "MONTHLY", "period_count": -1}, "period_count"),
        ({"priority": "1.5"}, "priority"),
    ],
)
def test_a_grant_that_makes_no_sense_is_refused(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(RatingError) as refused:
        define_grant({**WELCOME, **fields})
    assert refused.value.field == field


def test_a_grant_of_nothing_cannot_be_built() -> None:
    with pytest.raises(RatingError, match="above 0"):
        Grant("welcome", d(0))


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, None),
        ({"expiration_type": "BILLING_CYCLE"}, MARCH.end),
        (
            {
                "expiration_type": "DURATION",
                "expiration_duration": 2,
                "expiration_duration_unit": "WEEK",
            },
            datetime(2026, 3, 15, tzinfo=UTC),
        ),
    ],
)
def test_credits_expire_as_the_grant_says(
    fields: dict[str, Any], expected: datetime | None
) -> None:
    assert define_grant({**WELCOME, **fields}).expires(START, MARCH.end) == expected
