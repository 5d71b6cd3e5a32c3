"""
Which events a meter counts and which price of a meter bills them.

Filters compare text: every key must match, any of its values will do. Among the prices of one
meter the most specific match wins; a price without filters takes the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import combinations
from typing import Protocol, TypeVar, cast

from tokenmeter.rating.errors import RatingError
from tokenmeter.rating.rounding import number, plain

Properties = Mapping[str, object]

# A filter on `model` matches the served, the asked or the canonical name, in this order.
ALIASES = {"model": ("model", "request_model", "model_type")}
_GO_EXPONENT_FROM = 6  # Flexprice writes a JSON number of 1,000,000 as 1e+06
_GO_EXPONENT_BELOW = -4


@dataclass(frozen=True, slots=True)
class Filter:
    """One key and the values it may have."""

    key: str
    values: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.key:
            raise RatingError("A filter needs a key.", field="filters.key")
        if not self.values:
            raise RatingError(
                f"The filter on {self.key!r} needs at least one value.", field="filters.values"
            )


class Priced(Protocol):
    """What a price must show to be chosen by its filters."""

    @property
    def price_id(self) -> str: ...
    @property
    def filters(self) -> tuple[Filter, ...]: ...
    @property
    def start(self) -> datetime | None: ...
    @property
    def end(self) -> datetime | None: ...


P = TypeVar("P", bound=Priced)


def filters_of(values: Mapping[str, object]) -> tuple[Filter, ...]:
    """Read `filter_values`: a value or a list of values by key, in the order of the keys."""
    return tuple(Filter(key, _texts(values[key])) for key in sorted(values))


def _texts(value: object) -> tuple[str, ...]:
    several = cast("Sequence[object]", value) if isinstance(value, list | tuple) else (value,)
    return tuple(dict.fromkeys(text(v) for v in several))


def text(value: object) -> str:
    """Write a property as filters compare it: true, 1080, 0.5; null as Flexprice's <nil>."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "<nil>"
    known = number(value)
    return str(value) if known is None else plain(known)


def _spellings(value: object) -> tuple[str, ...]:
    """Give the plain spelling and, for very large and small numbers, Flexprice's as well."""
    known = None if isinstance(value, str) else number(value)
    if not known or _GO_EXPONENT_BELOW <= known.adjusted() < _GO_EXPONENT_FROM:
        return (text(value),)
    return (text(value), _exponent_form(known))


def _exponent_form(value: Decimal) -> str:
    digits = "".join(map(str, value.as_tuple().digits)).strip("0")
    mantissa = digits[0] + ("." + digits[1:] if digits[1:] else "")
    return f"{'-' if value < 0 else ''}{mantissa}e{value.adjusted():+03d}"


def is_billable(properties: Properties) -> bool:
    """Tell whether meters count the event: they skip `billable` "false", absent is billable."""
    return text(properties.get("billable", "true")) != "false"


def matches(filters: Iterable[Filter], properties: Properties) -> bool:
    """Tell whether every filter has the property with one of its values."""
    return all(_rank(f, properties) is not None for f in filters)


def names_of(key: str) -> tuple[str, ...]:
    """Return the properties that a filter's key may be about, in order."""
    return ALIASES.get(key, (key,))


def _rank(wanted: Filter, properties: Properties) -> int | None:
    """Say by which of the key's names the filter matches: 0 is the first; None, it does not."""
    for rank, name in enumerate(names_of(wanted.key)):
        if name in properties and not set(wanted.values).isdisjoint(_spellings(properties[name])):
            return rank
    return None


def merged(existing: Sequence[Filter], update: Sequence[Filter]) -> tuple[Filter, ...]:
    """Add keys and missing values to a meter's filters; nothing is ever removed."""
    values = {f.key: f.values for f in existing}
    for f in update:
        values[f.key] = tuple(dict.fromkeys((*values.get(f.key, ()), *f.values)))
    return tuple(Filter(key, held) for key, held in values.items())


def choose(prices: Iterable[P], properties: Properties) -> P | None:
    """
    Choose the price of one meter that bills an event with these properties.

    The match with the most keys wins; between equals the one that names the served model
    rather than the asked one. None: no price matches, the event is unpriced. Two equals raise.
    """
    ranked = [(score, p) for p in prices if (score := _specificity(p, properties)) is not None]
    if not ranked:
        return None
    best = max(score for score, _ in ranked)
    winners = [p for score, p in ranked if score == best]
    if len(winners) > 1:
        raise _ambiguous(winners[0], winners[1])
    return winners[0]


def _specificity(price: Priced, properties: Properties) -> tuple[int, int] | None:
    ranks = [_rank(f, properties) for f in price.filters]
    known = [r for r in ranks if r is not None]
    return (len(ranks), -sum(known)) if len(known) == len(ranks) else None


def check_unambiguous(prices: Sequence[Priced]) -> None:
    """
    Refuse two prices of one meter that could bill the same event with equal right.

    Pass the prices that stand beside each other: one meter, one currency, one billing period.
    """
    for one, other in combinations(prices, 2):
        if _could_tie(one, other) and _overlap(one, other):
            raise _ambiguous(one, other)


def _could_tie(one: Priced, other: Priced) -> bool:
    if len(one.filters) != len(other.filters):
        return False
    held = {f.key: set(f.values) for f in one.filters}
    shared = [f for f in other.filters if f.key in held]
    return all(not held[f.key].isdisjoint(f.values) for f in shared)


def _overlap(one: Priced, other: Priced) -> bool:
    return _starts_before_end(one, other) and _starts_before_end(other, one)


def _starts_before_end(one: Priced, other: Priced) -> bool:
    return one.start is None or other.end is None or one.start < other.end


def _ambiguous(one: Priced, other: Priced) -> RatingError:
    return RatingError(
        f"The prices {one.price_id!r} and {other.price_id!r} match the same events with the same "
        "number of filter keys; give one of them another key or other values.",
        field="filter_values",
    )
