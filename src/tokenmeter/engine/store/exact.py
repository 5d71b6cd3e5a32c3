"""Exact numbers from stored text, and the aggregates that keep them exact inside SQLite."""

from __future__ import annotations

import re
from decimal import Context, Decimal

from tokenmeter.usage import Number

# A number has at most NUMBER_TEXT_MAX characters and an exponent within +-EXPONENT_MAX, so a
# sum of any number of rows fits SUM_DIGITS without rounding.
NUMBER_TEXT_MAX = 64
EXPONENT_MAX = 64
SUM_DIGITS = 256

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?", re.ASCII)
_EXACT = Context(prec=SUM_DIGITS)
_QUOTIENT = Context(prec=34)


def number(text: object) -> Number | None:
    """Return the number that `text` writes, or None: `12`, `0.17`, `1e-6`; not NaN, not ""."""
    if isinstance(text, int):
        return text
    written = str(text)
    if len(written) > NUMBER_TEXT_MAX or not _NUMBER.fullmatch(written):
        return None
    if written.isdigit():
        return int(written)
    exact = Decimal(written)
    return exact if -EXPONENT_MAX <= exact.adjusted() <= EXPONENT_MAX else None


def add(left: Number, right: Number) -> Number:
    """Add without rounding; two ints stay an int."""
    if isinstance(left, int) and isinstance(right, int):
        return left + right
    return _EXACT.add(left, right)


def divide(total: Number, count: int) -> Decimal:
    """Divide, to 34 digits."""
    return _QUOTIENT.divide(total, count)


def plus(left: object, right: object) -> str | None:
    """SQLite function: add two sums, either of which may be NULL."""
    if left is None or right is None:
        told = right if left is None else left
        return None if told is None else str(told)
    return str(_EXACT.add(Decimal(str(left)), Decimal(str(right))))


class ExactSum:
    """SQLite aggregate: the sum of the numbers among the values, as text; NULL if none is."""

    def __init__(self) -> None:
        self._total: Number | None = None

    def step(self, value: object) -> None:
        """Take the next value; what is no number is left out."""
        exact = number(value)
        if exact is not None:
            self._total = exact if self._total is None else add(self._total, exact)

    def finalize(self) -> str | None:
        """Return the result for SQLite."""
        return None if self._total is None else str(self._total)


class ExactMax:
    """SQLite aggregate: the largest number among the values, as text; NULL if none is."""

    def __init__(self) -> None:
        self._largest: Number | None = None

    def step(self, value: object) -> None:
        """Take the next value; what is no number is left out."""
        exact = number(value)
        if exact is not None and (self._largest is None or exact > self._largest):
            self._largest = exact

    def finalize(self) -> str | None:
        """Return the result for SQLite."""
        return None if self._largest is None else str(self._largest)
