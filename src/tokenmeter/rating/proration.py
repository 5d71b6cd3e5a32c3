"""Parts of a period: what a fixed charge, a change or a first grant is worth from a date on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal
from enum import StrEnum

from tokenmeter.rating.errors import RatingError
from tokenmeter.rating.rounding import ONE, ZERO, at_places, divided, minus, plus, rounded, times
from tokenmeter.rating.windows import Period, known_zone

CREDIT_PLACES = 8  # decimals of a prorated credit grant
_MICROSECOND = timedelta(microseconds=1)


class Strategy(StrEnum):
    """What is counted: seconds, or whole days on the customer's calendar."""

    SECOND_BASED = "second_based"
    DAY_BASED = "day_based"


class Action(StrEnum):
    """What changes in a running period."""

    UPGRADE = "upgrade"
    DOWNGRADE = "downgrade"
    QUANTITY_CHANGE = "quantity_change"
    ADD_ITEM = "add_item"
    REMOVE_ITEM = "remove_item"
    CANCELLATION = "cancellation"


_CREDIT_TEXT = {
    Action.UPGRADE: "Credit for unused time on previous plan before upgrade",
    Action.DOWNGRADE: "Credit for unused time on previous plan before downgrade",
    Action.QUANTITY_CHANGE: "Credit for unused time on previous quantity",
    Action.REMOVE_ITEM: "Credit for unused time on removed item",
    Action.CANCELLATION: "Credit for unused time - immediate cancellation",
}
_CHARGE_TEXT = {
    Action.UPGRADE: "Prorated charge for upgrade",
    Action.DOWNGRADE: "Prorated charge for downgrade",
    Action.QUANTITY_CHANGE: "Prorated charge for quantity change",
    Action.ADD_ITEM: "Prorated charge for new item",
}


def local_days(start: datetime, end: datetime, zone: tzinfo = UTC) -> int:
    """Count the midnights between two moments on the zone's calendar; a clock change is none."""
    return max(0, (end.astimezone(zone).date() - start.astimezone(zone).date()).days)


def share_left(
    period: Period,
    moment: datetime,
    strategy: Strategy = Strategy.SECOND_BASED,
    zone: tzinfo = UTC,
) -> Decimal:
    """
    Give the part of a period that is left at a moment, from 0 to 1, to 16 places.

    Days count the first and the last one: at the 15th of 1 to 31 March, 17 of 31 are left.
    """
    whole = _length(period)
    if moment > period.end:
        return ZERO
    if moment <= period.start:
        return ONE
    if strategy is Strategy.DAY_BASED:
        left = local_days(moment, period.end, zone) + 1
        return divided(Decimal(left), Decimal(local_days(period.start, period.end, zone) + 1))
    left = (period.end - moment) // _MICROSECOND
    return divided(Decimal(left), whole)


def share_used(period: Period, used: Period) -> Decimal:
    """Give the part of a full period that a line item was active in, by seconds."""
    both = period.within(used.start, used.end)
    length = both.length // _MICROSECOND if both else 0
    return divided(Decimal(length), _length(period))


def _length(period: Period) -> Decimal:
    if not period.length:
        raise RatingError("A period without length cannot be divided.", field="period_end")
    return Decimal(period.length // _MICROSECOND)


def prorated_credits(granted: Decimal, share: Decimal) -> Decimal:
    """Give the part of a credit grant that its first, shorter period gets."""
    return at_places(times(granted, share), CREDIT_PLACES)


def capped_credit(potential: Decimal, paid: Decimal, credited: Decimal) -> Decimal:
    """Limit a credit to what was paid and not yet credited; never below 0."""
    return max(ZERO, min(potential, paid, minus(paid, credited)))


@dataclass(frozen=True, slots=True)
class Item:
    """A fixed price and how many of it."""

    price_id: str
    quantity: Decimal
    unit_amount: Decimal

    def __post_init__(self) -> None:
        if not self.price_id:
            raise RatingError("A price ID is required.", field="price_id")
        if self.quantity < 0:
            raise RatingError("A quantity must be positive.", field="quantity")


@dataclass(frozen=True, slots=True)
class Change:
    """A change of fixed items within a paid period."""

    action: Action
    at: datetime
    period: Period
    timezone: str
    currency: str
    old: Item | None = None
    new: Item | None = None
    strategy: Strategy = Strategy.DAY_BASED
    paid_in_advance: bool = True
    amount_paid: Decimal = ZERO
    amount_credited: Decimal = ZERO
    refund: bool = False  # of a cancellation: at once, and with a right to the rest


@dataclass(frozen=True, slots=True)
class ProratedItem:
    """One credit (below 0) or charge for the rest of the period, rounded."""

    description: str
    amount: Decimal
    quantity: Decimal
    price_id: str
    period: Period


@dataclass(frozen=True, slots=True)
class Proration:
    """What a change credits and charges."""

    credits: tuple[ProratedItem, ...]
    charges: tuple[ProratedItem, ...]

    @property
    def net(self) -> Decimal:
        """What the customer owes for the change; below 0 is owed to the customer."""
        return plus(item.amount for item in (*self.credits, *self.charges))


def prorate(change: Change) -> Proration:
    """
    Work out the credit for the old item and the charge for the new one.

    The credit is limited to what was paid, except for a change of quantity.
    """
    share = share_left(change.period, change.at, change.strategy, _zone(change.timezone))
    _check_items(change)
    return Proration(_credits(change, share), _charges(change, share))


def _zone(name: str) -> tzinfo:
    if not name:
        raise RatingError("The customer timezone is required.", field="timezone")
    zone = known_zone(name)
    if zone is None:
        raise RatingError(f"There is no time zone {name!r}.", field="timezone")
    return zone


def _check_items(change: Change) -> None:
    if change.action is not Action.ADD_ITEM and change.old is None:
        raise RatingError(
            f"The old price ID is required for {change.action} action.", field="old_price_id"
        )
    if change.action in _CHARGE_TEXT and change.new is None:
        raise RatingError(
            f"The new price ID is required for {change.action} action.", field="new_price_id"
        )
    same = change.old and change.new and change.old.quantity == change.new.quantity
    if change.action is Action.QUANTITY_CHANGE and same:
        raise RatingError(
            "The old and new quantities cannot be equal for quantity_change action.",
            field="quantity",
        )


def _credits(change: Change, share: Decimal) -> tuple[ProratedItem, ...]:
    due = change.paid_in_advance and (change.action is not Action.CANCELLATION or change.refund)
    if change.old is None or change.action not in _CREDIT_TEXT or not due:
        return ()
    credit = times(times(change.old.quantity, change.old.unit_amount), share)
    if change.action is not Action.QUANTITY_CHANGE:
        credit = capped_credit(credit, change.amount_paid, change.amount_credited)
    return _item(change, change.old, credit.copy_negate(), _CREDIT_TEXT[change.action])


def _charges(change: Change, share: Decimal) -> tuple[ProratedItem, ...]:
    if change.new is None or change.action not in _CHARGE_TEXT:
        return ()
    charge = times(times(change.new.quantity, change.new.unit_amount), share)
    return _item(change, change.new, charge, _CHARGE_TEXT[change.action])


def _item(
    change: Change, item: Item, amount: Decimal, description: str
) -> tuple[ProratedItem, ...]:
    if not amount:
        return ()
    rest = Period(change.at, change.period.end)
    amount = rounded(amount, change.currency)
    return (ProratedItem(description, amount, item.quantity, item.price_id, rest),)
