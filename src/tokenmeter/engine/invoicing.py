"""An invoice from a subscription and a period: built the same way each time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from tokenmeter.engine.advances import late_advances, next_advances, opening_charges
from tokenmeter.engine.allowances import term_of
from tokenmeter.engine.charging import (
    Charged,
    Measured,
    fixed_charges,
    line_id,
    usage_charges,
)
from tokenmeter.engine.committed import Before, without_promises
from tokenmeter.engine.contract import Contract
from tokenmeter.engine.rhythm import own_period
from tokenmeter.engine.store.protocol import Store
from tokenmeter.engine.unpriced import Unpriced, unpriced
from tokenmeter.rating.invoice import Invoice, InvoiceLine
from tokenmeter.rating.price import Cadence, PriceType
from tokenmeter.rating.rounding import ZERO, minus, plain, plus
from tokenmeter.rating.windows import Period


@dataclass(frozen=True, slots=True)
class Rated:
    """What a subscription owes for a period, and what of its usage has no price."""

    contract: Contract
    period: Period
    charged: tuple[Charged, ...]
    unpriced: tuple[Unpriced, ...]

    def paid_from(self, money: Mapping[str, Decimal]) -> Rated:
        """Pay charges from prepaid money, by their line's id."""
        paid = tuple(
            replace(c, charge=c.charge.paid(money.get(line_id(self.contract, c), ZERO)))
            for c in self.charged
        )
        return replace(self, charged=paid)

    def invoice(self, invoice_id: str) -> Invoice:
        """Make the invoice."""
        lines = tuple(
            InvoiceLine(line_id(self.contract, c), _named(c), c.period) for c in self.charged
        )
        contract = self.contract
        return Invoice(
            invoice_id,
            contract.customer_id,
            contract.currency,
            self.period,
            lines,
            subscription_id=contract.subscription_id,
        )

    def body(self, invoice_id: str, *, hide_zero: bool = False) -> dict[str, Any]:
        """Write the invoice with the line items that its lines come from."""
        told: dict[str, Any] = dict(self.invoice(invoice_id).to_dict())
        lines: list[dict[str, Any]] = []
        for line, charged in zip(told["line_items"], self.charged, strict=True):
            meter = self.contract.meters.get(charged.charge.price.meter_id)
            feature = self.contract.features.get(charged.charge.price.meter_id, "")
            more = {
                "subscription_line_item_id": charged.item_id,
                "meter_display_name": "" if meter is None else meter.name,
                "feature_name": feature,
            }
            if not (hide_zero and not line["amount"].strip("0.")):
                lines.append({**line, **more})
        return {**told, "line_items": lines, "unpriced": [u.to_dict() for u in self.unpriced]}

    @property
    def usage(self) -> list[Charged]:
        """The charges for usage, their overage and true-up included."""
        return [c for c in self.charged if c.charge.price.type is PriceType.USAGE or not c.item_id]


def rate_period(store: Store, contract: Contract, period: Period, environment: str) -> Rated:
    """
    Rate a period at its end: usage and fixed prices of the period, advances of the next one.

    A period without length is the opening: what is due in advance when a subscription starts.
    """
    if not period.length:
        return Rated(contract, period, tuple(opening_charges(store, contract, environment)), ())
    usage, found = rate_usage(store, contract, period, environment)
    charged = [*usage, *fixed_charges(contract, period, Cadence.ARREAR)]
    charged += late_advances(store, contract, period, environment)
    charged += next_advances(store, contract, period, environment)
    missing = unpriced(store, contract, period, found, environment)
    return Rated(contract, period, tuple(charged), tuple(missing))


def rate_usage(
    store: Store, contract: Contract, period: Period, environment: str
) -> tuple[list[Charged], dict[str, Measured]]:
    """Rate the usage of a period, against what is left of the commitments if there are any."""
    before = _used_before(store, contract, period, environment)
    return usage_charges(store, contract, period, environment, before)


def _used_before(store: Store, contract: Contract, period: Period, environment: str) -> Before:
    """Tell what was used of commitments that began before a period, or go on after it."""
    own, term = own_period(contract, period.start), _term(contract, period)
    free = without_promises(contract)
    items = {item.price.key: item for item in contract.usage_items()}
    prior, by_root = ZERO, dict[str, Decimal]()
    has_own = any(item.commitment for item in items.values())
    since = own if term is None else term
    if contract.promise is None and not has_own:
        return Before()
    for earlier in _periods(contract, Period(since.start, period.start)):
        for charged in usage_charges(store, free, earlier, environment)[0]:
            item, cost = items[charged.charge.price.key], charged.charge.unrounded
            if item.commitment is None:
                prior = plus((prior, cost))
            elif earlier.start >= own.start:
                by_root[item.root] = plus((by_root.get(item.root, ZERO), cost))
    is_whole = term is None and period.start == own.start and period.end >= own.end
    return Before(None if is_whole else prior, period.end >= since.end, by_root)


def differences(
    stored: Sequence[Mapping[str, Any]], again: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Compare the lines of a closed invoice with what rating gives now: late events, mostly."""
    before = {line["id"]: line for line in stored}
    after = {line["id"]: line for line in again}
    found: list[dict[str, Any]] = []
    for key in {**before, **after}:
        one, other = before.get(key, {}), after.get(key, {})
        changes = {n: _difference(one, other, n) for n in ("usage_quantity", "amount")}
        if any(changes.values()):
            shown = other or one
            found.append(
                {
                    "id": key,
                    "display_name": shown["display_name"],
                    "price_id": shown["price_id"],
                    "quantity": plain(changes["usage_quantity"]),
                    "amount": plain(changes["amount"]),
                    "currency": shown["currency"],
                }
            )
    return found


def _difference(one: Mapping[str, Any], other: Mapping[str, Any], name: str) -> Decimal:
    return minus(Decimal(other.get(name, "0")), Decimal(one.get(name, "0")))


def _named(charged: Charged) -> Any:
    price = replace(charged.charge.price, display_name=charged.name)
    return replace(charged.charge, price=price)


def _term(contract: Contract, period: Period) -> Period | None:
    """Find the term of a commitment that lasts over several billing periods."""
    if contract.promise is None or contract.promise_lasts is None:
        return None
    if not contract.promise_lasts.is_longer_than(contract.cycle.period):
        return None
    return term_of(contract, contract.promise_lasts, period.start)


def _periods(contract: Contract, whole: Period) -> list[Period]:
    return list(contract.cycle.periods(whole.start, whole.end)) if whole.length else []
