"""The rules of prepaid credits: order of use, real-time balance, bonus, expiry. No ledger."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from tokenmeter.rating.errors import OperationError, RatingError
from tokenmeter.rating.rounding import ZERO, divided, minus, plus, times
from tokenmeter.rating.windows import add_months

HUNDRED = Decimal(100)
_FAR = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Credit:
    """What is left of one grant or top-up."""

    credit_id: str
    amount: Decimal
    priority: int | None = None  # the lowest is used first, None last
    expires_at: datetime | None = None  # exclusive


@dataclass(frozen=True, slots=True)
class Draw:
    """What is taken from one credit."""

    credit_id: str
    amount: Decimal


def in_order(held: Iterable[Credit], at: datetime) -> tuple[Credit, ...]:
    """Order the usable credits: by priority, then by expiry, then the largest first."""
    usable = (c for c in held if c.amount > 0 and not (c.expires_at and c.expires_at <= at))
    return tuple(sorted(usable, key=_urgency))


def _urgency(credit: Credit) -> tuple[object, ...]:
    last = credit.priority is None
    return (
        last,
        credit.priority or 0,
        credit.expires_at or _FAR,
        credit.amount.copy_negate(),
        credit.credit_id,
    )


def draw(
    held: Iterable[Credit], amount: Decimal, at: datetime, *, overdraw: bool = False
) -> tuple[Draw, ...]:
    """
    Take an amount of credits in their order.

    When they do not suffice OperationError is raised; a manual debit may `overdraw`: it takes
    what there is, and the balance goes below 0.
    """
    check_credits(amount)
    taken: list[Draw] = []
    for credit in in_order(held, at):
        part = min(credit.amount, minus(amount, *(d.amount for d in taken)))
        if part:
            taken.append(Draw(credit.credit_id, part))
    if plus(d.amount for d in taken) < amount and not overdraw:
        raise OperationError("The wallet has not enough credits.", field="amount")
    return tuple(taken)


def check_credits(amount: Decimal) -> None:
    """Refuse to add or take credits of 0 or less."""
    if amount <= 0:
        raise RatingError("Credits must be above 0.", field="credits_to_add")


def to_amount(amount: Decimal, conversion_rate: Decimal) -> Decimal:
    """Give credits as money: 100 credits at a rate of 0.5 are 50."""
    return times(amount, conversion_rate)


def to_credits(amount: Decimal, conversion_rate: Decimal) -> Decimal:
    """Give money as credits, to 16 places."""
    return divided(amount, conversion_rate)


@dataclass(frozen=True, slots=True)
class Owed:
    """What a customer owes in the wallet's currency and has not paid."""

    current_usage: Decimal = ZERO  # charges of the running period
    unpaid_usage: Decimal = ZERO  # usage lines of unpaid invoices, after credits and discounts
    unpaid_total: Decimal = ZERO  # all that remains of unpaid invoices
    paid_in_part: Decimal = ZERO  # already paid on those invoices


def real_time_balance(
    balance: Decimal, owed: Owed, price_types: Sequence[str] = (), *, post_paid: bool = False
) -> Decimal:
    """
    Tell what is left of a balance when all that is owed is taken off.

    A wallet for usage only (or without a restriction) counts the running usage and the unpaid
    usage lines; one that pays for fixed prices counts all that remains unpaid. A post-paid
    wallet's balance is not lowered.
    """
    if post_paid:
        return balance
    usage = not price_types or not {"USAGE", "ALL"}.isdisjoint(price_types)
    running = owed.current_usage if usage else ZERO
    if not {"FIXED", "ALL"}.isdisjoint(price_types):
        return minus(balance, running, owed.unpaid_total)
    return minus(balance, running, minus(owed.unpaid_usage, owed.paid_in_part))


@dataclass(frozen=True, slots=True)
class BonusSlab:
    """A bonus for a top-up of at least `threshold` credits: flat, or a percentage of it."""

    threshold: Decimal  # inclusive
    value: Decimal
    is_percentage: bool = False


def bonus_slab(slabs: Iterable[BonusSlab], top_up: Decimal) -> BonusSlab | None:
    """Find the slab with the highest threshold that a top-up reaches."""
    reached = [s for s in slabs if top_up >= s.threshold]
    return max(reached, key=lambda s: s.threshold, default=None)


def bonus(slabs: Iterable[BonusSlab], top_up: Decimal) -> Decimal:
    """Tell how many credits a top-up earns on top."""
    slab = bonus_slab(slabs, top_up)
    if slab is None:
        return ZERO
    return divided(times(top_up, slab.value), HUNDRED) if slab.is_percentage else slab.value


def expires_at(now: datetime, duration: int | None, unit: str | None) -> datetime | None:
    """
    Tell when credits granted now expire, after DAYs, WEEKs, MONTHs or YEARs.

    None: never, or after the year 9999, where calendars end.
    """
    if not duration or not unit:
        return None
    months, days = {"MONTH": 1, "YEAR": 12}.get(unit), {"DAY": 1, "WEEK": 7}.get(unit)
    try:
        if months:
            return add_months(now, months * duration, now.day)
        if days:
            return now + timedelta(days=days * duration)
    except (ValueError, OverflowError):
        return None
    raise RatingError(
        "expiration_duration_unit is DAY, WEEK, MONTH or YEAR.", field="expiration_duration_unit"
    )
