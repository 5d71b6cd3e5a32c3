"""What pricing answers: an amount with its source and its lines, or the reason for none."""

from __future__ import annotations

from decimal import Context, Decimal
from typing import Literal, NamedTuple

from tokenmeter.usage import Number

# Amounts do not depend on the decimal context of the caller's thread.
AMOUNTS = Context(prec=28)
WIDE = Context(prec=60)  # for differences and ratios of amounts and quantities within our bounds

CostSource = Literal["computed", "reported", "unpriced"]
DRIFT_MAX = Decimal("0.05")  # reported and computed cost may differ by 5 % of the computed one
_RATIO = Decimal("0.0001")

# A Line before it is asked for: a bare tuple costs a tenth of a named one.
Part = tuple[str, Number, Decimal, int, Decimal]


class Line(NamedTuple):
    """One part of a cost: `quantity` of `metric` at `rate` USD for each `per` of them."""

    metric: str
    quantity: Number
    rate: Decimal
    per: int
    amount: Decimal


class Priced(NamedTuple):
    """
    What the provider bills for one event, in USD.

    `computed` is what the price lists say, the sum of `lines`; `reported` what the provider says
    itself. `cost` is the reported one, else the computed one, else None: unpriced. `reason` says
    why nothing could be computed, or what was assumed.
    """

    computed: Decimal | None
    version: str  # of the price book
    reason: str | None = None
    parts: tuple[Part, ...] = ()
    model: str | None = None  # the price book's own name of what was priced
    reported: Decimal | None = None

    @property
    def cost(self) -> Decimal | None:
        """What to book: the reported cost, else the computed one; None is unpriced."""
        return self.computed if self.reported is None else self.reported

    @property
    def source(self) -> CostSource:
        """Where the cost is from."""
        if self.reported is not None:
            return "reported"
        return "unpriced" if self.computed is None else "computed"

    @property
    def lines(self) -> tuple[Line, ...]:
        """The computed cost, part by part."""
        return tuple(Line(*part) for part in self.parts)

    @property
    def drift(self) -> str | None:
        """
        Return reported / computed, to four places, if they differ by more than DRIFT_MAX.

        1.05 for 1 is no drift; 1.0501 is "1.0501"; anything for 0 is "Infinity".
        """
        if self.reported is None or self.computed is None or self.reported == self.computed:
            return None
        if not self.computed:
            return "Infinity"
        ratio = AMOUNTS.divide(self.reported, self.computed)
        if abs(AMOUNTS.subtract(ratio, Decimal(1))) <= DRIFT_MAX:
            return None
        return str(ratio.quantize(_RATIO, context=WIDE))


def amount_text(amount: Decimal) -> str:
    """Write an amount plainly, without exponent or trailing zeros: ``0.17``."""
    text = format(amount, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
