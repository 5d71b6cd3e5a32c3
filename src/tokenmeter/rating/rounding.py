"""Exact decimal arithmetic: reading numbers, adding, dividing, and the one rounding to money."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from decimal import (
    ROUND_DOWN,
    ROUND_HALF_EVEN,
    ROUND_HALF_UP,
    Context,
    Decimal,
    DivisionByZero,
    Inexact,
    InvalidOperation,
    Overflow,
)

from tokenmeter.money import minor_units

ZERO = Decimal(0)
ONE = Decimal(1)
DIVISION_PLACES = 16  # fractional digits of a quotient
SHARE_PLACES = 40  # fractional digits of a share before it is cut
QUANTITY_PLACES = 15  # fractional digits of a metered quantity
QUANTITY_MAX = Decimal("1e25")  # inclusive
NUMBER_CHARS_MAX = 400
NUMBER_EXPONENT_MAX = 330  # beyond the range of a double on both sides

# Sums and products of money: 1,000 digits, and an error rather than a rounded result.
EXACT = Context(
    prec=1_000,
    rounding=ROUND_HALF_EVEN,
    traps=[InvalidOperation, DivisionByZero, Overflow, Inexact],
)
# Where a result may be rounded: to places, to a currency, or a quotient.
ROUNDING = Context(
    prec=400, rounding=ROUND_HALF_UP, traps=[InvalidOperation, DivisionByZero, Overflow]
)
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,4})?", re.ASCII)


def number(value: object) -> Decimal | None:
    """Read a JSON value as an exact decimal; None for what is not a finite number."""
    if isinstance(value, bool):
        return None
    if isinstance(value, float):
        # repr is the shortest text that means this float: what the sender wrote.
        return number(repr(value))
    if isinstance(value, str):
        text = value.strip()
        known = len(text) <= NUMBER_CHARS_MAX and _NUMBER.fullmatch(text)
        return _sane(Decimal(text)) if known else None
    return _sane(Decimal(value)) if isinstance(value, int | Decimal) else None


def _sane(value: Decimal) -> Decimal | None:
    if not value.is_finite():
        return None
    return value if abs(value.adjusted()) <= NUMBER_EXPONENT_MAX or not value else None


def quantity(value: Decimal) -> Decimal | None:
    """Cut a number to a metered quantity: at least 0, 15 places; None when it is too large."""
    if value > QUANTITY_MAX:
        return None
    cut = at_places(max(value, ZERO), QUANTITY_PLACES)
    return value if cut == value else cut


def plus(amounts: Iterable[Decimal]) -> Decimal:
    """Add exactly."""
    total = ZERO
    for amount in amounts:
        total = EXACT.add(total, amount)
    return total


def minus(amount: Decimal, *others: Decimal) -> Decimal:
    """Subtract exactly."""
    return EXACT.subtract(amount, plus(others))


def times(amount: Decimal, factor: Decimal) -> Decimal:
    """Multiply exactly."""
    return EXACT.multiply(amount, factor)


def divided(amount: Decimal, divisor: Decimal, places: int = DIVISION_PLACES) -> Decimal:
    """Divide and keep `places` fractional digits, the half away from zero."""
    return trimmed(at_places(ROUNDING.divide(amount, divisor), places))


def at_places(value: Decimal, places: int) -> Decimal:
    """Round to `places` fractional digits, the half away from zero."""
    return ROUNDING.quantize(value, ONE.scaleb(-places))


def rounded(amount: Decimal, currency: str) -> Decimal:
    """
    Round to the currency's own exponent, the half away from zero.

    10.275 USD is 10.28, 1000.5 JPY is 1001.
    """
    return at_places(amount, minor_units(currency))


def rounded_down(amount: Decimal, currency: str) -> Decimal:
    """Cut to the currency's own exponent: what can be paid from an amount of at least 0."""
    return amount.quantize(ONE.scaleb(-minor_units(currency)), ROUND_DOWN, ROUNDING)


def trimmed(value: Decimal) -> Decimal:
    """Drop trailing zeros, never into exponent form: 2.500 is 2.5, 1E+3 is 1000."""
    value = value.normalize(ROUNDING)
    exponent = value.as_tuple().exponent
    return ROUNDING.quantize(value, ONE) if isinstance(exponent, int) and exponent > 0 else value


def plain(value: Decimal) -> str:
    """Write a decimal in its one shortest form, so that equal amounts are equal bytes."""
    return format(trimmed(value), "f") if value else "0"


def allocated(amount: Decimal, weights: Sequence[Decimal], currency: str) -> tuple[Decimal, ...]:
    """
    Split an amount by weight into rounded parts that add up to it.

    Each part is cut to the currency's exponent; what is left over goes, unit by unit, to the
    largest remainders, the earlier part first. 10.00 by 1:1:1 is 3.34, 3.33, 3.33.
    """
    whole = plus(weights)
    goal = rounded(amount, currency)
    if whole <= 0:
        return (goal, *([ZERO] * (len(weights) - 1))) if weights else ()
    unit = ONE.scaleb(-minor_units(currency))
    shares = [divided(times(goal, weight), whole, SHARE_PLACES) for weight in weights]
    parts = [share.quantize(unit, ROUND_DOWN, ROUNDING) for share in shares]
    left = minus(goal, *parts)
    order = sorted(
        range(len(parts)), key=lambda i: (minus(parts[i], shares[i]).copy_abs().copy_negate(), i)
    )
    for i in order[: int(divided(left.copy_abs(), unit))]:
        parts[i] = EXACT.add(parts[i], unit.copy_sign(left))
    return tuple(parts)
