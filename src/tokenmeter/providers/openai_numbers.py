"""Numbers of the wire that need not be whole: money and seconds, exactly as they were written."""

from __future__ import annotations

import math
import re
from decimal import Decimal

from tokenmeter.usage import Number

_SECONDS_MAX = 10**9
_INT_MAX = 10**18
_NUMBER = re.compile(r"\d{1,12}(\.\d{1,18})?(e-\d{1,2})?", re.ASCII)


def decimal(value: object) -> Decimal | None:
    """Return a number that is not negative, exactly as the JSON had it; None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return Decimal(value) if 0 <= value <= _INT_MAX else None
    if isinstance(value, float):
        return _from_float(value)
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return Decimal(value)
    return None


def _from_float(value: float) -> Decimal | None:
    """The shortest text that names this float is what the JSON had, up to 17 digits."""
    return Decimal(repr(value)) if math.isfinite(value) and 0 <= value <= _INT_MAX else None


def seconds(value: object) -> Number | None:
    """Return a length in seconds, exactly as it was written, or None if `value` is not one."""
    number = decimal(value)
    if number is None or number > _SECONDS_MAX:
        return None
    return int(number) if number == int(number) else number
