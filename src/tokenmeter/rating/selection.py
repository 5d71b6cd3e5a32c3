"""Which price of a meter bills which event."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tokenmeter.rating.filters import choose
from tokenmeter.rating.meter import Meter, MeterEvent, Sample
from tokenmeter.rating.price import Price
from tokenmeter.rating.windows import Period


@dataclass(frozen=True, slots=True)
class Assignment:
    """A meter's samples by the key of the price that bills them; `unpriced` is never charged 0."""

    by_price: Mapping[str, tuple[Sample, ...]]
    unpriced: tuple[Sample, ...]


def assign(meter: Meter, prices: Sequence[Price], events: Iterable[MeterEvent]) -> Assignment:
    """
    Give every event of a meter to one price: the most specific that is in force at its time.

    A price that bills nothing is listed with no samples.
    """
    held: dict[str, list[Sample]] = {price.key: [] for price in prices}
    unpriced: list[Sample] = []
    for event in events:
        sample = meter.sample(event)
        if sample is None:
            continue
        current = (p for p in prices if p.is_current(event.timestamp))
        price = choose(current, event.properties)
        (unpriced if price is None else held[price.key]).append(sample)
    return Assignment({key: tuple(held[key]) for key in held}, tuple(unpriced))


def steps(prices: Iterable[Price], period: Period) -> Iterator[Period]:
    """Cut a period where a price comes into force or ends: within a step the same ones hold."""
    moments = {m for p in prices for m in (p.start, p.end) if m is not None}
    inner = sorted(m for m in moments if period.start < m < period.end)
    for start, end in pairwise([period.start, *inner, period.end]):
        yield Period(start, end)
