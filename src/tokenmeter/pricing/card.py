"""A rate card: the rates of one model at one time, and the walk from usage to parts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import NamedTuple

from tokenmeter.pricing.priced import Part
from tokenmeter.usage import Number

QUANTITY_MAX = 10**15
QUANTITY_DIGITS_MAX = 18  # decimal places of a quantity

# Amounts do not depend on the decimal context of the caller's thread.
_amounts = Context(prec=28)
times, over, plus = _amounts.multiply, _amounts.divide, _amounts.add
_less = Context(prec=60).subtract
_ZERO = Decimal(0)


class UsageError(ValueError):
    """The usage contradicts itself, so it has no price; correct the event and price it again."""


class Unit(NamedTuple):
    """
    What has a rate.

    A unit is charged for what is left of its metric after the units within it.
    """

    metric: str
    per: int  # the rate is for so many; 1 where that is exact
    inner: tuple[int, ...]  # places of the units within this one, all of them earlier


class Band(NamedTuple):
    """The rates, unit by unit, of a call whose prompt is longer than so many input tokens."""

    longer_than: int
    rates: tuple[Decimal, ...]


@dataclass(frozen=True, slots=True)
class Card:
    """The rates that hold for one model, tier and time."""

    model: str
    units: tuple[Unit, ...]  # the innermost first
    rates: tuple[Decimal, ...]  # of a short prompt
    bands: tuple[Band, ...]  # of longer prompts, the longest first
    priced: frozenset[str]  # the metrics that have a rate
    unrated: tuple[str, ...] = ()  # metrics that providers bill and that have no rate here
    request_rate: Decimal | None = None  # USD a request
    notes: tuple[str, ...] = ()  # what this card assumes or cannot say
    draws: bool = False  # has a rate for image output
    draws_only: bool = False  # and all its output is images
    modal_cache: bool = False  # cached audio, images or video have a rate
    seconds_min: int = 0  # shorter audio is billed as this

    def parts(self, usage: Mapping[str, object]) -> list[Part]:
        """
        Price `usage`, which may hold other things too; what it names twice is charged once.

        Cached tokens lie in the input: 1,000 tokens, 600 of them cached, are 400 at the input
        rate and 600 at the cache rate. An empty list: nothing in `usage` has a rate here.
        """
        rates = self._rates(usage) if self.bands else self.rates
        left: list[Number] = []
        parts: list[Part] = []
        for (metric, per, inner), rate in zip(self.units, rates, strict=True):
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
        if parts and self.request_rate is not None:
            parts.append(("request_count", 1, self.request_rate, 1, self.request_rate))
        return parts

    def _rates(self, usage: Mapping[str, object]) -> tuple[Decimal, ...]:
        """A longer prompt changes the rate of every token of the call, not of the excess."""
        prompt = usage.get("input_tokens")
        if isinstance(prompt, Decimal) and not prompt.is_finite():
            return self.rates  # refused below, by name
        if isinstance(prompt, int | Decimal):
            for longer_than, rates in self.bands:
                if prompt > longer_than:
                    return rates
        return self.rates


def total(parts: Iterable[Part]) -> Decimal:
    """Return the sum of the parts' amounts."""
    amount = _ZERO
    for part in parts:
        amount = plus(amount, part[4])
    return amount


def _rest(metric: str, quantity: Number, left: list[Number], inner: tuple[int, ...]) -> Number:
    rest = quantity
    for place in inner:
        part = left[place]
        if part:
            rest = rest - part if type(rest) is int is type(part) else _less(rest, part)
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
