"""The CEL subset: what it computes, what it refuses, and that it is bounded."""

from __future__ import annotations

from decimal import Decimal, localcontext

import pytest

from tokenmeter.rating.errors import RatingError
from tokenmeter.rating.expression import PARTS_MAX, Expression, ExpressionError


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a + b * 2", "14"),
        ("(a + b) * 2", "18"),
        ("a - b - 1", "-2"),
        ("a / b / 2", "0.4"),
        ("-a + 10", "6"),
        ("--a", "4"),
        ("a * .5 + 1.5e1", "17"),
        ("a < b ? 1 : 2", "1"),
        ("a <= 4 ? 1 : 2", "1"),
        ("a > b ? 1 : 2", "2"),
        ("a >= 5 ? 1 : 2", "2"),
        ("a == 4 ? 1 : 2", "1"),
        ("a != 4 ? 1 : 2", "2"),
        ("a > 3 && b > 9 ? 1 : 2", "2"),
        ("a > 3 || b > 9 ? 1 : 2", "1"),
        ("!(a > 3) ? 1 : 2", "2"),
        ("(a > 3) == true ? 1 : 2", "1"),
        ("(a > 3) != false ? 1 : 2", "1"),
        ("a > 9 ? 1 : b > 4 ? 2 : 3", "2"),
        ("a == 4 && true ? 1 : 2", "1"),
        ("max(a, b, 7)", "7"),
        ("min(a, b)", "4"),
        ("pow(a, 2)", "16"),
        ("pow(a, 0.5)", "2"),
        ("pow(missing, 0)", "1"),
        ("abs(a - b)", "1"),
        ("ceil(a / 3)", "2"),
        ("floor(a / 3)", "1"),
        ("round(a / 8)", "1"),
        ("round(-a / 8)", "-1"),
        ("sqrt(a)", "2"),
        ("log(missing + 1)", "0"),
        ("missing + a", "4"),
        ("b == 0 ? 0 : a / b", "0.8"),
        ("missing == 0 ? a : a / missing", "4"),
        ("min(a / missing, 10)", "10"),
    ],
)
def test_an_expression_computes_like_cel(source: str, expected: str) -> None:
    assert Expression.of(source).evaluate({"a": 4, "b": "5"}) == Decimal(expected)


@pytest.mark.parametrize(
    "source",
    [
        "a / missing",
        "missing / missing",
        "sqrt(-a)",
        "log(missing)",
        "log(-a)",
        "pow(10, 400) + a",
        "max(missing / missing, a)",
        "min(a, missing / missing)",
        "pow(-a, 0.5)",
        "a * 1e9999",
    ],
)
def test_a_result_that_is_not_finite_raises(source: str) -> None:
    with pytest.raises(ExpressionError, match="no finite value"):
        Expression.of(source).evaluate({"a": 4})


def test_a_comparison_with_nan_is_false() -> None:
    assert Expression.of("missing / missing < a ? 1 : 2").evaluate({"a": 4}) == 2


@pytest.mark.parametrize("value", ["x", "", None, True, "NaN", float("inf"), [1]])
def test_a_property_that_is_not_a_number_raises(value: object) -> None:
    with pytest.raises(ExpressionError, match="'a' is not a number"):
        Expression.of("a + 1").evaluate({"a": value})


@pytest.mark.parametrize(
    ("source", "match"),
    [
        ("", "a number, a property or a function at character 1"),
        ("a +", "character 4"),
        ("a b", "an operator or the end at character 2"),
        ("a % b", "an operator or the end"),
        ("a = b", "an operator or the end"),
        ("1 + 2", "names no property"),
        ("tan(a)", "one of abs, ceil"),
        ("max(a)", "arguments of max"),
        ("pow(a, 1, 2)", "arguments of pow"),
        ("(a", r"'\)'"),
        ("max(a, 1", r"'\)'"),
        ("a > 1 ? 2", "':'"),
        ("a > 1", "a number"),
        ("a ? 1 : 2", "a truth"),
        ("a > 1 ? a > 2 : 3", "a truth"),
        ("a > 1 ? 3 : a > 2", "a number"),
        ("true + a", "a number"),
        ("a && true", "a truth"),
        ("(a > 1) == a", "a truth"),
        ("!a", "a truth"),
        ("-(a > 1)", "a number"),
        ("max(a > 1, 2)", "a number"),
        ("max(1, a > 1)", "a number"),
        ('a + "x"', "a number, a property"),
        ("a.b", "an operator or the end"),
        ("2a", "a number, a property"),
        ("1.2.3 + a", "a number, a property"),
        ("if + 1", "a number, a property"),
        ("a in b", "an operator or the end"),
        ("a" * 2001, "longer than"),
    ],
)
def test_a_mistake_is_refused_with_its_place(source: str, match: str) -> None:
    with pytest.raises(RatingError, match=match) as refused:
        Expression.of(source)
    assert refused.value.field == "aggregation.expression"


@pytest.mark.parametrize(
    "source",
    ["(" * 500 + "a" + ")" * 500, "a" + "+a" * 900, "-" * 1900 + "a", "a > 1 ? " * 200 + "a"],
)
def test_a_deep_or_long_expression_is_refused_before_it_overflows(source: str) -> None:
    with pytest.raises(RatingError, match=f"fewer than {PARTS_MAX}"):
        Expression.of(source)


def test_the_longest_allowed_expression_is_evaluated() -> None:
    source = "a" + "+a" * (PARTS_MAX - 1)
    assert Expression.of(source).evaluate({"a": 2}) == 2 * PARTS_MAX


def test_arithmetic_is_decimal_and_does_not_depend_on_the_ambient_context() -> None:
    with localcontext(prec=2):
        assert Expression.of("a + 0.2").evaluate({"a": 0.1}) == Decimal("0.3")
        assert Expression.of("a * 3").evaluate({"a": 333_333}) == 999_999


def test_names_are_listed_once_and_in_order() -> None:
    assert Expression.of("b + a * b + max(c, a)").names == ("b", "a", "c")
