"""
From a measured quantity to a charge, in one stated order of steps.

convert → allowance → price → share → commitment → discount → maximum → minimum → credits → round

Each step takes a draft and returns the next one; what it changes in money it writes down, so
that the lines and the adjustments add up to the amount.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum

from tokenmeter.rating.aggregation import Measurement
from tokenmeter.rating.commitment import Commitment, commit
from tokenmeter.rating.entitlement import Entitlement
from tokenmeter.rating.errors import RatingError
from tokenmeter.rating.models import Line, Model, total
from tokenmeter.rating.price import Price
from tokenmeter.rating.rounding import (
    ONE,
    ZERO,
    divided,
    minus,
    plus,
    rounded,
    rounded_down,
    times,
)

HUNDRED = Decimal(100)


class AdjustmentKind(StrEnum):
    """Why the amount is not the sum of the lines."""

    PRORATION = "proration"
    COMMITMENT = "commitment"  # moved to the overage line
    OVERAGE = "overage"
    TRUE_UP = "true_up"
    DISCOUNT = "discount"
    MAXIMUM = "maximum"
    MINIMUM = "minimum"
    CREDIT = "credit"
    ROUNDING = "rounding"


@dataclass(frozen=True, slots=True)
class Adjustment:
    """What a step added to the amount; below 0 it took something off."""

    kind: AdjustmentKind
    amount: Decimal
    name: str = ""


@dataclass(frozen=True, slots=True)
class Discount:
    """A percentage or a fixed amount off; it never takes off more than there is."""

    value: Decimal
    is_percentage: bool = False
    name: str = ""

    def __post_init__(self) -> None:
        if self.value < 0:
            raise RatingError("A discount is at least 0.", field="discount")

    def off(self, amount: Decimal, currency: str) -> Decimal:
        """Tell what is taken off an amount, rounded."""
        full = divided(times(amount, self.value), HUNDRED) if self.is_percentage else self.value
        return max(ZERO, min(rounded(full, currency), amount))


@dataclass(frozen=True, slots=True)
class Tax:
    """A tax on the discounted amount: a percentage, or a fixed amount."""

    value: Decimal
    is_percentage: bool = True
    name: str = ""

    def on(self, amount: Decimal, currency: str) -> Decimal:
        """Tell the tax, rounded; several taxes are rounded each before they are added."""
        full = divided(times(amount, self.value), HUNDRED) if self.is_percentage else self.value
        return rounded(full, currency)


@dataclass(frozen=True, slots=True)
class Terms:
    """What a customer's contract does to a price; amounts are in the price's currency."""

    entitlement: Entitlement | None = None
    usage_windows: tuple[Decimal, ...] | None = None  # see Entitlement.billable
    used_before: Decimal = ZERO
    share: Decimal = ONE  # of the period that a fixed item was active in
    commitment: Commitment | None = None
    committed_before: Decimal = ZERO  # what was used of the commitment
    discounts: tuple[Discount, ...] = ()
    maximum: Decimal | None = None
    minimum: Decimal | None = None
    credits: Decimal = ZERO  # prepaid credits that may be used here, as money


@dataclass(frozen=True, slots=True)
class Draft:
    """A charge on its way through the steps."""

    price: Price
    terms: Terms
    usage: Measurement
    model: Model
    quantity: Decimal
    lines: tuple[Line, ...] = ()
    amount: Decimal = ZERO
    adjustments: tuple[Adjustment, ...] = ()

    def adjusted(self, kind: AdjustmentKind, amount: Decimal, name: str = "") -> Draft:
        """Add an amount and write down why; 0 leaves the draft as it is."""
        if not amount:
            return self
        entry = Adjustment(kind, amount, name)
        return replace(
            self,
            amount=plus((self.amount, amount)),
            adjustments=(*self.adjustments, entry),
        )

    def charge(self, *, is_overage: bool = False) -> Charge:
        """Make the finished draft a charge."""
        return Charge(
            self.price,
            self.usage.value,
            self.quantity,
            self.lines,
            self.adjustments,
            self.amount,
            is_overage,
        )


@dataclass(frozen=True, slots=True)
class Charge:
    """What a customer owes for one price: the lines and adjustments add up to the amount."""

    price: Price
    usage: Decimal  # measured
    quantity: Decimal  # billed, after the allowance
    lines: tuple[Line, ...]
    adjustments: tuple[Adjustment, ...]
    amount: Decimal  # rounded to the currency
    is_overage: bool = False  # beyond a subscription's commitment

    @property
    def included(self) -> Decimal:
        """Units that were used and not billed."""
        return max(ZERO, minus(self.usage, self.quantity))

    @property
    def unit_amount(self) -> Decimal:
        """What a billed unit costs on average, before adjustments; 0 when none is billed."""
        return divided(total(self.lines), self.quantity) if self.quantity else ZERO

    def paid(self, credits_left: Decimal) -> Charge:
        """Pay from prepaid money, cut to the currency's exponent, at most what is owed."""
        currency = self.price.currency
        part = max(ZERO, min(rounded_down(max(ZERO, credits_left), currency), self.amount))
        if not part:
            return self
        entry = Adjustment(AdjustmentKind.CREDIT, part.copy_negate())
        return replace(
            self, amount=minus(self.amount, part), adjustments=(*self.adjustments, entry)
        )

    @property
    def unrounded(self) -> Decimal:
        """What the lines and adjustments add up to before the rounding."""
        return minus(self.amount, self.adjusted_by(AdjustmentKind.ROUNDING))

    def adjusted_by(self, *kinds: AdjustmentKind) -> Decimal:
        """Add up the adjustments of some kinds."""
        return plus(a.amount for a in self.adjustments if a.kind in kinds)


