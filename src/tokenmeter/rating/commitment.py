"""A minimum that a customer has promised to use, and what is charged above and below it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from tokenmeter.rating.errors import RatingError
from tokenmeter.rating.models import Model, total
from tokenmeter.rating.rounding import EXACT, ONE, ZERO, divided, minus, plus, rounded, times


class CommitmentType(StrEnum):
    """What is promised: money, or units that the price turns into money."""

    AMOUNT = "amount"
    QUANTITY = "quantity"


def commitment_type_of(name: str) -> CommitmentType:
    """Read a commitment type."""
    try:
        return CommitmentType(name)
    except ValueError:
        raise RatingError(
            "A commitment is of type amount or quantity.", field="commitment_type"
        ) from None


@dataclass(frozen=True, slots=True)
class Commitment:
    """What is promised; usage above it costs `overage_factor` times its price."""

    value: Decimal
    type: CommitmentType = CommitmentType.AMOUNT
    overage_factor: Decimal = ONE
    true_up: bool = False  # charge the whole promise when less was used

    def __post_init__(self) -> None:
        if self.value <= 0:
            raise RatingError("A commitment is above 0.", field="commitment_amount")
        if self.overage_factor < 1:
            raise RatingError("An overage factor is at least 1.", field="overage_factor")

    def amount(self, model: Model) -> Decimal:
        """Give the promise as money."""
        return self.value if self.type is CommitmentType.AMOUNT else total(model.lines(self.value))


@dataclass(frozen=True, slots=True)
class Committed:
    """What a commitment makes of a cost."""

    charge: Decimal
    utilized: Decimal
    overage: Decimal = ZERO
    true_up: Decimal = ZERO


def commit(
    cost: Decimal, commitment: Commitment, model: Model, used_before: Decimal = ZERO
) -> Committed:
    """
    Charge one line item against its commitment, or what of it was not used before.

    Of $15 with $10 promised at a factor of 1.5, $17.50 are charged: 10 + 5 x 1.5.
    """
    promised = max(ZERO, minus(commitment.amount(model), used_before))
    if cost > promised:
        overage = times(minus(cost, promised), commitment.overage_factor)
        return Committed(EXACT.add(promised, overage), promised, overage)
    if commitment.true_up:
        return Committed(promised, cost, true_up=minus(promised, cost))
    return Committed(cost, cost)


def commit_windows(
    values: Iterable[Decimal], commitment: Commitment, model: Model
) -> tuple[Committed, ...]:
    """Charge each window of a line item against the commitment by itself."""
    return tuple(commit(total(model.lines(value)), commitment, model) for value in values)


@dataclass(frozen=True, slots=True)
class UsageCharge:
    """One usage charge of a subscription; `unit_amount` where every unit costs the same."""

    key: str
    amount: Decimal
    quantity: Decimal = ZERO
    unit_amount: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Portion:
    """A part of a charge: within the commitment, or above it with the factor applied."""

    key: str
    amount: Decimal
    quantity: Decimal = ZERO
    is_overage: bool = False


@dataclass(frozen=True, slots=True)
class Settled:
    """A subscription's usage charges, held against its commitment."""

    portions: tuple[Portion, ...]
    utilized: Decimal
    overage: Decimal
    true_up: Decimal

    @property
    def total(self) -> Decimal:
        """What is owed: the portions and the true-up."""
        return EXACT.add(plus(p.amount for p in self.portions), self.true_up)


def settle(
    charges: Sequence[UsageCharge], commitment: Commitment, *, period_over: bool = True
) -> Settled:
    """
    Hold a subscription's charges against its commitment, in their order.

    The charge that crosses it is split: units of one price by whole units, all others by
    amount. The promise that is left is trued up when the period is over.
    """
    left = commitment.value
    portions: list[Portion] = []
    for charge in charges:
        inside = _inside(charge, left)
        left = minus(left, charge.amount) if charge.amount <= left else ZERO
        portions += _split(charge, inside, commitment.overage_factor)
    return _settled(portions, commitment, period_over=period_over)


def settle_cumulative(
    charges: Sequence[UsageCharge], commitment: Commitment, prior: Decimal, *, last: bool
) -> Settled:
    """
    Hold a period's charges against a commitment that runs over several periods.

    `prior` is what earlier periods used. What is left of the promise is shared by the charges
    by amount, the overage is one portion, and the true-up waits for the last period.
    """
    used = plus(c.amount for c in charges)
    left = max(ZERO, minus(commitment.value, prior))
    inside = min(used, left)
    portions = [_share(c, inside, used) for c in (charges if used else ())]
    above = minus(used, inside)
    overage = times(above, commitment.overage_factor)
    if above:
        portions.append(Portion("", overage, is_overage=True))
    missing = minus(left, inside) if last and commitment.true_up else ZERO
    return Settled(tuple(portions), inside, overage, missing)


def true_up(commitment: Decimal, used: Decimal, currency: str) -> Decimal:
    """
    Give the line that fills a commitment up; both amounts are rounded first.

    Of 10,000 JPY with 8,500.5 used 1,499 are missing, because 8,501 were invoiced.
    """
    return max(ZERO, minus(rounded(commitment, currency), rounded(used, currency)))


def _share(charge: UsageCharge, inside: Decimal, used: Decimal) -> Portion:
    amount = divided(times(charge.amount, inside), used)
    return Portion(charge.key, amount, divided(times(charge.quantity, inside), used))


def _inside(charge: UsageCharge, left: Decimal) -> Decimal:
    if charge.amount <= left:
        return charge.amount
    if not charge.unit_amount:
        return left
    return times(EXACT.divide_int(left, charge.unit_amount), charge.unit_amount)


def _split(charge: UsageCharge, inside: Decimal, factor: Decimal) -> list[Portion]:
    above = minus(charge.amount, inside)
    if not above:
        return [Portion(charge.key, charge.amount, charge.quantity)]
    units = divided(times(charge.quantity, inside), charge.amount)
    rest = minus(charge.quantity, units)
    over = Portion(charge.key, times(above, factor), rest, is_overage=True)
    return [Portion(charge.key, inside, units), over] if inside else [over]


def _settled(portions: Sequence[Portion], commitment: Commitment, *, period_over: bool) -> Settled:
    utilized = plus(p.amount for p in portions if not p.is_overage)
    overage = plus(p.amount for p in portions if p.is_overage)
    fill = commitment.true_up and period_over and not overage
    missing = minus(commitment.value, utilized) if fill else ZERO
    return Settled(tuple(portions), utilized, overage, missing)
