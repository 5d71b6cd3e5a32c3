"""What a price list says: a row per model, metric and dimensions, and what goes with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Literal, NamedTuple

USD = "USD"
Basis = Literal["list", "extra", "estimate"]
When = Mapping[str, frozenset[str]]


class Window(NamedTuple):
    """Half-open: from `start` on, up to `end`, which is not included; None is open."""

    start: datetime | None = None
    end: datetime | None = None

    def holds(self, moment: datetime) -> bool:
        """Say whether `moment` lies within."""
        begun = self.start is None or self.start <= moment
        return begun and (self.end is None or moment < self.end)

    def is_past(self, moment: datetime) -> bool:
        """Say whether it ended by `moment`: what held then will not change any more."""
        return self.end is not None and self.end <= moment

    def overlaps(self, other: Window) -> bool:
        """Say whether some moment lies within both."""
        return _begins_before_end(self, other) and _begins_before_end(other, self)


def _begins_before_end(one: Window, other: Window) -> bool:
    return one.start is None or other.end is None or one.start < other.end


ALWAYS = Window()


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a figure is from: who says so, as of when, and where it stands in our files."""

    path: str
    line: int
    layer: int  # 0: the user's own file, asked first; 1: ours
    source: str
    as_of: datetime
    confidence: str | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """
    The price of one metric of one model under these dimensions.

    `price` is in `unit` for each `per` of the metric; None: it was searched and not found.
    `basis`: "list" prices are what is billed, an "extra" is billed beside them, an "estimate"
    stands in where no tokens are reported.
    """

    metric: str
    when: When
    price: Decimal | None
    unit: str
    per: int
    origin: Origin
    provider: str = ""
    model: str = ""  # lower case; a * at the end stands for any ending
    basis: Basis = "list"
    region: str = "global"
    window: Window = ALWAYS
    # What an event that does not say a dimension means, by the vendor's documentation.
    defaults: Mapping[str, str] = field(default_factory=dict[str, str])
    price_max: Decimal | None = None  # only the vendor knows what between `price` and this
    minimum: Decimal | None = None  # of one event, in `unit`
    beyond: int = 0  # so many are included
    megapixel: int | None = None  # the price is for each begun one, of so many pixels
    retired: datetime | None = None  # the model is; its last price still holds
    assumes: str | None = None
    failed_is_free: str | None = None

    @property
    def decisive(self) -> frozenset[str]:
        """The dimensions that decide whether this row holds, and what it comes to."""
        return frozenset(self.when) | ({"size"} if self.megapixel else frozenset())

    def value(self, name: str, said: Mapping[str, str | None]) -> str | None:
        """Return an event's value of a dimension, or what its silence means."""
        return said.get(name) or self.defaults.get(name)

    def holds(self, said: Mapping[str, str | None]) -> bool:
        """Say whether this row is for events that say this."""
        return all(self.value(name, said) in wanted for name, wanted in self.when.items())

    def of(self, provider: str, model: str) -> Row:
        """Return this row for a model of a provider."""
        return replace(self, provider=provider, model=model)


@dataclass(frozen=True, slots=True)
class Factor:
    """What multiplies a model's prices under these dimensions: flex is half."""

    provider: str
    model: str
    when: When
    factor: Decimal
    origin: Origin
    window: Window = ALWAYS


@dataclass(frozen=True, slots=True)
class UnitRate:
    """What a vendor's unit is worth in USD: `usd` for one, or `per_usd` of them for one."""

    provider: str | None  # None: a currency, of all providers
    unit: str
    amount: Decimal
    inverse: bool  # `amount` units are 1 USD
    origin: Origin
    window: Window = ALWAYS
    regions: frozenset[str] = frozenset()  # where what is charged is in this unit; empty: all


@dataclass(frozen=True, slots=True)
class Dimension:
    """Where a dimension's value is found in an event, and how it is translated."""

    name: str
    sources: tuple[str, ...]  # properties, the first that is said counts
    values: Mapping[str, str] = field(default_factory=dict[str, str])
    up_to: tuple[tuple[str, int], ...] = ()  # a class for each number of pixels, inclusive


@dataclass(frozen=True, slots=True)
class Sheet:
    """All that one file says."""

    rows: tuple[Row, ...] = ()
    factors: tuple[Factor, ...] = ()
    units: tuple[UnitRate, ...] = ()
    dimensions: Mapping[tuple[str, str], Dimension] = field(
        default_factory=dict[tuple[str, str], Dimension]
    )  # by provider and name
    digest: str = ""
