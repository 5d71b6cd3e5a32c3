"""
An invoice from charges: lines, totals, and bytes that are the same each time.

Every line is rounded before it is added, so the totals are the sums of what is printed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from tokenmeter.errors import CurrencyError
from tokenmeter.money import minor_units
from tokenmeter.rating.adjust import Adjustment, AdjustmentKind, Charge, Discount, Tax, tax_total
from tokenmeter.rating.filters import Filter
from tokenmeter.rating.models import Line
from tokenmeter.rating.rounding import ZERO, allocated, minus, plain, plus
from tokenmeter.rating.windows import Period

Json = str | int | bool | None | Sequence["Json"] | Mapping[str, "Json"]


@dataclass(frozen=True, slots=True)
class InvoiceLine:
    """A charge as it is printed."""

    line_id: str
    charge: Charge
    period: Period
    invoice_discount: Decimal = ZERO  # this line's part of the discounts on the whole invoice

    @property
    def amount(self) -> Decimal:
        """The line before discounts and credits, rounded."""
        charge = self.charge
        taken = charge.adjusted_by(AdjustmentKind.DISCOUNT, AdjustmentKind.CREDIT)
        return minus(charge.amount, taken)

    @property
    def discount(self) -> Decimal:
        """What the line's own discounts take off."""
        return self.charge.adjusted_by(AdjustmentKind.DISCOUNT).copy_negate()

    @property
    def credits_applied(self) -> Decimal:
        """What prepaid credits paid."""
        return self.charge.adjusted_by(AdjustmentKind.CREDIT).copy_negate()

    @property
    def due(self) -> Decimal:
        """What remains to be paid for this line, before tax."""
        return minus(self.charge.amount, self.invoice_discount)

    def to_dict(self) -> dict[str, Json]:
        """Write the line with Flexprice's names; decimals are strings."""
        charge, price = self.charge, self.charge.price
        return {
            "id": self.line_id,
            "price_id": price.price_id,
            "price_type": price.type.value,
            "meter_id": price.meter_id,
            "display_name": price.display_name,
            "currency": price.currency,
            "is_overage": charge.is_overage,
            "amount": money(self.amount, price.currency),
            "quantity": plain(charge.quantity),
            "usage_quantity": plain(charge.usage),
            "adjusted_entitlement_quantity": plain(charge.included),
            "unit_amount": plain(charge.unit_amount),
            "tiers": [_line(line) for line in charge.lines],
            "filter_values": _filters(price.filters),
            "adjustments": [_adjustment(a) for a in charge.adjustments],
            "line_item_discount": money(self.discount, price.currency),
            "invoice_level_discount": money(self.invoice_discount, price.currency),
            "prepaid_credits_applied": money(self.credits_applied, price.currency),
            "period_start": _moment(self.period.start),
            "period_end": _moment(self.period.end),
        }


@dataclass(frozen=True, slots=True)
class Invoice:
    """
    What one customer owes for a period, in one currency.

    `subtotal` is the lines, `total` is after discounts and with tax, `amount_due` is what
    prepaid credits leave.
    """

    invoice_id: str
    customer_id: str
    currency: str
    period: Period
    lines: tuple[InvoiceLine, ...]
    taxes: tuple[Tax, ...] = ()
    subscription_id: str = ""

    def __post_init__(self) -> None:
        for line in self.lines:
            held = line.charge.price.currency
            if held.lower() != self.currency.lower():
                raise CurrencyError(
                    f"a line in {held.upper()} cannot stand on an invoice in "
                    f"{self.currency.upper()}; make one invoice per currency"
                )

    @property
    def subtotal(self) -> Decimal:
        """The lines, before discounts and tax."""
        return plus(line.amount for line in self.lines)

    @property
    def total_discount(self) -> Decimal:
        """The discounts of the lines and their shares of the invoice's."""
        return plus((*(x.discount for x in self.lines), *(x.invoice_discount for x in self.lines)))

    @property
    def total_tax(self) -> Decimal:
        """Tax on the discounted subtotal."""
        return tax_total(self.taxes, minus(self.subtotal, self.total_discount), self.currency)

    @property
    def total(self) -> Decimal:
        """The subtotal less discounts, plus tax."""
        return plus((minus(self.subtotal, self.total_discount), self.total_tax))

    @property
    def credits_applied(self) -> Decimal:
        """What prepaid credits paid."""
        return plus(line.credits_applied for line in self.lines)

    @property
    def amount_due(self) -> Decimal:
        """What is left to pay."""
        return minus(self.total, self.credits_applied)

    def to_dict(self) -> dict[str, Json]:
        """Write the invoice with Flexprice's names; decimals are strings."""
        return {
            "id": self.invoice_id,
            "customer_id": self.customer_id,
            "subscription_id": self.subscription_id,
            "currency": self.currency.lower(),
            "period_start": _moment(self.period.start),
            "period_end": _moment(self.period.end),
            "subtotal": money(self.subtotal, self.currency),
            "total_discount": money(self.total_discount, self.currency),
            "total_tax": money(self.total_tax, self.currency),
            "total": money(self.total, self.currency),
            "total_prepaid_credits_applied": money(self.credits_applied, self.currency),
            "amount_due": money(self.amount_due, self.currency),
            "line_items": [line.to_dict() for line in self.lines],
        }

    def to_bytes(self) -> bytes:
        """Write the invoice so that equal invoices are equal bytes."""
        return json.dumps(self.to_dict(), separators=(",", ":"), sort_keys=True).encode()


def discounted(
    lines: Sequence[InvoiceLine], discounts: Sequence[Discount], currency: str
) -> tuple[InvoiceLine, ...]:
    """Spread discounts on the whole invoice over its lines, by what each line still owes."""
    owed = [line.due for line in lines]
    off = ZERO
    for each in discounts:
        off = plus((off, each.off(minus(plus(owed), off), currency)))
    parts = allocated(off, owed, currency)
    return tuple(
        InvoiceLine(line.line_id, line.charge, line.period, plus((line.invoice_discount, part)))
        for line, part in zip(lines, parts, strict=True)
    )


def money(amount: Decimal, currency: str) -> str:
    """Write a rounded amount with all the currency's decimals: 10.50, 1000 for JPY."""
    return f"{amount:.{minor_units(currency)}f}"


def _line(line: Line) -> dict[str, Json]:
    return {
        "tier_index": line.tier,
        "quantity": plain(line.quantity),
        "unit_amount": plain(line.unit_amount),
        "flat_amount": plain(line.flat_amount),
        "packages": None if line.packages is None else plain(line.packages),
        "amount": plain(line.amount),
    }


def _adjustment(adjustment: Adjustment) -> dict[str, Json]:
    return {
        "kind": adjustment.kind.value,
        "name": adjustment.name,
        "amount": plain(adjustment.amount),
    }


def _filters(filters: tuple[Filter, ...]) -> dict[str, Json]:
    return {f.key: list(f.values) for f in filters}


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
