"""The rates of one model for one kind of request, over time: a card for each price window."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING

from tokenmeter.pricing import names, rates
from tokenmeter.pricing.card import Card

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo
    from genai_prices.units import UnitDef

_ANY_DAY = date(1970, 1, 1)
_ONE = Decimal(1)


@dataclass(frozen=True, slots=True)
class Terms:
    """What a request asks for beyond the model: tier and speed, place, and what we noticed."""

    context: Mapping[str, str]  # by which genai-prices selects variants
    variants: bool = True  # False: the model is another provider's, variants do not hold
    factor: Decimal | None = None  # on token rates
    seconds_min: int = 0
    grounded_once: bool = False
    by_the_piece: Mapping[str, Decimal] = field(default_factory=dict[str, Decimal])
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

    def window(self, moment: datetime) -> tuple[datetime, datetime] | None:
        """Return since when and until when this moment's card holds; None if the hour counts."""
        if self._hours:
            return None
        day = moment.astimezone(UTC).date() if moment.tzinfo else moment.date()
        place = bisect_right(self._days, day)
        days = [date.min, *self._days, date.max]
        since, until = (datetime.combine(each, time(), UTC) for each in days[place : place + 2])
        return since, until

    def _card_at(self, moment: datetime) -> Card:
        terms = self._terms
        context = terms.context if terms.variants else {}
        moment, since = self._in_book(moment, context)
        prices = self._model.get_prices(moment, context or None)
        more = names.MORE_RATES.get(self._model.id, {})
        rated = rates.rated(prices, self._units, more)
        pieces = terms.by_the_piece
        rated = [entry for entry in rated if names.METRICS[entry[0].usage_key] not in pieces]
        *bands, short = rates.bands(rated, terms.factor or _ONE, rates.by_the_piece(pieces))
        priced = frozenset(unit.metric for unit in short.units)
        return Card(
            model=self._model.id,
            units=short.units,
            bands=tuple(bands),
            priced=priced,
            unrated=names.unrated(priced),
            request_rate=rates.request_rate(prices),
            notes=(*terms.notes, *since, *self._not_in_book(moment)),
            draws="output_image_tokens" in priced,
            draws_only=self._model.id.startswith(names.DRAWS_ONLY),
            modal_cache=names.modal_cache(priced),
            seconds_min=terms.seconds_min,
            grounded_once=terms.grounded_once,
        )

    def _in_book(
        self, moment: datetime, context: Mapping[str, str]
    ) -> tuple[datetime, tuple[str, ...]]:
        """
        Return the time at which the book says what the asked terms cost, and a note if later.

        It took most discounts up long after they were given: a batch of July costs what the
        book says of October, if the standard rates were the same.
        """
        if not context or not any(self._not_in_book(moment)):
            return moment, ()
        standard = self._model.get_prices(moment, None)
        for day in self._days:
            later = datetime.combine(day, time(), UTC)
            if later <= moment or any(self._not_in_book(later)):
                continue
            if self._model.get_prices(later, None) != standard:
                break
            asked = ", ".join(f"{key}={value}" for key, value in context.items())
            return later, (f"{asked}: the rates of {day} are used, the first in the price book",)
        return moment, ()

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
    zoned = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return datetime.combine(_ANY_DAY, zoned).astimezone(UTC).time()
