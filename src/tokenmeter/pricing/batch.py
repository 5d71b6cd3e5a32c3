"""A batch: what its requests will use together, where its body holds them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from itertools import chain

from tokenmeter.money import Money
from tokenmeter.pricing.asked import Asked, Forecast
from tokenmeter.pricing.history import Spread
from tokenmeter.pricing.quote import Quote, Range
from tokenmeter.providers.base import Call, Json
from tokenmeter.usage import NOTHING, Number

REQUESTS_MAX = 100_000  # Anthropic takes no more; each prompt is counted
TIER = {"service_tier": "batch"}


def each_asked(call: Call, body: Json) -> list[Asked]:
    """Read what a call asks for: one thing, but of a batch one for each model in its body."""
    held = None if call.api.held is None else call.api.held(call, body)
    if not held or len(held) > REQUESTS_MAX:
        return [Asked.of_call(call, body)]
    alike: dict[tuple[object, ...], list[Asked]] = {}
    for one in (Asked.of_call(*request) for request in held):
        alike.setdefault((one.model, *sorted(one.dimensions.items())), []).append(one)
    return [_of(call, requests) for requests in alike.values()]


def _of(call: Call, requests: list[Asked]) -> Asked:
    first = requests[0]
    return Asked(
        call.provider,
        first.model,
        call.api.event_name,
        call.api.operation,
        {**first.dimensions, **TIER},
        requests=tuple(requests),
    )


def summed(forecasts: Sequence[Forecast]) -> Forecast:
    """Return what several requests will use together."""
    total = Forecast({})
    for metric in dict.fromkeys(chain.from_iterable((*f.sure, *f.open) for f in forecasts)):
        spreads = [_spread(f, metric) for f in forecasts]
        low, expected, high = (sum(numbers) for numbers in zip(*spreads, strict=True))
        total.add(metric, Spread(low, expected, high), exact=True)
    total.exact = all(f.exact for f in forecasts)
    total.basis = [f"{len(forecasts)} requests", *_once(f.basis for f in forecasts)]
    total.notes = _once(f.notes for f in forecasts)
    return total


def _spread(of: Forecast, metric: str) -> Spread:
    found = of.open.get(metric)
    if found is not None:
        return found
    sure: Number = of.sure.get(metric, 0)
    return Spread(sure, sure, sure)


def _once(lists: Iterable[Sequence[str]]) -> list[str]:
    return list(dict.fromkeys(chain.from_iterable(lists)))


def together(quotes: Sequence[Quote]) -> Quote:
    """Return the quote of several things that are made by one call."""
    if len(quotes) == 1:
        return quotes[0]
    return Quote(
        provider=quotes[0].provider,
        model=None,
        cost=_total([q.cost for q in quotes]),
        charge=_total([q.charge for q in quotes]),
        basis=", ".join(f"{q.model}: {q.basis}" for q in quotes),
        notes=tuple(_once(q.notes for q in quotes)),
        usage=sum((q.usage for q in quotes), NOTHING),
        customer=quotes[0].customer,
        exact=all(q.exact for q in quotes),
        parts=tuple(chain.from_iterable(q.parts for q in quotes)),
        events=tuple(chain.from_iterable(q.events for q in quotes)),
        most=tuple(chain.from_iterable(q.most for q in quotes)),
    )


def _total(ranges: Sequence[Range | None]) -> Range | None:
    """Add up; None if one is not known, or in another currency."""
    known = [found for found in ranges if found is not None]
    if len(known) < len(ranges) or len({found.high.currency for found in known}) > 1:
        return None
    return Range(
        _sum(found.low for found in known),
        _sum(found.expected for found in known),
        _sum(found.high for found in known),
    )


def _sum(amounts: Iterable[Money]) -> Money:
    first, *others = amounts
    total = sum((each.amount for each in others), Decimal(first.amount))
    return Money(total, first.currency)
