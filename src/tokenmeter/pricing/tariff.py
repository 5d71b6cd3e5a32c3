"""The rates of one model for one kind of request, over time: a card for each price window."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING

from tokenmeter.pricing import names
from tokenmeter.pricing.card import Band, Card, Unit, over, times

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice, TieredPrices
    from genai_prices.units import UnitDef

    Rated = tuple[UnitDef, Decimal | TieredPrices]

_ANY_DAY = date(1970, 1, 1)
_ONE = Decimal(1)


@dataclass(frozen=True, slots=True)
class Terms:
    """What a request asks for beyond the model: tier and speed, place, and what we noticed."""

    context: Mapping[str, str]  # by which genai-prices selects variants
    variants: bool = True  # False: the model is another provider's, variants do not hold
    factor: Decimal | None = None  # on token rates
    seconds_min: int = 0
    notes: tuple[str, ...] = ()


class Tariff:
    """
    The rate cards of one model under one set of terms.

    Prices are dated and some depend on the hour; `card` gives those of an event's own time.
    """

    def __init__(self, model: ModelInfo, terms: Terms, units: Mapping[str, UnitDef]) -> None:
        self._model = model
        self._terms = terms
        self._units = units
        self._days, self._hours = _boundaries(model)
        self._cards: dict[tuple[int, int], Card] = {}  # at most one for each price window

    def card(self, moment: datetime) -> Card:
        """Return the rates that held at `moment`; a time without a zone is taken as UTC."""
        if moment.tzinfo is not UTC:
            moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
        window = (
            bisect_right(self._days, moment.date()) if self._days else 0,
            bisect_right(self._hours, moment.time()) if self._hours else 0,
        )
        card = self._cards.get(window)
        if card is None:
            card = self._cards[window] = self._card_at(moment)
        return card

    def _card_at(self, moment: datetime) -> Card:
        terms = self._terms
        context = terms.context if terms.variants else {}
        prices = self._model.get_prices(moment, context or None)
        rated = _rated(prices, self._units)
        units = _units([unit for unit, _ in rated])
        bands = _bands(rated, terms.factor or _ONE)
        return Card(
            model=self._model.id,
            units=units,
            rates=bands[-1].rates,
            bands=bands[:-1],
            priced=priced,
            unrated=tuple(name for name in names.BILLED if name not in priced),
            request_rate=None if rate is None else over(rate, 1000),
            notes=(*terms.notes, *self._not_in_book(moment)),
            draws="output_image_tokens" in priced,
            draws_only=self._model.id.startswith(names.DRAWS_ONLY),
            modal_cache=any(name in priced for name in names.MODAL_CACHE),
            seconds_min=terms.seconds_min,
        )

    def _not_in_book(self, moment: datetime) -> Iterator[str]:
        """Name each asked term for which the book has no rates at this time."""
        active = [
            variant.when
            for variant in (self._model.price_variants or () if self._terms.variants else ())
            if variant.constraint is None or variant.constraint.active(moment)
        ]
        for key, value in self._terms.context.items():
            if not any(when.get(key) == value for when in active):
                yield f"no {key}={value} rates in the price book: standard rates are used"


def _rated(prices: ModelPrice, known: Mapping[str, UnitDef]) -> list[Rated]:
    """Return what a model charges for and our events can report, the innermost units first."""
    rated: list[Rated] = [
        (known[key], price)
        for key, price in prices.__dict__.items()
        if price is not None and key in known and known[key].usage_key in names.METRICS
    ]
    return sorted(rated, key=_depth)


def _depth(rated: Rated) -> tuple[int, str]:
    return (-len(rated[0].dimensions), rated[0].usage_key)


def _units(defined: list[UnitDef]) -> tuple[Unit, ...]:
    """A unit lies within another if it has all dimensions of that one, and more."""
    return tuple(
        Unit(
            names.METRICS[unit.usage_key],
            1 if _is_exact(unit.per) else unit.per,
            tuple(
                inner
                for inner, other in enumerate(defined[:place])
                if unit.dimensions.items() <= other.dimensions.items()
            ),
        )
        for place, unit in enumerate(defined)
    )


def _bands(rated: list[Rated], factor: Decimal) -> tuple[Band, ...]:
    """Return the rates for each length of the prompt, the longest first."""
    starts = {
        tier.start for _, price in rated if not isinstance(price, Decimal) for tier in price.tiers
    }
    return tuple(
        Band(start, tuple(_rate(unit, _price(price, start), factor) for unit, price in rated))
        for start in (*sorted(starts, reverse=True), -1)
    )


def _price(price: Decimal | TieredPrices, start: int) -> Decimal:
    """Return the price of a prompt just longer than `start`."""
    if isinstance(price, Decimal):
        return price
    reached = [tier.price for tier in price.tiers if tier.start <= start]  # lowest start first
    return reached[-1] if reached else price.base


def _rate(unit: UnitDef, price: Decimal, factor: Decimal) -> Decimal:
    """Return the rate for one where that is exact (10^n), so that a part is one operation."""
    rate = times(price, factor) if unit.dimensions.get("family") == "tokens" else price
    return over(rate, unit.per) if _is_exact(unit.per) else rate


def _is_exact(per: int) -> bool:
    return per == 10 ** (len(str(per)) - 1)


def _boundaries(model: ModelInfo) -> tuple[list[date], list[time]]:
    """Return the days (UTC) and the times of day (UTC) at which this model's prices change."""
    from genai_prices.types import StartDateConstraint  # loaded by now

    priced = model.prices if isinstance(model.prices, list) else []
    constraints = [entry.constraint for entry in (*priced, *(model.price_variants or ()))]
    days: set[date] = set()
    hours: set[time] = set()
    for constraint in constraints:
        if isinstance(constraint, StartDateConstraint):
            days.add(constraint.start_date)
        elif constraint is not None:
            hours |= {_utc(constraint.start_time), _utc(constraint.end_time)}
    return sorted(days), sorted(hours)


def _utc(moment: time) -> time:
    if moment.tzinfo is None:
        return moment
    return datetime.combine(_ANY_DAY, moment).astimezone(UTC).time()
