"""
What an event of a usual kind costs, in one step: the sum of its quantities, each times a rate.

A formula is made of a rate card and the names of what events of the kind hold. It gives what the
card's own walk gives (`Card.parts`), to the last digit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from operator import mul
from typing import Any

from tokenmeter.event import Property
from tokenmeter.pricing.card import QUANTITY_MAX, Card, Unit
from tokenmeter.pricing.gaps import SEARCHES
from tokenmeter.pricing.names import CONTAINERS
from tokenmeter.pricing.priced import AMOUNTS, WIDE

TOTAL_MAX = 10**AMOUNTS.prec  # exclusive; from there on the long way rounds

Vector = tuple[int, ...]  # one number for each quantity
Sum = tuple[tuple[str, int], ...]  # quantities by name, and how many times each is added


@dataclass(frozen=True, slots=True)
class Formula:
    """
    The cost of events of one kind, under one card.

    `floors` are sums of quantities that must not be negative, else there is no such cost.
    """

    rates: Sum  # in 10^-scale USD
    floors: tuple[Sum, ...]
    bands: tuple[tuple[int, Sum], ...]  # the rates of longer prompts, the longest first
    scale: int
    costs: dict[str, Property]  # what such an event has beside its own; without the amount

    def total(self, facts: Mapping[str, Any]) -> int | None:
        """Return the cost in 10^-scale USD; None where the long way must say."""
        total = 0
        for name, rate in self._reached(facts) if self.bands else self.rates:
            quantity = facts[name]
            if type(quantity) is not int or not 0 <= quantity <= QUANTITY_MAX:
                return None
            total += quantity * rate
        for floor in self.floors:
            left = 0
            for name, times in floor:
                left += facts[name] * times
            if left < 0:
                return None
        return total if total < TOTAL_MAX else None

    def _reached(self, facts: Mapping[str, Any]) -> Sum:
        prompt = facts["input_tokens"]
        if type(prompt) is int:
            for longer_than, rates in self.bands:
                if prompt > longer_than:
                    return rates
        return self.rates

    def text(self, total: int) -> str:
        """Write an amount as `amount_text` does."""
        digits, scale = str(total), self.scale
        if not scale:
            return digits
        if len(digits) <= scale:
            digits = digits.zfill(scale + 1)
        return f"{digits[:-scale]}.{digits[-scale:]}".rstrip("0").rstrip(".")


def formula_of(card: Card, names: frozenset[str], version: str) -> Formula | None:
    """Return the formula for events that have these properties; None if there cannot be one."""
    if _has_more(card, names) or not _is_one_ladder(card, names):
        return None
    zeros = _must_be_zero(card, names)
    metrics = those_in(names, ("input_tokens", *(unit.metric for unit in card.units), *zeros))
    rests = _rests(card.units, metrics, names)
    ladders = [card.units, *(band.units for band in card.bands)]
    scale = max(0, *(_places(unit.rate) for units in ladders for unit in units))
    short, *longer = (
        _sum(metrics, _rates(units, rests, scale), all_of_them=True) for units in ladders
    )
    starts = (band.longer_than for band in card.bands)
    return Formula(
        rates=short,
        floors=_floors(metrics, rests, zeros),
        bands=tuple(zip(starts, longer, strict=True)),
        scale=scale,
        costs=_costs(card, version),
    )


def _floors(
    metrics: tuple[str, ...], rests: list[Vector], zeros: tuple[str, ...]
) -> tuple[Sum, ...]:
    """Return the sums that must not be negative: what is left of a metric, and minus the zeros."""
    floors = [_sum(metrics, rest) for rest in rests if min(rest) < 0]
    if zeros:
        floors.append(tuple((metric, -1) for metric in zeros))
    return tuple(floors)


def _costs(card: Card, version: str) -> dict[str, Property]:
    costs: dict[str, Property] = {"cost_source": "computed", "pricebook_version": version}
    costs["cost_usd"] = ""
    if card.notes:
        costs["cost_note"] = "; ".join(card.notes)
    return costs


def _has_more(card: Card, names: frozenset[str]) -> bool:
    """Say whether more than quantities and rates decides the cost."""
    return (
        card.request_rate is not None
        or card.seconds_min > 0
        or not names.isdisjoint(CONTAINERS)
        or (card.grounded_once and not names.isdisjoint(SEARCHES))
        or (card.draws and "output_image_tokens" not in names)
        or any(unit.per != 1 or unit.rate < 0 for unit in card.units)
    )


def _is_one_ladder(card: Card, names: frozenset[str]) -> bool:
    """Say whether longer prompts have the same units at other rates, and one is reported."""
    short = [unit._replace(rate=Decimal()) for unit in card.units]
    return any(unit.metric in names for unit in card.units) and all(
        [unit._replace(rate=Decimal()) for unit in band.units] == short for band in card.bands
    )


def _must_be_zero(card: Card, names: frozenset[str]) -> tuple[str, ...]:
    """Name the quantities of which a formula knows nothing: the long way has a word on them."""
    unsaid = card.modal_cache if "cache_read_tokens" in names else ()
    wholes = (whole for whole, read in unsaid if read not in names)
    return those_in(names, (*card.unrated, *wholes))


def _rests(
    units: tuple[Unit, ...], metrics: tuple[str, ...], names: frozenset[str]
) -> list[Vector]:
    """Return for each unit what is charged at its rate: its metric less the units within it."""
    rests: list[Vector] = []
    for unit in units:
        if unit.metric not in names:
            rests.append((0,) * len(metrics))
            continue
        within = [rests[place] for place in unit.inner]
        first = metrics.index(unit.metric)
        rests.append(
            tuple(
                (place == first) - sum(rest[place] for rest in within)
                for place in range(len(metrics))
            )
        )
    return rests


def _rates(units: tuple[Unit, ...], rests: list[Vector], scale: int) -> Vector:
    """Return what one more of each quantity costs, in 10^-scale USD."""
    whole = [_whole(unit.rate, scale) for unit in units]
    return tuple(sum(map(mul, whole, column)) for column in zip(*rests, strict=True))


def _sum(metrics: tuple[str, ...], times: Vector, *, all_of_them: bool = False) -> Sum:
    pairs = zip(metrics, times, strict=True)
    return tuple((metric, number) for metric, number in pairs if number or all_of_them)


def _whole(rate: Decimal, scale: int) -> int:
    return int(WIDE.scaleb(rate, scale))


def _places(rate: Decimal) -> int:
    return -int(rate.as_tuple().exponent)


def those_in(names: frozenset[str], wanted: Iterable[str]) -> tuple[str, ...]:
    """Return those of the wanted names that there are, each once."""
    return tuple(dict.fromkeys(name for name in wanted if name in names))
