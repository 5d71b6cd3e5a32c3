"""All price lists together: which rows are for which model, and that none contradict."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import combinations
from typing import NamedTuple, Protocol

from tokenmeter.pricing.card import over, times
from tokenmeter.pricing.media_rows import (
    USD,
    Dimension,
    Factor,
    Origin,
    Row,
    Sheet,
    UnitRate,
    When,
    Window,
)
from tokenmeter.pricing.media_yaml import wrong

ANY = "*"


class Dated(Protocol):
    """What rows, factors and units have in common."""

    @property
    def window(self) -> Window: ...
    @property
    def origin(self) -> Origin: ...


@dataclass(frozen=True, slots=True)
class Offer:
    """All that the lists say about one model of one provider; the closest rows come first."""

    model: str  # as the event names it
    rows: tuple[Row, ...]
    factors: tuple[Factor, ...]
    dimensions: Mapping[str, Dimension]
    region: str | None = None  # where the event says none
    note: str | None = None  # on how the model was found


class Shelf:
    """The price lists of all files, checked against each other and found by model."""

    def __init__(self, sheets: Iterable[Sheet]) -> None:
        self.sheets = tuple(sheets)
        self.rows = tuple(row for sheet in self.sheets for row in sheet.rows)
        self.units = Units([unit for sheet in self.sheets for unit in sheet.units])
        self._factors = [factor for sheet in self.sheets for factor in sheet.factors]
        self._models: dict[str, dict[str, list[Row]]] = defaultdict(lambda: defaultdict(list))
        for row in self.rows:
            self._models[row.provider][row.model].append(row)
        _check_rows(self.rows, self.units)
        _check_factors(self._factors)

    def knows(self, provider: str) -> bool:
        """Say whether any row is for this provider."""
        return provider in self._models

    def find(self, provider: str, refs: Sequence[str]) -> Offer | None:
        """
        Return what is said about the first of these names that any row names.

        A row for all models (``*``) holds for the first name, if no row is closer to any.
        """
        patterns = self._models.get(provider)
        if patterns is None or not refs:
            return None
        for known in (_is_named, _is_begun):
            for ref in refs:
                if known(patterns, ref.lower()):
                    return self._offer(provider, ref)
        return self._offer(provider, refs[0]) if ANY in patterns else None

    def _offer(self, provider: str, ref: str) -> Offer:
        name = ref.lower()
        patterns = self._models[provider]
        fitting = sorted((p for p in patterns if fits(p, name)), key=closeness, reverse=True)
        rows = tuple(row for pattern in fitting for row in patterns[pattern])
        factors = tuple(
            factor
            for factor in self._factors
            if factor.provider == provider and fits(factor.model, name)
        )
        dimensions: dict[str, Dimension] = {}
        for sheet in self.sheets:
            own = {key[1]: known for key, known in sheet.dimensions.items() if key[0] == provider}
            dimensions = {**own, **dimensions}  # the user's sheet is the first, and wins
        return Offer(ref, rows, factors, dimensions)


class Worth(NamedTuple):
    """What one unit is in USD, or how many units are one USD."""

    amount: Decimal
    inverse: bool

    def usd(self, units: Decimal) -> Decimal:
        """Return what so many units are worth."""
        return over(units, self.amount) if self.inverse else times(units, self.amount)


class Units:
    """What vendors' units are worth, over time; the user's rates are asked first."""

    def __init__(self, rates: Sequence[UnitRate]) -> None:
        self._rates: dict[tuple[str | None, str], list[UnitRate]] = defaultdict(list)
        for rate in sorted(rates, key=lambda rate: rate.origin.layer):
            self._rates[rate.provider, rate.unit].append(rate)
        for known in self._rates.values():
            for one, other in combinations(known, 2):
                if one.origin.layer == other.origin.layer:
                    _refuse_overlap(one, other, "give one unit two values")

    def worth(self, row: Row, moment: datetime) -> Worth | None:
        """Return what the row's unit was worth at `moment`; None if nobody says."""
        if row.unit == USD:
            return _DOLLAR
        known = _at(moment, self._known(row))
        return None if known is None else Worth(known.amount, known.inverse)

    def windows(self, row: Row) -> Iterator[Window]:
        """Yield when the row's unit changed its worth."""
        return (rate.window for rate in self._known(row))

    def charged(self, provider: str, unit: str, moment: datetime) -> UnitRate | None:
        """Return what a provider's own unit was worth at `moment`; None if nobody says."""
        return _at(moment, self._rates.get((provider, unit), ()))

    def check(self, row: Row) -> None:
        """Refuse a row in a unit that nobody gave a value."""
        if row.unit != USD and not self._known(row):
            mistake = f"{row.provider} has no unit {row.unit!r}; add it to the units of a file"
            raise wrong(row.origin.path, row.origin.line, mistake)

    def _known(self, row: Row) -> Sequence[UnitRate]:
        """A provider's own unit goes before a currency of that name."""
        return self._rates.get((row.provider, row.unit)) or self._rates.get((None, row.unit)) or ()


