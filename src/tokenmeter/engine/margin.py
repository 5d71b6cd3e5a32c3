"""Charge beside cost: what customers are charged, what providers bill, what is left."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from tokenmeter.engine import query
from tokenmeter.engine.billing import Billing
from tokenmeter.engine.charging import Charged
from tokenmeter.engine.contract import Contract
from tokenmeter.engine.invoicing import rate_usage
from tokenmeter.engine.metering import CUSTOMER_NAMES, GROUPS_MAX, MeterQuery, measure
from tokenmeter.engine.store.documents import Documents
from tokenmeter.engine.store.protocol import Store
from tokenmeter.errors import QueryError
from tokenmeter.rating.filters import ALIASES, choose
from tokenmeter.rating.price import Price
from tokenmeter.rating.rounding import ZERO, divided, minus, plus, times
from tokenmeter.rating.selection import steps
from tokenmeter.rating.windows import Period

HUNDRED = Decimal(100)
COST_CURRENCY = "usd"  # of cost_usd
Group = tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class MarginRow:
    """
    One group's charge and cost, in USD, not rounded.

    `charge` is each price's amount shared out by quantity, so that the groups add up to the
    total. `unpriced_events` have no cost although something was used: the margin is less.
    """

    group: Mapping[str, str | None]
    charge: Decimal
    cost: Decimal | None
    unpriced_events: int = 0

    @property
    def margin(self) -> Decimal | None:
        """What is left; None where no cost is known."""
        return None if self.cost is None else minus(self.charge, self.cost)

    @property
    def margin_percent(self) -> Decimal | None:
        """The margin as a part of the charge; 0 where nothing is charged."""
        return None if self.margin is None else percent(self.margin, self.charge)


def percent(part: Decimal, whole: Decimal) -> Decimal:
    """Tell a part in percent, to 16 places; of nothing it is 0."""
    return divided(times(part, HUNDRED), whole) if whole else ZERO


def margins(
    store: Store,
    billing: Billing,
    names: Sequence[str],
    asked: tuple[datetime, datetime, str],
    environment: str,
) -> list[MarginRow]:
    """
    Set what is charged beside what it costs, by `customer`, `feature`, `model`, any property.

    `asked` is the start, the end and a customer, "" for all. The largest charge comes first.
    """
    start, end, customer = asked
    charges: dict[Group, Decimal] = {}
    for contract in contracts(store, billing, customer, environment):
        held = Period(start, end).within(contract.start, contract.end)
        if held is not None and contract.currency == COST_CURRENCY:
            for group, amount in _shared(store, contract, held, names, environment):
                charges[group] = plus((charges.get(group, ZERO), amount))
    costs = _costs(store, names, asked, environment)
    rows = [
        MarginRow(
            dict(zip(names, group, strict=True)),
            charges.get(group, ZERO),
            *costs.get(group, (None, 0)),
        )
        for group in {**charges, **costs}
    ]
    return sorted(rows, key=lambda r: (-r.charge, str(r.group)))


def contracts(
    store: Store, billing: Billing, customer: str, environment: str
) -> Iterator[Contract]:
    """Read the contracts of a customer (by the id of either side), or all."""
    with store.reading() as connection:
        documents = Documents(connection, environment)
        parent: str | None = None
        if customer:
            found = documents.find("customer", customer)
            found = found or documents.by_lookup_key("customer", customer)
            parent = "" if found is None else found.id
        held = [d.id for d in documents.all("subscription", parent=parent)]
    for subscription_id in held:
        yield billing.contract(subscription_id)


def charged_in(
    store: Store, contract: Contract, period: Period, environment: str
) -> list[Charged]:
    """Rate the usage of any stretch of time, as one period."""
    return rate_usage(store, contract, period, environment)[0]


def _shared(
    store: Store, contract: Contract, period: Period, names: Sequence[str], environment: str
) -> Iterator[tuple[Group, Decimal]]:
    """Share out each charge over the groups, by their quantity under its price."""
    by_price: dict[str, list[Decimal]] = {}
    prices: dict[str, list[Price]] = {}
    for charged in charged_in(store, contract, period, environment):
        price = charged.charge.price
        by_price.setdefault(price.key, []).append(charged.charge.unrounded)
        if price.meter_id and price not in prices.setdefault(price.meter_id, []):
            prices[price.meter_id].append(price)
    for meter_id, several in prices.items():
        used = _used(store, contract, (meter_id, several, period), names, environment)
        for key, groups in used.items():
            amount, whole = plus(by_price.pop(key)), plus(groups.values())
            for group, quantity in groups.items():
                yield group, divided(times(amount, quantity), whole) if whole else ZERO
    idle = tuple(contract.external_id if name in CUSTOMER_NAMES else None for name in names)
    for amounts in by_price.values():
        if any(amounts):
            yield idle, plus(amounts)  # a true-up, or an empty bucket's flat amount: of no event


def _used(
    store: Store,
    contract: Contract,
    asked: tuple[str, Sequence[Price], Period],
    names: Sequence[str],
    environment: str,
) -> dict[str, dict[Group, Decimal]]:
    meter_id, prices, period = asked
    wanted = _wanted(prices, names)
    found: dict[str, dict[Group, Decimal]] = {}
    for part in steps(prices, period):
        current = [p for p in prices if p.is_current(part.start)]
        asking = MeterQuery(
            contract.meters[meter_id],
            (contract.external_id,),
            part.start,
            part.end,
            group_by=wanted,
            zone=contract.zone,
        )
        for quantity in measure(store, asking, environment):
            properties = {k: v for k, v in quantity.group.items() if v is not None}
            price = choose(current, properties)
            if price is not None and quantity.quantity:
                group = tuple(quantity.group[name] for name in names)
                held = found.setdefault(price.key, {})
                held[group] = plus((held.get(group, ZERO), quantity.quantity))
    return found


def _wanted(prices: Sequence[Price], names: Sequence[str]) -> tuple[str, ...]:
    """Name what to group by, and what tells the prices apart."""
    keys = [n for p in prices for f in p.filters for n in ALIASES.get(f.key, (f.key,))]
    wanted = tuple(dict.fromkeys((*names, *keys)))
    if len(wanted) > GROUPS_MAX:
        raise QueryError(
            f"the prices tell events apart by {len(keys)} properties; group by fewer than "
            f"{len(names)} more"
        )
    return wanted


def _costs(
    store: Store,
    names: Sequence[str],
    asked: tuple[datetime, datetime, str],
    environment: str,
) -> dict[Group, tuple[Decimal | None, int]]:
    start, end, customer = asked
    filters: dict[str, object] = {"customer": customer} if customer else {}
    wanted = query.conditions(start=start, end=end, filters=filters, environment=environment)
    grouping = query.grouping([_own(n) for n in names], None)
    rows = query.usage(store, wanted, grouping, metrics=())
    return {tuple(row.group[_own(n)] for n in names): (row.cost_usd, row.unpriced) for row in rows}


def _own(name: str) -> str:
    return "customer" if name in CUSTOMER_NAMES else name
