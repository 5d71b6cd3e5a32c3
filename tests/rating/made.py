"""Short ways to write events, meters and prices in tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from tokenmeter.event import Event
from tokenmeter.rating.aggregation import Measurement
from tokenmeter.rating.filters import filters_of
from tokenmeter.rating.meter import Aggregation, AggregationType, Meter
from tokenmeter.rating.models import FlatFee, Model, Slab, Tier, Volume
from tokenmeter.rating.price import Cadence, Price, PriceType
from tokenmeter.rating.windows import Period, Window

START = datetime(2026, 3, 1, tzinfo=UTC)
MARCH = Period(START, datetime(2026, 4, 1, tzinfo=UTC))


def d(text: str | int) -> Decimal:
    """A decimal."""
    return Decimal(text)


def event(
    key: str,
    hours: float = 0,
    name: str = "image_generated",
    /,
    **properties: str | int | Decimal,
) -> Event:
    """An event some hours into March 2026."""
    return Event(name, key, "cust_001", START + timedelta(hours=hours), properties)


def meter(
    kind: AggregationType = AggregationType.SUM,
    field: str = "tokens",
    /,
    *,
    bucket: Window | None = None,
    group_by: str = "",
    **filters: str,
) -> Meter:
    """A meter of image_generated."""
    rule = Aggregation(kind, field, bucket_size=bucket, group_by=group_by)
    return Meter("m", "image_generated", rule, filters_of(filters), meter_id="meter_1")


def price(
    model: Model, key: str = "price_1", currency: str = "usd", /, **filters: object
) -> Price:
    """A usage price of the meter."""
    return Price(key, currency, model, meter_id="meter_1", filters=filters_of(filters))


def fixed(model: Model, key: str = "fixed_1", *, at_least: int = 0) -> Price:
    """A fixed price."""
    return Price(
        key,
        "usd",
        model,
        type=PriceType.FIXED,
        cadence=Cadence.ADVANCE,
        min_quantity=Decimal(at_least),
    )


def flat(amount: str) -> FlatFee:
    """Every unit at one amount."""
    return FlatFee(Decimal(amount))


def tiers(*spans: tuple[str | None, str, str]) -> tuple[Tier, ...]:
    """Tiers from (up_to, unit amount, flat amount)."""
    return tuple(Tier(d(unit), None if up is None else d(up), d(f)) for up, unit, f in spans)


CLIFF = tiers(("1000", "0.10", "0"), (None, "0.05", "0"))
VOLUME = Volume(CLIFF)
SLAB = Slab(CLIFF)


def used(quantity: str | int) -> Measurement:
    """What a meter measured."""
    return Measurement(Decimal(quantity))
