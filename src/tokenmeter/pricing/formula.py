"""
What usual events cost, in one step: a formula for each kind of event.

Events that have the same properties, and name the same model and terms, are of one kind: the sum
of their quantities, each times a rate. What is unusual in any way has no formula, and goes the
long way (`PriceBook.price`), which gives the same answer, to the last digit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from operator import itemgetter, mul
from typing import Any

from tokenmeter.event import Event, Property
from tokenmeter.pricing.card import QUANTITY_MAX, Card, Unit
from tokenmeter.pricing.gaps import LONG_WRITES, OUTPUT_PARTS
from tokenmeter.pricing.media_words import REPORTED_UNITS
from tokenmeter.pricing.priced import AMOUNTS, WIDE
from tokenmeter.pricing.tariff import Tariff

KINDS_MAX = 512  # sets of properties that are remembered
RULES_MAX = 1024  # models and terms that are remembered for each
TOTAL_MAX = 10**AMOUNTS.prec  # exclusive; from there on the long way rounds

# All that decides by which rates an event is priced, but for its time.
_TERMS = (
    *("provider", "model", "request_model", "model_type", "operation", "outcome"),
    *("service_tier", "speed", "inference_geo"),
)
_NEVER = datetime.min.replace(tzinfo=UTC)
_UNUSUAL = frozenset({"reported_cost_usd", *REPORTED_UNITS, "cost_source", "tokens", LONG_WRITES})

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


@dataclass(slots=True)
class _Rule:
    """The tariff of a kind's events, and their formula under each of its cards."""

    names: frozenset[str]
    tariff: Tariff
    version: str
    formulas: dict[int, Formula | None] = field(default_factory=dict[int, "Formula | None"])
    # The formula that was asked for last, and the time for which it holds.
    latest: tuple[datetime, datetime, Formula | None] = (_NEVER, _NEVER, None)

    def at(self, moment: datetime) -> Formula | None:
        """Return the formula that holds at this time."""
        card = self.tariff.card(moment)
        try:
            found = self.formulas[id(card)]  # the tariff keeps its cards
        except KeyError:
            found = self.formulas[id(card)] = formula_of(card, self.names, self.version)
        window = self.tariff.window(moment)
        if window is not None:
            self.latest = (*window, found)
        return found


@dataclass(slots=True)
class _Kind:
    """Events that have the same properties."""

    names: frozenset[str]
    terms: Callable[[Any], tuple[Property, ...]]
    rules: dict[tuple[Property, ...], _Rule | None] = field(
        default_factory=dict[tuple[Property, ...], "_Rule | None"]
    )


class Formulas:
    """
    The formulas for the kinds of events met so far.

    `tariff_of` returns the tariff of an event whose cost is a matter of its usage alone, and None
    for any other; it looks at nothing but what is in _TERMS. `version` names the price book.
    """

    def __init__(
        self, tariff_of: Callable[[Event], Tariff | None], version: Callable[[], str]
    ) -> None:
        self._tariff_of, self._version = tariff_of, version
        self._kinds: dict[tuple[str, ...], _Kind | None] = {}

    def of(self, event: Event) -> Formula | None:
        """Return the formula for an event; None if it has none."""
        facts = event.properties
        try:
            kind = self._kinds[tuple(facts)]
        except KeyError:
            kind = self._learn(tuple(facts))
        if kind is None:
            return None
        try:
            rule = kind.rules[kind.terms(facts)]
        except KeyError:
            rule = self._rule(kind, event)
        except TypeError:  # a value that cannot be a key
            return None
        if rule is None:
            return None
        since, until, formula = rule.latest
        moment = event.timestamp
        if moment.tzinfo is UTC and since <= moment < until:
            return formula
        return rule.at(moment)

    def _learn(self, names: tuple[str, ...]) -> _Kind | None:
        if len(self._kinds) >= KINDS_MAX:
            self._kinds.clear()  # whoever makes up names of properties makes ever more
        known = frozenset(names)
        kind = _Kind(known, itemgetter(*_in(known, _TERMS))) if _is_usual(known) else None
        self._kinds[names] = kind
        return kind

    def _rule(self, kind: _Kind, event: Event) -> _Rule | None:
        if len(kind.rules) >= RULES_MAX:
            kind.rules.clear()
        tariff = self._tariff_of(event)
        rule = None if tariff is None else _Rule(kind.names, tariff, self._version())
        kind.rules[kind.terms(event.properties)] = rule
        return rule


def _is_usual(names: frozenset[str]) -> bool:
    """Say whether nothing is reported but a model's usage, and that with its totals."""
    if not {"provider", "model", "input_tokens"} <= names or names & _UNUSUAL:
        return False
    return "output_tokens" in names or names.isdisjoint(OUTPUT_PARTS)


def formula_of(card: Card, names: frozenset[str], version: str) -> Formula | None:
    """Return the formula for events that have these properties; None if there cannot be one."""
    ladders = [*(band.units for band in card.bands), card.units]
    rates = [unit.rate for units in ladders for unit in units]
    if _has_more(card, names) or not all(_is_alike(card.units, units) for units in ladders):
        return None
    if not any(unit.metric in names for unit in card.units):
        return None
    zeros = _must_be_zero(card, names)
    metrics = _in(names, ("input_tokens", *(unit.metric for unit in card.units), *zeros))
    rests = _rests(card.units, metrics, names)
    scale = max(0, *(-int(rate.as_tuple().exponent) for rate in rates))
    floors = [_sum(metrics, rest) for rest in rests if min(rest) < 0]
    if zeros:
        floors.append(tuple((metric, -1) for metric in zeros))
    sums = [_sum(metrics, _rates(units, rests, scale), all_of_them=True) for units in ladders]
    note: dict[str, Property] = {"cost_note": "; ".join(card.notes)} if card.notes else {}
    return Formula(
        rates=sums.pop(),
        floors=tuple(floors),
        bands=tuple(
            (band.longer_than, above) for band, above in zip(card.bands, sums, strict=True)
        ),
        scale=scale,
        costs={"cost_source": "computed", "pricebook_version": version, "cost_usd": "", **note},
    )


def _has_more(card: Card, names: frozenset[str]) -> bool:
    """Say whether more than quantities and rates decides the cost."""
    return (
        card.request_rate is not None
        or card.seconds_min > 0
        or (card.draws and "output_image_tokens" not in names)
        or any(unit.per != 1 or unit.rate < 0 for unit in card.units)
    )


def _is_alike(units: tuple[Unit, ...], others: tuple[Unit, ...]) -> bool:
    return [unit._replace(rate=Decimal()) for unit in units] == [
        unit._replace(rate=Decimal()) for unit in others
    ]


def _must_be_zero(card: Card, names: frozenset[str]) -> tuple[str, ...]:
    """Name the quantities of which a formula knows nothing: the long way has a word on them."""
    unsaid = card.modal_cache if "cache_read_tokens" in names else ()
    wholes = (whole for whole, read in unsaid if read not in names)
    return _in(names, (*card.unrated, *wholes))


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


def _in(names: frozenset[str], wanted: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name in wanted if name in names))
