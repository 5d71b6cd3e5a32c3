"""
What units cost. A price returns lines; the amount is their sum.

One walk gives the total, the breakdown and the forecast. Amounts are exact here; money is
rounded once, on the invoice line. A broken price raises when it is made, it never costs 0.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Protocol

from tokenmeter.rating.errors import RatingError
from tokenmeter.rating.rounding import EXACT, ONE, ZERO, divided, minus, plus, times

TIERS_MAX = 1_000
ROUNDS = ("up", "down")


@dataclass(frozen=True, slots=True)
class Line:
    """Some of the units and what they cost."""

    quantity: Decimal
    unit_amount: Decimal
    amount: Decimal  # exact, the flat amount included
    flat_amount: Decimal = ZERO
    tier: int | None = None  # index of the tier; None when the price has no tiers
    packages: Decimal | None = None  # whole packages charged


class Model(Protocol):
    """How a quantity becomes lines: FlatFee, Package, Volume or Slab."""

    def lines(self, quantity: Decimal) -> tuple[Line, ...]:
        """Price a quantity; nothing used is no line."""
        ...

    def bucket_lines(self, quantity: Decimal) -> tuple[Line, ...]:
        """Price one bucket of a bucketed meter."""
        ...

    def scaled(self, rate: Decimal) -> Model:
        """Multiply every amount: from a price unit to its currency."""
        ...


def total(lines: Iterable[Line]) -> Decimal:
    """Add up what the lines cost, exactly."""
    return plus(line.amount for line in lines)


def marginal(model: Model, before: Decimal, quantity: Decimal) -> Decimal:
    """
    Tell what `quantity` more units cost a customer who already used `before`.

    Negative where a volume price falls: with 10¢ up to 1,000 and 5¢ beyond, unit 1,001 costs
    -$49.95, because the 1,000 before it become cheaper.
    """
    return minus(total(model.lines(EXACT.add(before, quantity))), total(model.lines(before)))


@dataclass(frozen=True, slots=True)
class FlatFee:
    """Every unit costs the same: 3 units at $10 are $30."""

    amount: Decimal

    def __post_init__(self) -> None:
        _refuse_negative(self.amount, "amount")

    def lines(self, quantity: Decimal) -> tuple[Line, ...]:
        """Price a quantity in one line; nothing used is no line."""
        if not _used(quantity):
            return ()
        return (Line(quantity, self.amount, times(quantity, self.amount)),)

    def bucket_lines(self, quantity: Decimal) -> tuple[Line, ...]:
        """Price one bucket like any quantity."""
        return self.lines(quantity)

    def scaled(self, rate: Decimal) -> FlatFee:
        """Multiply the amount."""
        return FlatFee(times(self.amount, rate))


@dataclass(frozen=True, slots=True)
class Package:
    """
    Units are sold in packages, and a started one counts (`round` up) or does not (down).

    At $1 for 100, 250 units are 3 packages, $3; rounded down 2, $2.
    """

    amount: Decimal
    divide_by: Decimal
    round: str = "up"

    def __post_init__(self) -> None:
        _refuse_negative(self.amount, "amount")
        if self.divide_by < 1:
            raise RatingError(
                "A PACKAGE price needs transform_quantity.divide_by of at least 1.",
                field="transform_quantity.divide_by",
            )
        if self.round not in ROUNDS:
            raise RatingError(
                "transform_quantity.round is up or down.", field="transform_quantity.round"
            )

    @property
    def unit_amount(self) -> Decimal:
        """What one unit costs in a full package."""
        return divided(self.amount, self.divide_by)

    def lines(self, quantity: Decimal) -> tuple[Line, ...]:
        """Price a quantity in one line, by whole packages; nothing used is no line."""
        if not _used(quantity):
            return ()
        whole, rest = EXACT.divmod(quantity, self.divide_by)
        packages = EXACT.add(whole, ONE if rest and self.round == "up" else ZERO)
        amount = times(packages, self.amount)
        return (Line(quantity, self.unit_amount, amount, packages=packages),)

    def bucket_lines(self, quantity: Decimal) -> tuple[Line, ...]:
        """Price one bucket like any quantity."""
        return self.lines(quantity)

    def scaled(self, rate: Decimal) -> Package:
        """Multiply the amount of a package."""
        return replace(self, amount=times(self.amount, rate))


@dataclass(frozen=True, slots=True)
class Tier:
    """A span of units; it begins where the tier before it ends."""

    unit_amount: Decimal
    up_to: Decimal | None = None  # inclusive; None is open
    flat_amount: Decimal = ZERO  # charged once when the tier is reached

    def __post_init__(self) -> None:
        _refuse_negative(self.unit_amount, "tiers.unit_amount")
        _refuse_negative(self.flat_amount, "tiers.flat_amount")

    def line(self, quantity: Decimal, index: int) -> Line:
        """Price units in this tier, with its flat amount."""
        amount = EXACT.add(times(quantity, self.unit_amount), self.flat_amount)
        return Line(quantity, self.unit_amount, amount, self.flat_amount, index)

    def scaled(self, rate: Decimal) -> Tier:
        """Multiply both amounts."""
        unit_amount, flat_amount = times(self.unit_amount, rate), times(self.flat_amount, rate)
        return Tier(unit_amount, self.up_to, flat_amount)


@dataclass(frozen=True, slots=True)
class Tiered:
    """Tiers that rise without a gap and end open, so that every unit has a price."""

    tiers: tuple[Tier, ...]

    def __post_init__(self) -> None:
        if not 0 < len(self.tiers) <= TIERS_MAX:
            raise RatingError(f"A TIERED price needs 1 to {TIERS_MAX} tiers.", field="tiers")
        below = ZERO
        for index, tier in enumerate(self.tiers[:-1]):
            if tier.up_to is None or tier.up_to <= below:
                raise RatingError(
                    f"Tier {index + 1} must end above {below:f}: tiers rise, and only the last "
                    "one is open.",
                    field=f"tiers[{index}].up_to",
                )
            below = tier.up_to
        if self.tiers[-1].up_to is not None:
            raise RatingError(
                "The last tier must be open (up_to null); units above it would have no price.",
                field=f"tiers[{len(self.tiers) - 1}].up_to",
            )

    def reached(self, quantity: Decimal) -> int:
        """Find the tier in which the last unit lies; a bound belongs to the tier it ends."""
        bounds = (tier.up_to for tier in self.tiers)
        return next(i for i, up_to in enumerate(bounds) if up_to is None or quantity <= up_to)


class Volume(Tiered):
    """
    Price every unit by the tier the total falls in.

    With 10¢ up to 1,000 and 5¢ beyond, 1,000 units cost $100 and 1,001 cost $50.05.
    """

    __slots__ = ()

    def lines(self, quantity: Decimal) -> tuple[Line, ...]:
        """Price a quantity; nothing used is no line."""
        return self.bucket_lines(quantity) if _used(quantity) else ()

    def bucket_lines(self, quantity: Decimal) -> tuple[Line, ...]:
        """Price all units in one tier; an empty bucket costs the first flat amount."""
        index = self.reached(quantity)
        return (self.tiers[index].line(quantity, index),)

    def scaled(self, rate: Decimal) -> Volume:
        """Multiply every amount."""
        return Volume(tuple(tier.scaled(rate) for tier in self.tiers))


class Slab(Tiered):
    """
    Price each unit by the tier it lies in.

    With 10¢ up to 1,000 and 5¢ beyond, 1,000 units cost $100 and 1,001 cost $100.05.
    """

    __slots__ = ()

    def lines(self, quantity: Decimal) -> tuple[Line, ...]:
        """Price a quantity; nothing used is no line."""
        return self.bucket_lines(quantity) if _used(quantity) else ()

    def bucket_lines(self, quantity: Decimal) -> tuple[Line, ...]:
        """Price the units tier by tier; an empty bucket costs the first flat amount."""
        lines: list[Line] = []
        start = ZERO
        for index, tier in enumerate(self.tiers[: self.reached(quantity) + 1]):
            end = quantity if tier.up_to is None else min(quantity, tier.up_to)
            lines.append(tier.line(minus(end, start), index))
            start = end
        return tuple(lines)

    def scaled(self, rate: Decimal) -> Slab:
        """Multiply every amount."""
        return Slab(tuple(tier.scaled(rate) for tier in self.tiers))


def _used(quantity: Decimal) -> bool:
    if quantity < 0:
        raise RatingError("A quantity below 0 has no price.", field="quantity")
    return quantity > 0


def _refuse_negative(amount: Decimal, field: str) -> None:
    if not amount.is_finite() or amount < 0:
        raise RatingError("An amount is a number of at least 0.", field=field)