Step = Callable[[Draft], Draft]


def rate(price: Price, usage: Measurement, terms: Terms | None = None) -> Charge:
    """Rate what a meter measured, or the number of a fixed item: run the steps in their order."""
    quantity = max(usage.value, price.min_quantity)
    draft = Draft(price, terms or Terms(), usage, price.model, quantity)
    return run(STEPS, draft).charge()


def run(steps: Iterable[Step], draft: Draft) -> Draft:
    """Take a draft through some of the steps."""
    for step in steps:
        draft = step(draft)
    return draft


def convert(draft: Draft) -> Draft:
    """Bring amounts in a price unit into the currency, not rounded."""
    return replace(draft, model=draft.price.money_model)


def allow(draft: Draft) -> Draft:
    """Take off included usage; what is left of a bucketed meter is priced as one quantity."""
    terms = draft.terms
    if terms.entitlement is None or not terms.entitlement.is_enabled:
        return draft
    billable = terms.entitlement.billable(
        draft.usage.value, windows=terms.usage_windows, before=terms.used_before
    )
    return replace(draft, quantity=billable, usage=Measurement(draft.usage.value))


def cost(draft: Draft) -> Draft:
    """Price the quantity, or each bucket by itself."""
    buckets = draft.usage.buckets
    if buckets is None:
        lines = draft.model.lines(draft.quantity)
    else:
        lines = tuple(line for b in buckets for line in draft.model.bucket_lines(b.value))
    return replace(draft, lines=lines, amount=total(lines))


def prorate(draft: Draft) -> Draft:
    """Charge a fixed item for its share of the period."""
    rest = minus(times(draft.amount, draft.terms.share), draft.amount)
    return draft.adjusted(AdjustmentKind.PRORATION, rest)


def hold(draft: Draft) -> Draft:
    """Hold the cost against the line's commitment: overage above it, true-up below it."""
    terms = draft.terms
    if terms.commitment is None:
        return draft
    held = commit(draft.amount, terms.commitment, draft.model, terms.committed_before)
    extra = minus(held.charge, draft.amount, held.true_up)
    draft = draft.adjusted(AdjustmentKind.OVERAGE, extra)
    return draft.adjusted(AdjustmentKind.TRUE_UP, held.true_up)


def discount(draft: Draft) -> Draft:
    """Take off the discounts one after the other, each rounded."""
    for each in draft.terms.discounts:
        off = each.off(draft.amount, draft.price.currency)
        draft = draft.adjusted(AdjustmentKind.DISCOUNT, off.copy_negate(), each.name)
    return draft


def cap(draft: Draft) -> Draft:
    """Charge at most the maximum."""
    limit = draft.terms.maximum
    if limit is None or draft.amount <= limit:
        return draft
    return draft.adjusted(AdjustmentKind.MAXIMUM, minus(limit, draft.amount))


def lift(draft: Draft) -> Draft:
    """Charge at least the minimum."""
    least = draft.terms.minimum
    if least is None or draft.amount >= least:
        return draft
    return draft.adjusted(AdjustmentKind.MINIMUM, minus(least, draft.amount))


def redeem(draft: Draft) -> Draft:
    """Pay from prepaid credits, at most what the line will be when it is rounded."""
    due = rounded(draft.amount, draft.price.currency)
    paid = max(ZERO, min(rounded_down(draft.terms.credits, draft.price.currency), due))
    return draft.adjusted(AdjustmentKind.CREDIT, paid.copy_negate())


def finish(draft: Draft) -> Draft:
    """Round once, to the currency."""
    amount = rounded(draft.amount, draft.price.currency)
    draft = draft.adjusted(AdjustmentKind.ROUNDING, minus(amount, draft.amount))
    return replace(draft, amount=amount)


PRICING: tuple[Step, ...] = (convert, allow, cost, prorate)
REDUCING: tuple[Step, ...] = (discount, cap, lift, redeem, finish)
STEPS: tuple[Step, ...] = (*PRICING, hold, *REDUCING)


def tax_total(taxes: Iterable[Tax], amount: Decimal, currency: str) -> Decimal:
    """Add up taxes on one amount, each rounded first."""
    return plus(tax.on(amount, currency) for tax in taxes)
