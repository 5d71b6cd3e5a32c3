"""From a row's input to our functions: prices, rounding, discounts and taxes."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal

from tests.rating.vectors import Adapter, Input, decimal
from tokenmeter.money import minor_units
from tokenmeter.rating.adjust import Discount, Tax, Terms, rate, tax_total
from tokenmeter.rating.aggregation import Bucket, Measurement
from tokenmeter.rating.define import Book, define_model, define_price
from tokenmeter.rating.invoice import Invoice, InvoiceLine
from tokenmeter.rating.models import FlatFee, Model, Package, Tiered, total
from tokenmeter.rating.price import Price, PriceType, PriceUnit, bills_identically
from tokenmeter.rating.rounding import divided, rounded
from tokenmeter.rating.windows import Period

MONTH = Period(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))


def usage_price(fields: Input) -> Price:
    """A price of which the row gives only the amounts."""
    return Price("price", fields["currency"].lower(), define_model(fields), meter_id="meter")


def amount_price(amount: object, currency: str, type: PriceType = PriceType.FIXED) -> Price:  # noqa: A002
    meter = "meter" if type is PriceType.USAGE else ""
    return Price("price", currency, FlatFee(decimal(amount)), type=type, meter_id=meter)


def _rating(given: Input) -> dict[str, object]:
    model = define_model(given["price"])
    quantity = decimal(given["quantity"])
    lines = model.lines(quantity)
    cost = total(lines)
    unused = model.amount if isinstance(model, FlatFee) else Decimal(0)
    effective = divided(cost, quantity) if quantity else unused
    return {
        "cost": cost,
        "final_cost": cost,
        "effective_unit_cost": effective,
        "packages": lines[0].packages if lines else 0,
        "tier_unit_amount": _unit_amount(model, quantity),
        "selected_tier_index": _tier(model, quantity),
    }


def _unit_amount(model: Model, quantity: Decimal) -> Decimal:
    if isinstance(model, FlatFee):
        return model.amount
    if isinstance(model, Package):
        return model.unit_amount
    lines = model.lines(quantity)
    return lines[-1].unit_amount if lines else Decimal(0)


def _tier(model: Model, quantity: Decimal) -> int:
    lines = model.lines(quantity)
    last = lines[-1].tier if lines and isinstance(model, Tiered) else None
    return -1 if last is None else last


def _bucketed(given: Input) -> dict[str, object]:
    values = [decimal(v) for v in given["bucket_values"]]
    buckets = tuple(Bucket(MONTH.start, str(i), v) for i, v in enumerate(values))
    charge = rate(usage_price(given["price"]), Measurement(sum(values, Decimal(0)), buckets))
    return {"cost": charge.amount, "amount": charge.amount, "quantity": charge.quantity}


def _bills_identically(given: Input) -> dict[str, object]:
    return {"value": bills_identically(_fixed(given["a"], "a"), _fixed(given["b"], "b"))}


def _fixed(fields: Input, key: str) -> Price:
    """The rows add tiers or a price unit to a plain price; today's fields say it properly."""
    fields = {**fields, "id": key}
    units: dict[str, PriceUnit] = {}
    if "price_unit_id" in fields:
        unit = PriceUnit(fields["price_unit_id"], fields["currency"], Decimal(1))
        units[unit.code] = unit
        config = {"price_unit": unit.code, "amount": fields.get("amount")}
        fields |= {"price_unit_type": "CUSTOM", "price_unit_config": config}
    if fields.get("type") == "USAGE":
        fields |= {"meter_id": "meter", "invoice_cadence": "ARREAR"}
    if fields.get("tiers"):
        fields |= {"billing_model": "TIERED", "tier_mode": fields.get("tier_mode") or "SLAB"}
    return define_price(fields, Book(units))


def _create_price(given: Input) -> dict[str, object]:
    return {"error": False, "price": define_price(given)}


def _round(given: Input) -> dict[str, object]:
    currency = given["currency"]
    return {
        "rounded": rounded(decimal(given["amount"]), currency),
        "precision": minor_units(currency),
    }


def _precision(given: Input) -> dict[str, object]:
    return {"precision": minor_units(given["currency"])}


def _usage_line(given: Input) -> dict[str, object]:
    price = amount_price(given["unit_price"], given["currency"], PriceType.USAGE)
    return {"amount": rate(price, Measurement(decimal(given["quantity"]))).amount}


def _invoice(lines: Iterable[tuple[Price, Decimal]], currency: str) -> Invoice:
    charges = [rate(price, Measurement(quantity)) for price, quantity in lines]
    held = tuple(InvoiceLine(str(i), c, MONTH) for i, c in enumerate(charges))
    return Invoice("inv", "cust", currency, MONTH, held)


def _subtotal(given: Input) -> dict[str, object]:
    currency = given["currency"]
    items = given["fixed"] if "fixed" in given else given["line_items_unrounded"]
    lines = [(amount_price(a, currency), Decimal(1)) for a in items]
    for usage in given.get("usage", []):
        price = amount_price(usage["unit_price"], currency, PriceType.USAGE)
        lines.append((price, decimal(usage["quantity"])))
    return {"subtotal": _invoice(lines, currency).subtotal}


def _coupon(given: Input) -> dict[str, object]:
    price, currency = decimal(given["price"]), given["currency"]
    percentage = "percentage_off" in given
    value = decimal(given["percentage_off"] if percentage else given["amount_off"])
    off = Discount(value, is_percentage=percentage).off(price, currency)
    terms = Terms(discounts=(Discount(value, is_percentage=percentage),))
    charge = rate(amount_price(price, currency), Measurement(Decimal(1)), terms)
    return {"discount": off, "final": charge.amount}


def _tax(given: Input) -> dict[str, object]:
    currency = given["currency"]
    if "amount" in given:
        return {"tax": Tax(decimal(given["amount"]), is_percentage=False).on(Decimal(0), currency)}
    rates = given.get("rates_percent", [given.get("rate_percent", 0)])
    taxes = [Tax(decimal(r)) for r in rates]
    tax = tax_total(taxes, decimal(given["taxable"]), currency)
    return {"tax": tax, "total_tax": tax}


ADAPTERS: dict[str, Adapter] = {
    "rating.breakup": _rating,
    "rating.package": _rating,
    "rating.slab": _rating,
    "rating.bucketed": _bucketed,
    "price.bills_identically": _bills_identically,
    "validation.create_price": _create_price,
    "rounding.currency": _round,
    "rounding.line_item": _round,
    "rounding.precision": _precision,
    "rounding.subtotal": _subtotal,
    "rounding.invoice_mixed": _subtotal,
    "rounding.usage_line": _usage_line,
    "coupon.percentage": _coupon,
    "coupon.fixed": _coupon,
    "tax.percentage": _tax,
    "tax.fixed": _tax,
    "tax.sum": _tax,
}