_DOLLAR = Worth(Decimal(1), inverse=False)


def _at(moment: datetime, rates: Sequence[UnitRate]) -> UnitRate | None:
    return next((rate for rate in rates if rate.window.holds(moment)), None)


def fits(pattern: str, name: str) -> bool:
    """Say whether a row's model is this one, both in lower case: "seedance-1-0-lite*"."""
    return pattern == name or _begins(pattern, name)


def closeness(pattern: str) -> tuple[bool, int]:
    """Order patterns: the name itself is the closest, then the longest beginning."""
    return not pattern.endswith(ANY), len(pattern)


def _is_named(patterns: Collection[str], name: str) -> bool:
    return name in patterns


def _is_begun(patterns: Collection[str], name: str) -> bool:
    return any(_begins(pattern, name) for pattern in patterns if pattern != ANY)


def _begins(pattern: str, name: str) -> bool:
    return pattern.endswith(ANY) and name.startswith(pattern[:-1])


def _tie(one: When, other: When) -> bool:
    return all(not one[name].isdisjoint(other[name]) for name in one.keys() & other.keys())


def _check_rows(rows: Sequence[Row], units: Units) -> None:
    """Refuse two rows of one file that could bill one event with equal right."""
    groups: dict[object, list[Row]] = defaultdict(list)
    for row in rows:
        units.check(row)
        groups[row.origin.layer, row.provider, row.model, row.metric, row.basis].append(row)
    for together in groups.values():
        for one, other in combinations(together, 2):
            _refuse_other_defaults(one, other)
            if len(one.when) == len(other.when) and _tie(one.when, other.when):
                _refuse_overlap(one, other, "match the same events with equal right")


def _check_factors(factors: Sequence[Factor]) -> None:
    """Refuse two factors for the same dimensions that could hold at once."""
    groups: dict[object, list[Factor]] = defaultdict(list)
    for factor in factors:
        key = (factor.origin.layer, factor.provider, factor.model, frozenset(factor.when))
        groups[key].append(factor)
    for together in groups.values():
        for one, other in combinations(together, 2):
            if _tie(one.when, other.when):
                _refuse_overlap(one, other, "match the same events with equal right")


def _refuse_other_defaults(one: Row, other: Row) -> None:
    for name in one.defaults.keys() & other.defaults.keys():
        if one.defaults[name] != other.defaults[name]:
            first = f"{one.origin.path}, line {one.origin.line}"
            mistake = f"{name} has another default here than in {first}"
            raise wrong(other.origin.path, other.origin.line, mistake)


def _refuse_overlap(one: Dated, other: Dated, mistake: str) -> None:
    if one.window.overlaps(other.window):
        first = f"{one.origin.path}, line {one.origin.line}"
        raise wrong(other.origin.path, other.origin.line, f"this and {first}, {mistake}")
