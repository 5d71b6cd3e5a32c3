"""What one event adds to a customer's invoice: an estimate; the invoice is the truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from tokenmeter.engine.allowances import allowance_window
from tokenmeter.engine.contract import Contract
from tokenmeter.engine.metering import Assignments, MeterQuery, assignments
from tokenmeter.engine.store.protocol import Store
from tokenmeter.event import Event
from tokenmeter.rating.allowance import covered
from tokenmeter.rating.entitlement import Entitlement
from tokenmeter.rating.filters import choose
from tokenmeter.rating.meter import AggregationType, Meter
from tokenmeter.rating.models import FlatFee, total
from tokenmeter.rating.price import Price
from tokenmeter.rating.rounding import EXACT, ZERO, minus, plain, plus
from tokenmeter.rating.windows import Period

SOURCE = "estimated"
ADDING = frozenset(
    {
        *(AggregationType.SUM, AggregationType.COUNT, AggregationType.SUM_WITH_MULTIPLIER),
        *(AggregationType.MAX, AggregationType.WEIGHTED_SUM),
    }
)


@dataclass(frozen=True, slots=True)
class EventCharge:
    """
    The marginal charge of an event at the customer's running quantity, not rounded.

    `amount` is None if no price bills the event, or none whose share one event has.
    """

    amount: Decimal | None
    currency: str
    price_ids: tuple[str, ...] = ()

    def properties(self) -> dict[str, str]:
        """Write it as an event carries it."""
        if self.amount is None:
            return {"charge_source": "unpriced"}
        return {
            "charge": plain(self.amount),
            "charge_currency": self.currency,
            "charge_source": SOURCE,
        }


def estimate(
    store: Store, contract: Contract, event: Event, period: Period, environment: str
) -> EventCharge:
    """
    Tell what an event costs its customer: marginal, at what was used in the period before it.

    Included usage comes off first, of the allowance's own window where nothing but that depends
    on other usage; a volume price that falls may make it negative.
    """
    amounts: list[Decimal] = []
    ids: list[str] = []
    for meter_id, prices in prices_by_meter(contract).items():
        meter = contract.meters[meter_id]
        sample = meter.sample(event)
        if sample is None or meter.aggregation.kind not in ADDING or not sample.quantity:
            continue
        price = choose((p for p in prices if p.is_current(event.timestamp)), event.properties)
        if price is None:
            continue
        ids.append(price.price_id)
        if is_flat(contract, meter, prices):
            amounts.append(total(price.lines(sample.quantity)))
            continue
        start = counted_in(contract, meter, prices, period, event.timestamp).start
        held = _before(store, contract, (meter, prices, start), event, environment)
        before = {key: quantity.quantity for key, quantity in held.by_price.items()}
        more = (price.key, sample.quantity)
        amounts.append(_added(contract, meter, prices, before, more))
    return EventCharge(plus(amounts) if ids else None, contract.currency, tuple(ids))


def prices_by_meter(contract: Contract) -> dict[str, list[Price]]:
    """Return the prices that bill usage, by meter."""
    found: dict[str, list[Price]] = {}
    for item in contract.usage_items():
        found.setdefault(item.price.meter_id, []).append(item.price)
    return found


def is_flat(contract: Contract, meter: Meter, prices: Sequence[Price]) -> bool:
    """Whether every unit costs the same, whatever was used before."""
    if meter.meter_id in contract.allowances or meter.aggregation.kind is AggregationType.MAX:
        return False
    return all(isinstance(price.money_model, FlatFee) for price in prices)


def counted_in(
    contract: Contract, meter: Meter, prices: Sequence[Price], period: Period, at: datetime
) -> Period:
    """Return in which window the usage lies that a later price depends on."""
    allowance = contract.allowances.get(meter.meter_id)
    if allowance is None or not all(isinstance(p.money_model, FlatFee) for p in prices):
        return period
    return allowance_window(contract, period, allowance, at)


def _before(
    store: Store,
    contract: Contract,
    asked: tuple[Meter, list[Price], datetime],
    event: Event,
    environment: str,
) -> Assignments:
    meter, prices, start = asked
    end = max(start, event.timestamp)
    query = MeterQuery(meter, (contract.external_id,), start, end, zone=contract.zone)
    return assignments(store, query, prices, environment)


def _added(
    contract: Contract,
    meter: Meter,
    prices: Sequence[Price],
    before: Mapping[str, Decimal],
    more: tuple[str, Decimal],
) -> Decimal:
    """Take what the meter's prices come to without the event from what they come to with it."""
    key, quantity = more
    own = before[key]
    is_max = meter.aggregation.kind is AggregationType.MAX
    whole = max(own, quantity) if is_max else EXACT.add(own, quantity)
    after = {**before, key: whole}
    allowance = contract.allowances.get(meter.meter_id)
    return minus(cost_of(prices, after, allowance), cost_of(prices, before, allowance))


def cost_of(
    prices: Sequence[Price], used: Mapping[str, Decimal], allowance: Entitlement | None
) -> Decimal:
    """Price quantities after what is included."""
    free = dict.fromkeys(used, ZERO)
    if allowance is not None:
        free = covered(allowance, {key: [value] for key, value in used.items()})
    left = {key: minus(value, free[key]) for key, value in used.items()}
    return plus(total(p.lines(left[p.key])) for p in prices)
