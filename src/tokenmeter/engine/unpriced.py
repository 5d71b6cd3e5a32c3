"""Usage that no price bills: shown with what it is, never charged 0."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from tokenmeter.engine.charging import Measured
from tokenmeter.engine.contract import Contract
from tokenmeter.engine.metering import GROUPS_MAX, MeterQuery, measure
from tokenmeter.engine.store.protocol import Store
from tokenmeter.rating.filters import ALIASES, choose, matches
from tokenmeter.rating.meter import Meter
from tokenmeter.rating.price import Price
from tokenmeter.rating.rounding import ZERO, plain, plus
from tokenmeter.rating.selection import steps
from tokenmeter.rating.windows import Period

SHOWN = ("provider", "model")  # always told apart
TOO_MANY = (
    f"the prices tell events apart by more than {GROUPS_MAX} properties; whether some events have "
    "no price was not looked up"
)
Group = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Unpriced:
    """Events of one kind that no price bills, and what meters counted of them."""

    event_name: str
    properties: Mapping[str, str]
    events: int
    quantities: Mapping[str, Decimal]  # by the meter's name
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """Write it as JSON."""
        return {
            "event_name": self.event_name,
            "properties": dict(self.properties),
            "events": self.events,
            "quantities": {k: plain(v) for k, v in self.quantities.items()},
            "reason": self.reason,
        }


@dataclass(frozen=True, slots=True)
class _Seen:
    meter: Meter
    quantity: Decimal
    events: int


def unpriced(
    store: Store,
    contract: Contract,
    period: Period,
    found: Mapping[str, Measured],
    environment: str,
) -> list[Unpriced]:
    """
    List the events that some meter counts and no price of the subscription bills.

    An event is billed if one of its meters' prices matches and its quantity is above 0: an
    image that is sold by the piece need not be sold by tokens, too.
    """
    listed: list[Unpriced] = []
    by_name: dict[str, list[Meter]] = {}
    for meter in contract.meters.values():
        by_name.setdefault(meter.event_name, []).append(meter)
    for name, meters in sorted(by_name.items()):
        if not any(_bills_all(m, found) for m in meters):
            ids = {m.meter_id for m in meters}
            prices = [i.price for i in contract.usage_items() if i.price.meter_id in ids]
            for part in steps(prices, period):
                listed += _of_name(store, contract, part, (name, meters), environment)
    return _merged(listed)


def _bills_all(meter: Meter, found: Mapping[str, Measured]) -> bool:
    known = found.get(meter.meter_id)
    if known is None or meter.filters or not known.prices:
        return False
    answers = known.found.by_price.values()
    return not known.found.unpriced.events and all(q.quantity or not q.events for q in answers)


def _of_name(
    store: Store,
    contract: Contract,
    period: Period,
    named: tuple[str, Sequence[Meter]],
    environment: str,
) -> Iterator[Unpriced]:
    name, meters = named
    items = [i for i in contract.usage_items() if period.within(i.price.start, i.price.end)]
    prices = {
        m.meter_id: [i.price for i in items if i.price.meter_id == m.meter_id] for m in meters
    }
    names = _names(meters, prices)
    if len(names) > GROUPS_MAX:
        yield Unpriced(name, {}, 0, {}, TOO_MANY)
        return
    seen = _seen(store, contract, period, (meters, names), environment)
    for group, counted in sorted(seen.items()):
        properties = dict(group)
        matching = [s for s in counted if _price(s.meter, prices, properties) is not None]
        if not any(s.quantity for s in matching):
            yield _lacking(name, properties, counted, matching)


def _lacking(
    name: str, properties: Mapping[str, str], counted: list[_Seen], matching: list[_Seen]
) -> Unpriced:
    """Say what these events have no price for, and why not."""
    fields = ", ".join(sorted({s.meter.aggregation.field for s in matching if s.events}))
    return Unpriced(
        name,
        properties,
        max(s.events for s in counted),
        {s.meter.name: s.quantity for s in counted if s.quantity},
        f"the events have no {fields}" if fields else "no price matches",
    )


def _seen(
    store: Store,
    contract: Contract,
    period: Period,
    asked: tuple[Sequence[Meter], tuple[str, ...]],
    environment: str,
) -> dict[Group, list[_Seen]]:
    meters, names = asked
    seen: dict[Group, list[_Seen]] = {}
    for meter in meters:
        query = MeterQuery(
            meter,
            (contract.external_id,),
            period.start,
            period.end,
            group_by=names,
            zone=contract.zone,
        )
        for quantity in measure(store, query, environment):
            group = tuple((k, v) for k, v in quantity.group.items() if v is not None)
            seen.setdefault(group, []).append(_Seen(meter, quantity.quantity, quantity.events))
    return seen


def _names(meters: Iterable[Meter], prices: Mapping[str, Sequence[Price]]) -> tuple[str, ...]:
    """Name the properties by which prices and meters tell events apart."""
    keys = [
        f.key
        for m in meters
        for f in (*m.filters, *(f for p in prices[m.meter_id] for f in p.filters))
    ]
    names = [name for key in keys for name in ALIASES.get(key, (key,))]
    return tuple(dict.fromkeys((*SHOWN, *names)))


def _price(
    meter: Meter, prices: Mapping[str, Sequence[Price]], properties: Mapping[str, str]
) -> Price | None:
    if not matches(meter.filters, properties):
        return None
    return choose(prices[meter.meter_id], properties)


def _merged(listed: Iterable[Unpriced]) -> list[Unpriced]:
    """Add up what was found before and after a price changed."""
    held: dict[object, Unpriced] = {}
    for one in listed:
        key = (one.event_name, tuple(one.properties.items()), one.reason)
        held[key] = _sum(held[key], one) if key in held else one
    return list(held.values())


def _sum(one: Unpriced, other: Unpriced) -> Unpriced:
    names = {**one.quantities, **other.quantities}
    sums = {n: plus(x.quantities.get(n, ZERO) for x in (one, other)) for n in names}
    return replace(one, events=one.events + other.events, quantities=sums)
