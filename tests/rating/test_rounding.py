"""Numbers are read exactly, and money is rounded once."""

from __future__ import annotations

from decimal import Decimal, Inexact, localcontext

import pytest

from tests.rating.made import d
from tokenmeter.rating.rounding import (
    QUANTITY_MAX,
    allocated,
    divided,
    minus,
    number,
    plain,
    plus,
    quantity,
    rounded,
    rounded_down,
    times,
    trimmed,
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (7, "7"),
        (0.1, "0.1"),
        (1e21, "1e21"),
        ("100.25", "100.25"),
        (" 5 ", "5"),
        ("-1e3", "-1000"),
        (".5", "0.5"),
        (Decimal("2.50"), "2.50"),
        (0, "0"),
        ("1e308", "1e308"),
    ],
)
def test_a_number_is_read_as_it_was_written(value: object, expected: str) -> None:
    assert number(value) == Decimal(expected)


@pytest.mark.parametrize(
    "value",
    [
        *(None, True, False, "", "abc", "1_000", "NaN", "Infinity", "0x10", "\u0661"),
        *([1], {"a": 1}, float("nan"), float("inf"), Decimal("NaN")),
        *("1e9999", "9" * 401, "1e-400", 10**400),
    ],
)
def test_what_is_not_a_finite_number_is_none(value: object) -> None:
    assert number(value) is None


def test_a_quantity_has_fifteen_places_and_is_not_negative() -> None:
    assert quantity(d("1.0000000000000005")) == d("1.000000000000001")
    assert quantity(d(-3)) == 0
    assert quantity(QUANTITY_MAX) == QUANTITY_MAX
    assert quantity(QUANTITY_MAX + 1) is None


@pytest.mark.parametrize(
    ("amount", "currency", "expected"),
    [
        ("10.275", "usd", "10.28"),
        ("-10.275", "usd", "-10.28"),
        ("0.004", "usd", "0.00"),
        ("1000.5", "jpy", "1001"),
        ("1.0005", "KWD", "1.001"),
        ("1.00005", "clf", "1.0001"),
    ],
)
def test_money_is_rounded_half_away_from_zero(amount: str, currency: str, expected: str) -> None:
    assert str(rounded(d(amount), currency)) == expected


def test_what_can_be_paid_is_rounded_down() -> None:
    assert rounded_down(d("9.999"), "usd") == d("9.99")


def test_arithmetic_does_not_depend_on_the_ambient_context() -> None:
    many = [d("0.000000000000001"), d("99999999999999999999.123456789012345")]
    with localcontext(prec=3):
        assert plus(many) == d("99999999999999999999.123456789012346")
        assert minus(many[1], many[0]) == d("99999999999999999999.123456789012344")
        assert times(d("1.0000000001"), d("1.0000000001")) == d("1.00000000020000000001")
        assert rounded(d("1234567.891"), "usd") == d("1234567.89")
        assert divided(d(1), d(3)) == d("0.3333333333333333")


def test_a_product_that_cannot_be_exact_is_an_error_and_not_a_rounded_amount() -> None:
    long = Decimal("1." + "1" * 600)
    with pytest.raises(Inexact):
        times(long, long)


@pytest.mark.parametrize(
    ("value", "expected"), [("2.500", "2.5"), ("1E+3", "1000"), ("0.00", "0"), ("-0", "0")]
)
def test_equal_amounts_are_equal_bytes(value: str, expected: str) -> None:
    assert plain(d(value)) == expected


def test_trimming_never_writes_an_exponent() -> None:
    assert str(trimmed(d("12E+2"))) == "1200"
    assert str(trimmed(d("1.10"))) == "1.1"


@pytest.mark.parametrize(
    ("amount", "weights", "expected"),
    [
        ("10.00", "1 1 1", "3.34 3.33 3.33"),
        ("-10.00", "1 1 1", "-3.34 -3.33 -3.33"),
        ("0.05", "1 0 3", "0.01 0.00 0.04"),
        ("1.00", "0 0", "1.00 0"),
        ("0.01", "5", "0.01"),
    ],
)
def test_a_split_amount_adds_up(amount: str, weights: str, expected: str) -> None:
    parts = allocated(d(amount), [d(w) for w in weights.split()], "usd")
    assert parts == tuple(d(e) for e in expected.split())
    assert plus(parts) == d(amount)


def test_nothing_to_split_over_gives_no_parts() -> None:
    assert allocated(d(1), [], "usd") == ()
