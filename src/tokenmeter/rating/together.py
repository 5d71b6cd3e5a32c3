"""Rate a whole subscription: its usage is held against one commitment."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from tokenmeter.rating.adjust import (
    PRICING,
    REDUCING,
    AdjustmentKind,
    Charge,
    Draft,
    Terms,
    rate,
    run,
)
from tokenmeter.rating.aggregation import Measurement
from tokenmeter.rating.commitment import (
    Commitment,
    Portion,
    Settled,
    UsageCharge,
    settle,
    settle_cumulative,
    true_up,
)
from tokenmeter.rating.models import FlatFee
from tokenmeter.rating.price import Price, PriceType
from tokenmeter.rating.rounding import ONE, ZERO, minus, plus

TRUE_UP = "Commitment true-up"


@dataclass(frozen=True, slots=True)
class Demand:
    """What is to be rated: a price, what was used of it, and the terms."""

    price: Price
    usage: Measurement
    terms: Terms | None = None


@dataclass(frozen=True, slots=True)
class Promise:
    """
    A subscription's commitment.

    `prior` is what earlier periods of the commitment used; None when it lasts one period.
    `is_last` says that the commitment ends with this period, so that it is trued up: in its
    `currency`, also where no usage has a price any more.
    """

    commitment: Commitment
    prior: Decimal | None = None
    is_last: bool = True
    currency: str = ""  # that of the usage, where there is any


def rate_together(demands: Sequence[Demand], promise: Promise) -> tuple[Charge, ...]:
    """
    Rate usage against the subscription's commitment, and everything else as `rate` does.

    Fixed items and usage with a commitment of its own stay outside. A charge beyond the
    commitment is followed by an overage charge; a true-up comes last.
    """
    drafts = [_draft(d) for d in demands if _is_inside(d)]
    settled = _settle(drafts, promise)
    outside = [d for d in demands if not _is_inside(d)]
    return (
        *(rate(d.price, d.usage, d.terms) for d in outside),
        *_charges(drafts, settled.portions),
        *_true_up(drafts, settled, promise.currency),
    )


def _is_inside(demand: Demand) -> bool:
    own = demand.terms is not None and demand.terms.commitment is not None
    return demand.price.type is PriceType.USAGE and not own


def _draft(demand: Demand) -> Draft:
    price, usage = demand.price, demand.usage
    terms = demand.terms or Terms()
    return run(PRICING, Draft(price, terms, usage, price.model, usage.value))


def _settle(drafts: Sequence[Draft], promise: Promise) -> Settled:
    charges = [
        UsageCharge(str(index), draft.amount, draft.quantity, _unit_amount(draft))
        for index, draft in enumerate(drafts)
    ]
    if promise.prior is None:
        return settle(charges, promise.commitment, period_over=promise.is_last)
    return settle_cumulative(charges, promise.commitment, promise.prior, last=promise.is_last)


def _unit_amount(draft: Draft) -> Decimal | None:
    return draft.model.amount if isinstance(draft.model, FlatFee) else None


def _charges(drafts: Sequence[Draft], portions: Iterable[Portion]) -> list[Charge]:
    charges: list[Charge] = []
    for portion in portions:
        draft = drafts[int(portion.key)] if portion.key else _last_used(drafts)
        charges.append(_over(draft, portion) if portion.is_overage else _inside(draft, portion))
    return charges


def _last_used(drafts: Sequence[Draft]) -> Draft:
    """Find where the overage of a cumulative commitment stands: one portion for all."""
    return next(d for d in reversed(drafts) if d.amount)


def _inside(draft: Draft, portion: Portion) -> Charge:
    moved = minus(portion.amount, draft.amount)
    draft = replace(draft, quantity=portion.quantity)
    return run(REDUCING, draft.adjusted(AdjustmentKind.COMMITMENT, moved)).charge()


def _over(draft: Draft, portion: Portion) -> Charge:
    bare = replace(
        draft,
        quantity=portion.quantity,
        usage=Measurement(portion.quantity),
        lines=(),
        amount=ZERO,
        adjustments=(),
        terms=Terms(discounts=draft.terms.discounts),
    )
    bare = bare.adjusted(AdjustmentKind.OVERAGE, portion.amount)
    return run(REDUCING, bare).charge(is_overage=True)


def _true_up(drafts: Sequence[Draft], settled: Settled, currency: str) -> tuple[Charge, ...]:
    currency = drafts[0].price.currency if drafts else currency
    if not settled.true_up or not currency:
        return ()
    promised = plus((settled.utilized, settled.true_up))
    missing = true_up(promised, settled.utilized, currency)
    price = Price("", currency, FlatFee(missing), type=PriceType.FIXED, display_name=TRUE_UP)
    return (rate(price, Measurement(ONE)),)
