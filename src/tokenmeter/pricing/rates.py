"""From genai-prices' model prices to the units and rates of a card. Pure; done once a card."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING

from tokenmeter.pricing import names
from tokenmeter.pricing.card import Band, Unit, over, times

if TYPE_CHECKING:
    from genai_prices.types import ModelPrice, TieredPrices
    from genai_prices.units import UnitDef

    Rated = tuple[UnitDef, Decimal | TieredPrices]


def rated(
    prices: ModelPrice, known: Mapping[str, UnitDef], more: Mapping[str, Decimal]
) -> list[Rated]:
    """
    Return what a model charges for and our events can report, the innermost units first.

    `more` are rates for what these prices say nothing of.
    """
    said = {key: price for key, price in prices.__dict__.items() if price is not None}
    rated: list[Rated] = [
        (known[key], price)
        for key, price in {**more, **said}.items()
        if key in known and known[key].usage_key in names.METRICS
    ]
    return sorted(rated, key=_depth)


def _depth(rated: Rated) -> tuple[int, str]:
    return (-len(rated[0].dimensions), rated[0].usage_key)


def bands(rated: list[Rated], factor: Decimal, more: tuple[Unit, ...]) -> tuple[Band, ...]:
    """Return the units for each length of the prompt, the longest first; `more` is in each."""
    starts = {
        tier.start for _, price in rated if not isinstance(price, Decimal) for tier in price.tiers
    }
    return tuple(
        Band(start, (*_units([(u, _price(price, start)) for u, price in rated], factor), *more))
        for start in (*sorted(starts, reverse=True), -1)
    )


def by_the_piece(rates: Mapping[str, Decimal]) -> tuple[Unit, ...]:
    """Return units that are billed by themselves, each one."""
    return tuple(Unit(metric, rate, 1, ()) for metric, rate in rates.items())


def _units(priced: list[tuple[UnitDef, Decimal]], factor: Decimal) -> tuple[Unit, ...]:
    return tuple(
        Unit(
            names.METRICS[unit.usage_key],
            _rate(unit, price, factor),
            1 if _is_exact(unit.per) else unit.per,
            _within(unit, [earlier for earlier, _ in priced[:place]]),
        )
        for place, (unit, price) in enumerate(priced)
    )


def _within(unit: UnitDef, earlier: list[UnitDef]) -> tuple[int, ...]:
    """A unit lies within another if it has all dimensions of that one, and more."""
    wanted = unit.dimensions.items()
    return tuple(
        place for place, other in enumerate(earlier) if wanted <= other.dimensions.items()
    )


def request_rate(prices: ModelPrice) -> Decimal | None:
    """Return what each request costs by itself, if it does."""
    per_thousand = prices.__dict__.get("requests_kcount")
    return over(per_thousand, 1000) if isinstance(per_thousand, Decimal) else None


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
    return str(per).rstrip("0") == "1"
