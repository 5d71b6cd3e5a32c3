"""Prepaid credits: the order they are used in, balances, bonus and expiry."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.rating.made import START, d
from tokenmeter.event import parse_timestamp as at
from tokenmeter.rating.credits import (
    BonusSlab,
    Credit,
    Draw,
    Owed,
    bonus,
    draw,
    expires_at,
    in_order,
    real_time_balance,
    to_amount,
    to_credits,
)
from tokenmeter.rating.errors import OperationError, RatingError

SOON, LATER = START + timedelta(days=1), START + timedelta(days=9)


def test_credits_are_used_by_priority_then_expiry_then_size() -> None:
    held = [
        Credit("last", d(9)),
        Credit("large", d(5), 1),
        Credit("soon", d(1), 1, SOON),
        Credit("small", d(2), 1),
        Credit("later", d(1), 1, LATER),
        Credit("first", d(1), 0, LATER),
        Credit("expired", d(9), 0, START),
        Credit("empty", d(0), 0),
    ]
    order = [c.credit_id for c in in_order(held, START)]
    assert order == ["first", "soon", "later", "large", "small", "last"]
    assert in_order(held[::-1], START) == in_order(held, START)


def test_a_debit_takes_the_credits_in_their_order() -> None:
    held = [Credit("b", d(50)), Credit("a", d(30), 1)]
    assert draw(held, d(70), START) == (Draw("a", d(30)), Draw("b", d(40)))
    assert draw(held, d(30), START) == (Draw("a", d(30)),)


def test_a_debit_beyond_the_credits_is_refused_unless_it_may_overdraw() -> None:
    held = [Credit("a", d(30)), Credit("b", d(5), expires_at=START)]
    with pytest.raises(OperationError, match="not enough") as refused:
        draw(held, d(31), START)
    assert refused.value.code == "invalid_operation"
    assert draw(held, d(31), START, overdraw=True) == (Draw("a", d(30)),)


@pytest.mark.parametrize("amount", ["0", "-1"])
def test_credits_of_zero_or_less_are_refused(amount: str) -> None:
    with pytest.raises(RatingError, match="above 0"):
        draw([], d(amount), START)


@pytest.mark.parametrize(
    ("types", "expected"),
    [((), "915"), (("USAGE",), "915"), (("ALL",), "845"), (("FIXED",), "850")],
)
def test_the_real_time_balance_takes_off_what_the_wallet_may_pay(
    types: tuple[str, ...], expected: str
) -> None:
    owed = Owed(d(5), unpaid_usage=d(110), unpaid_total=d(150), paid_in_part=d(30))
    assert real_time_balance(d(1000), owed, types) == d(expected)
    assert real_time_balance(d(1000), owed, types, post_paid=True) == 1000


def test_credits_are_turned_into_money_and_back() -> None:
    assert to_amount(d(100), d("0.5")) == 50
    assert to_credits(d(1), d(3)) == d("0.3333333333333333")


def test_the_highest_slab_that_is_reached_gives_the_bonus() -> None:
    slabs = [BonusSlab(d(1000), d(10), is_percentage=True), BonusSlab(d(5000), d(750))]
    assert [bonus(slabs, d(n)) for n in (999, 1000, 4999, 5000)] == [0, 100, d("499.9"), 750]


@pytest.mark.parametrize(
    ("duration", "unit", "expected"),
    [
        (3, "DAY", "2026-02-03T12:00:00Z"),
        (3, "WEEK", "2026-02-21T12:00:00Z"),
        (1, "MONTH", "2026-02-28T12:00:00Z"),
        (2, "YEAR", "2028-01-31T12:00:00Z"),
    ],
)
def test_credits_expire_after_their_time(duration: int, unit: str, expected: str) -> None:
    assert expires_at(at("2026-01-31T12:00:00Z"), duration, unit) == at(expected)


def test_credits_without_a_duration_never_expire() -> None:
    assert expires_at(START, None, "DAY") is None
    assert expires_at(START, 3, None) is None
    for unit in ("DAY", "WEEK", "MONTH", "YEAR"):
        assert expires_at(START, 10**9, unit) is None  # calendars end before
    with pytest.raises(RatingError, match="DAY, WEEK"):
        expires_at(START, 3, "DECADE")
