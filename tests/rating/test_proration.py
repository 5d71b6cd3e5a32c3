"""Parts of a period, and the credits and charges of a change."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.rating.made import MARCH, START, d
from tokenmeter.rating.errors import RatingError
from tokenmeter.rating.proration import (
    Action,
    Change,
    Item,
    Strategy,
    capped_credit,
    local_days,
    prorate,
    prorated_credits,
    share_left,
    share_used,
)
from tokenmeter.rating.windows import Period, zone_of

OLD, NEW = Item("old", d(2), d(10)), Item("new", d(1), d(31))
UPGRADE = Change(
    Action.UPGRADE, START + timedelta(days=15), MARCH, "UTC", "usd", OLD, NEW, amount_paid=d(20)
)


@pytest.mark.parametrize(
    ("days", "strategy", "expected"),
    [
        (-1, Strategy.SECOND_BASED, "1"),
        (0, Strategy.SECOND_BASED, "1"),
        (15.5, Strategy.SECOND_BASED, "0.5"),
        (31, Strategy.SECOND_BASED, "0"),
        (32, Strategy.SECOND_BASED, "0"),
        (0, Strategy.DAY_BASED, "1"),
        (16, Strategy.DAY_BASED, "0.5"),
        (31, Strategy.DAY_BASED, "0.03125"),
        (32, Strategy.DAY_BASED, "0"),
    ],
)
def test_the_share_that_is_left(days: float, strategy: Strategy, expected: str) -> None:
    assert share_left(MARCH, START + timedelta(days=days), strategy) == d(expected)


def test_days_are_those_of_the_customers_calendar() -> None:
    evening = START.replace(hour=20)
    assert local_days(evening, evening + timedelta(hours=5)) == 1
    assert local_days(evening, evening + timedelta(hours=5), zone_of("Asia/Kolkata")) == 0
    assert local_days(evening, evening - timedelta(days=2)) == 0


def test_a_line_item_is_charged_for_the_part_of_the_period_it_was_active() -> None:
    used = Period(START + timedelta(days=15.5), MARCH.end + timedelta(days=9))
    assert share_used(MARCH, used) == d("0.5")
    assert share_used(MARCH, MARCH) == 1
    assert share_used(MARCH, Period(MARCH.end, used.end)) == 0


def test_a_period_without_length_cannot_be_divided() -> None:
    nothing = Period(START, START)
    with pytest.raises(RatingError, match="without length"):
        share_left(nothing, START)
    with pytest.raises(RatingError, match="without length"):
        share_used(nothing, MARCH)


def test_prorated_credits_have_eight_places() -> None:
    assert prorated_credits(d(100), d("0.3870967741935484")) == d("38.70967742")


@pytest.mark.parametrize(
    ("potential", "paid", "credited", "expected"),
    [
        ("10", "20", "0", "10"),
        ("10", "20", "15", "5"),
        ("10", "5", "0", "5"),
        ("1", "0", "9", "0"),
    ],
)
def test_a_credit_is_at_most_what_was_paid(
    potential: str, paid: str, credited: str, expected: str
) -> None:
    assert capped_credit(d(potential), d(paid), d(credited)) == d(expected)


def test_an_upgrade_credits_the_old_item_and_charges_the_new_one() -> None:
    found = prorate(UPGRADE)
    assert [(i.price_id, i.amount, i.quantity) for i in found.credits] == [
        ("old", d("-10.63"), d(2))
    ]
    assert [(i.price_id, i.amount) for i in found.charges] == [("new", d("16.47"))]
    assert found.net == d("5.84")
    assert found.credits[0].period == Period(UPGRADE.at, MARCH.end)


@pytest.mark.parametrize(
    ("change", "credit", "charge"),
    [
        (replace(UPGRADE, amount_paid=d(3)), "-3", "16.47"),
        (replace(UPGRADE, amount_paid=d(0)), "0", "16.47"),
        (replace(UPGRADE, paid_in_advance=False), "0", "16.47"),
        (replace(UPGRADE, action=Action.QUANTITY_CHANGE, amount_paid=d(0)), "-10.63", "16.47"),
        (replace(UPGRADE, action=Action.ADD_ITEM, old=None), "0", "16.47"),
        (replace(UPGRADE, action=Action.REMOVE_ITEM, new=None), "-10.63", "0"),
        (replace(UPGRADE, action=Action.CANCELLATION, new=None), "0", "0"),
        (replace(UPGRADE, action=Action.CANCELLATION, new=None, refund=True), "-10.63", "0"),
        (replace(UPGRADE, at=MARCH.end + timedelta(days=1)), "0", "0"),
    ],
)
def test_what_each_change_credits_and_charges(change: Change, credit: str, charge: str) -> None:
    found = prorate(change)
    assert sum((i.amount for i in found.credits), d(0)) == d(credit)
    assert sum((i.amount for i in found.charges), d(0)) == d(charge)


def test_days_use_the_time_zone_of_the_customer() -> None:
    late = replace(UPGRADE, at=UPGRADE.at + timedelta(hours=20), timezone="Asia/Kolkata")
    assert prorate(late).net < prorate(replace(late, timezone="UTC")).net


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (replace(UPGRADE, timezone=""), "customer timezone is required"),
        (replace(UPGRADE, timezone="Mars/Base"), "Mars/Base"),
        (replace(UPGRADE, old=None), "old price ID is required"),
        (replace(UPGRADE, new=None), "new price ID is required"),
        (
            replace(UPGRADE, action=Action.QUANTITY_CHANGE, new=replace(NEW, quantity=d(2))),
            "cannot be equal",
        ),
    ],
)
def test_a_change_that_says_too_little_is_refused(change: Change, match: str) -> None:
    with pytest.raises(RatingError, match=match):
        prorate(change)


def test_an_item_needs_a_price_and_a_quantity() -> None:
    with pytest.raises(RatingError, match="price ID"):
        Item("", d(1), d(1))
    with pytest.raises(RatingError, match="positive"):
        Item("a", d(-1), d(1))
