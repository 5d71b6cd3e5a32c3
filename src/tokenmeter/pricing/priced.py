"""What pricing answers: an amount with its source and its lines, or the reason for none."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, NamedTuple

from tokenmeter.usage import Number

CostSource = Literal["computed", "reported", "unpriced"]

# A Line before it is asked for: a bare tuple costs a tenth of a named one.
Part = tuple[str, Number, Decimal, int, Decimal]


class Line(NamedTuple):
    """One part of a cost: `quantity` of `metric` at `rate` USD for each `per` of them."""

    metric: str
    quantity: Number
    rate: Decimal
    per: int
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Priced:
    """
    What the provider bills for one event, in USD.

    `cost` is what the price lists say (the sum of `lines`), or what the provider reported, or
    None: unpriced. `reason` says why it is unpriced, or what was assumed. Beside a reported cost
    stand the `computed` one and `drift`, their ratio, if it is further from 1 than DRIFT_MAX.
    """

    cost: Decimal | None
    source: CostSource
    version: str
    reason: str | None = None
    parts: tuple[Part, ...] = ()
    model: str | None = None  # the price book's own name of what was priced
    computed: Decimal | None = None
    drift: str | None = None

    @property
    def lines(self) -> tuple[Line, ...]:
        """The computed cost, part by part."""
        return tuple(Line(*part) for part in self.parts)


def unpriced(version: str, reason: str) -> Priced:
    """Say that there is no price, and why: a visible state, never 0."""
    return Priced(None, "unpriced", version, reason)


def amount_text(amount: Decimal) -> str:
    """Write an amount plainly, without exponent or trailing zeros: ``0.17``."""
    text = format(amount, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
