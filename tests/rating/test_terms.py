"""Entitlements and commitments, at and around their limits."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from tests.rating.made import VOLUME, d, flat
from tokenmeter.rating.commitment import (
    Commitment,
    CommitmentType,
    Portion,
    UsageCharge,
    commit,
    commit_windows,
    commitment_type_of,
    settle,
    settle_cumulative,
    true_up,
)
from tokenmeter.rating.entitlement import (
    Entitlement,
    check_choice,
    combined,
    duration,
    grant_duration,
    grant_overage,
)
from tokenmeter.rating.errors import RatingError
from tokenmeter.rating.periods import ResetPeriod

ONE = flat("1")


@pytest.mark.parametrize(
    ("held", "usage", "expected"),
    [
        (Entitlement(d(100)), 99, "0"),
        (Entitlement(d(100)), 100, "0"),
        (Entitlement(d(100)), 101, "1"),
        (Entitlement(d(0)), 5, "5"),
        (Entitlement(None), 10**9, "0"),
        (Entitlement(d(100), is_enabled=False), 50, "50"),
        (Entitlement(d(100), is_soft_limit=True), 150, "50"),
    ],
)
def test_what_is_billed_beyond_the_allowance(held: Entitlement, usage: int, expected: str) -> None:
    assert held.billable(d(usage)) == d(expected)


def test_an_allowance_that_resets_within_the_period_is_not_carried_over() -> None:
    daily = Entitlement(d(10), reset=ResetPeriod.DAILY)
    assert daily.billable(d(30), windows=(d(15), d(3), d(12))) == 7
    assert daily.billable(d(0), windows=()) == 0
    assert daily.billable(d(30)) == 20


def test_an_allowance_that_never_resets_is_used_up_once_when_the_past_is_known() -> None:
    once = Entitlement(d(100), reset=ResetPeriod.NEVER)
    assert once.billable(d(60), before=d(80)) == 40
    assert once.billable(d(60), before=d(200)) == 60
    assert once.billable(d(60)) == 0


def test_allowances_of_a_plan_and_its_add_ons_add_up() -> None:
    both = combined([Entitlement(d(100)), Entitlement(d(50), is_soft_limit=True)])
    assert both == Entitlement(d(150), is_soft_limit=True)
    assert combined([Entitlement(d(100)), Entitlement(None)]) == Entitlement(None)
    assert combined([Entitlement(d(100)), Entitlement(d(1), is_enabled=False)]) == Entitlement(
        d(100)
    )
    assert combined([]) is None


def test_what_was_used_beyond_a_grant_is_its_overage() -> None:
    assert [grant_overage(d(100), d(n)) for n in (99, 100, 250)] == [0, 0, 150]


def test_a_negative_limit_is_refused() -> None:
    with pytest.raises(RatingError, match="at least 0"):
        Entitlement(d(-1))


def test_durations_are_read_and_bounded() -> None:
    assert duration(90, "SECOND") == timedelta(seconds=90)
    assert duration(2, "DAY") == timedelta(days=2)
    assert grant_duration(106_751, "day") == timedelta(days=106_751)
    for value, unit in ((0, "day"), (1, "month"), (106_752, "day"), (10**12, "week")):
        with pytest.raises(RatingError):
            grant_duration(value, unit)


def test_a_word_that_is_not_a_choice_is_refused_and_an_empty_one_is_the_default() -> None:
    check_choice("", frozenset({"a"}), "mode")
    check_choice("a", frozenset({"a"}), "mode")
    with pytest.raises(RatingError, match="mode is one of a") as refused:
        check_choice("b", frozenset({"a"}), "mode")
    assert refused.value.field == "mode"


@pytest.mark.parametrize(
    ("cost", "filled", "expected"),
    [
        ("0", False, ("0", "0", "0", "0")),
        ("9.99", False, ("9.99", "9.99", "0", "0")),
        ("9.99", True, ("10", "9.99", "0", "0.01")),
        ("10", True, ("10", "10", "0", "0")),
        ("15", True, ("17.5", "10", "7.5", "0")),
    ],
)
def test_a_line_item_is_held_against_its_commitment(
    cost: str, expected: tuple[str, str, str, str], *, filled: bool
) -> None:
    promise = Commitment(d(10), overage_factor=d("1.5"), true_up=filled)
    found = commit(d(cost), promise, ONE)
    assert (found.charge, found.utilized, found.overage, found.true_up) == tuple(
        map(Decimal, expected)
    )


def test_a_promised_quantity_is_priced_like_usage() -> None:
    promise = Commitment(d(1001), CommitmentType.QUANTITY)
    assert promise.amount(VOLUME) == d("50.05")


def test_each_window_is_held_against_the_commitment_by_itself() -> None:
    promise = Commitment(d(10), overage_factor=d(2), true_up=True)
    found = commit_windows([d(2), d(12)], promise, ONE)
    assert [c.charge for c in found] == [d(10), d(14)]


@pytest.mark.parametrize(
    ("value", "factor", "match"), [("0", "1", "above 0"), ("1", "0.99", "at least 1")]
)
def test_a_commitment_without_sense_is_refused(value: str, factor: str, match: str) -> None:
    with pytest.raises(RatingError, match=match):
        Commitment(d(value), overage_factor=d(factor))


def test_commitment_types_are_read() -> None:
    assert commitment_type_of("quantity") is CommitmentType.QUANTITY
    with pytest.raises(RatingError, match="amount or quantity"):
        commitment_type_of("usage")


def test_charges_use_the_commitment_up_in_their_order() -> None:
    charges = [UsageCharge("a", d(6), d(6)), UsageCharge("b", d(8), d(4)), UsageCharge("c", d(1))]
    found = settle(charges, Commitment(d(10), overage_factor=d(2), true_up=True))
    assert found.portions == (
        Portion("a", d(6), d(6)),
        Portion("b", d(4), d(2)),
        Portion("b", d(8), d(2), is_overage=True),
        Portion("c", d(2), d(0), is_overage=True),
    )
    assert [found.utilized, found.overage, found.total] == [d(10), d(10), d(20)]


def test_units_of_one_price_are_split_by_whole_units() -> None:
    found = settle([UsageCharge("a", d(21), d(7), d(3))], Commitment(d(10), overage_factor=d(2)))
    assert found.portions == (
        Portion("a", d(9), d(3)),
        Portion("a", d(24), d(4), is_overage=True),
    )


def test_a_unit_dearer_than_what_is_left_is_all_overage() -> None:
    found = settle([UsageCharge("a", d(20), d(1), d(20))], Commitment(d(10)))
    assert found.portions == (Portion("a", d(20), d(1), is_overage=True),)


@pytest.mark.parametrize(("over", "expected"), [(True, "4"), (False, "0")])
def test_what_is_missing_is_charged_when_the_period_is_over(*, over: bool, expected: str) -> None:
    promise = Commitment(d(10), true_up=True)
    assert settle([UsageCharge("a", d(6))], promise, period_over=over).true_up == d(expected)


def test_a_commitment_over_periods_shares_what_is_left_and_adds_one_overage() -> None:
    charges = [UsageCharge("a", d(5), d(50)), UsageCharge("b", d(7), d(70))]
    promise = Commitment(d(60), overage_factor=d(2), true_up=True)
    found = settle_cumulative(charges, promise, d(50), last=True)
    assert [p.amount for p in found.portions] == [
        d("4.1666666666666667"),
        d("5.8333333333333333"),
        d(4),
    ]
    assert [p.is_overage for p in found.portions] == [False, False, True]
    assert [found.utilized, found.overage, found.total] == [d(10), d(4), d(14)]
    assert found.true_up == 0


def test_the_last_period_of_a_commitment_is_trued_up() -> None:
    promise = Commitment(d(60), true_up=True)
    charges = [UsageCharge("a", d(4))]
    assert settle_cumulative(charges, promise, d(50), last=True).true_up == 6
    assert settle_cumulative(charges, promise, d(50), last=False).true_up == 0
    assert settle_cumulative([], promise, d(50), last=True).true_up == 10
    assert settle_cumulative([], promise, d(70), last=True).portions == ()


def test_a_true_up_fills_what_was_invoiced() -> None:
    assert true_up(d(1000), d("749.996"), "usd") == d("250.00")
    assert true_up(d(1000), d(2000), "usd") == 0
