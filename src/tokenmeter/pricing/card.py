"""A rate card: the rates of one model at one time, and the walk from usage to parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import reduce
from operator import itemgetter
from typing import NamedTuple

from tokenmeter.pricing.priced import AMOUNTS, WIDE, Part
from tokenmeter.usage import Number

QUANTITY_MAX = 10**15
QUANTITY_DIGITS_MAX = 18  # decimal places of a quantity

times, over, plus = AMOUNTS.multiply, AMOUNTS.divide, AMOUNTS.add
less = WIDE.subtract
_ZERO = Decimal(0)
_AMOUNT = itemgetter(4)  # of a Part


class UsageError(ValueError):
    """The usage contradicts itself, so it has no price; correct the event and price it again."""


class Unit(NamedTuple):
    """
    What has a rate.

    A unit is charged for what is left of its metric after the units within it.
    """

    metric: str
    rate: Decimal  # USD
    per: int  # for so many; 1 where that is exact
    inner: tuple[int, ...]  # places of the units within this one, all of them earlier


class Band(NamedTuple):
    """The units of a call whose prompt is longer than so many input tokens."""

    longer_than: int
    units: tuple[Unit, ...]


@dataclass(frozen=True, slots=True)
class Card:
    """The rates that hold for one model, tier and time."""

    model: str
    units: tuple[Unit, ...]  # of a short prompt; the innermost first
    bands: tuple[Band, ...]  # of longer prompts, the longest first
    priced: frozenset[str]  # the metrics that have a rate
    unrated: tuple[str, ...] = ()  # metrics that providers bill and that have no rate here
    request_rate: Decimal | None = None  # USD a request, beside its tokens
    notes: tuple[str, ...] = ()  # what this card assumes or cannot say
    draws: bool = False  # has a rate for image output
    draws_only: bool = False  # and all its output is images
    # Media whose cached tokens have a rate: metric of all, metric of the cached ones.
    modal_cache: tuple[tuple[str, str], ...] = ()
    seconds_min: int = 0  # shorter audio is billed as this
    grounded_once: bool = False  # the searches for one prompt are billed as one

    def parts(self, usage: Mapping[str, object]) -> list[Part]:
        """
        Price `usage`, which may hold other things too; what it names twice is charged once.

        Cached tokens lie in the input: 1,000 tokens, 600 of them cached, are 400 at the input
        rate and 600 at the cache rate. An empty list: nothing in `usage` has a rate here.
        """
        parts = _walk(self._reached(usage) if self.bands else self.units, usage)
        if parts and self.request_rate is not None and usage.get("request_count"):
            parts.append(("request_count", 1, self.request_rate, 1, self.request_rate))
        return parts

    def _reached(self, usage: Mapping[str, object]) -> tuple[Unit, ...]:
        """A longer prompt changes the rate of every token of the call, not of the excess."""
        prompt = usage.get("input_tokens")
        if type(prompt) is int or (isinstance(prompt, Decimal) and prompt.is_finite()):
            for longer_than, units in self.bands:
                if prompt > longer_than:
                    return units
        return self.units


def total(parts: list[Part]) -> Decimal:
    """Return the sum of the parts' amounts."""
    return reduce(plus, map(_AMOUNT, parts), _ZERO)


def _walk(units: tuple[Unit, ...], usage: Mapping[str, object]) -> list[Part]:
    left: list[Number] = []
    parts: list[Part] = []
    for metric, rate, per, inner in units:
        quantity = usage.get(metric)
        if quantity is None:
            left.append(0)
            continue
        if type(quantity) is not int or not 0 <= quantity <= QUANTITY_MAX:
            quantity = _checked(metric, quantity)
        rest = _rest(metric, quantity, left, inner) if inner else quantity
        left.append(rest)
        amount = times(rate, rest) if rest else _ZERO
        parts.append((metric, rest, rate, per, amount if per == 1 else over(amount, per)))
    return parts


def _rest(metric: str, quantity: Number, left: list[Number], inner: tuple[int, ...]) -> Number:
    rest = quantity
    for place in inner:
        part = left[place]
        if part:
            rest = rest - part if type(rest) is int is type(part) else less(rest, part)
    if rest < 0:
        raise UsageError(f"the parts of {metric} add up to more than {metric}={quantity}")
    return rest


def _checked(metric: str, quantity: object) -> Number:
    if isinstance(quantity, bool) or not isinstance(quantity, int | Decimal):
        raise UsageError(f"{metric} is not a number")
    if isinstance(quantity, Decimal) and not quantity.is_finite():
        raise UsageError(f"{metric}={quantity} is not a quantity")
    if not 0 <= quantity <= QUANTITY_MAX:
        raise UsageError(f"{metric} is not between 0 and {QUANTITY_MAX}")
    if isinstance(quantity, Decimal) and int(quantity.as_tuple().exponent) < -QUANTITY_DIGITS_MAX:
        raise UsageError(f"{metric} has more than {QUANTITY_DIGITS_MAX} decimal places")
    return quantity
