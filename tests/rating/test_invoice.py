"""What an invoice prints adds up, and is the same bytes each time."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from tests.rating.made import MARCH, SLAB, d, fixed, flat, price, used
from tokenmeter.errors import CurrencyError
from tokenmeter.rating.adjust import Discount, Tax, Terms, rate
from tokenmeter.rating.entitlement import Entitlement
from tokenmeter.rating.invoice import Invoice, InvoiceLine, discounted
from tokenmeter.rating.models import Package

TERMS = Terms(
    entitlement=Entitlement(d(100)), discounts=(Discount(d(10), name="launch"),), credits=d(20)
)
USAGE = InvoiceLine(
    "line_1", rate(price(SLAB, "seats", model="a", size=["b", "c"]), used(1300), TERMS), MARCH
)
FIXED = InvoiceLine("line_2", rate(fixed(flat("31")), used(1), Terms(share=d("0.5"))), MARCH)
INVOICE = Invoice("inv_1", "cust_001", "USD", MARCH, (USAGE, FIXED), (Tax(d(20)),), "subs_1")


def test_the_totals_are_the_sums_of_what_is_printed() -> None:
    assert [USAGE.amount, USAGE.discount, USAGE.credits_applied] == [d(110), d(10), d(20)]
    assert [FIXED.amount, FIXED.discount, FIXED.credits_applied] == [d("15.50"), d(0), d(0)]
    assert INVOICE.subtotal == d("125.50")
    assert INVOICE.total_discount == 10
    assert INVOICE.total_tax == d("23.10")
    assert INVOICE.total == d("138.60")
    assert INVOICE.credits_applied == 20
    assert INVOICE.amount_due == d("118.60")


def test_a_line_shows_quantity_unit_price_tiers_filters_discounts_and_credits() -> None:
    line = USAGE.to_dict()
    assert line["quantity"] == "1200"
    assert line["usage_quantity"] == "1300"
    assert line["adjusted_entitlement_quantity"] == "100"
    assert line["unit_amount"] == "0.0916666666666667"
    assert line["tiers"] == [
        {
            "tier_index": 0,
            "quantity": "1000",
            "unit_amount": "0.1",
            "flat_amount": "0",
            "packages": None,
            "amount": "100",
        },
        {
            "tier_index": 1,
            "quantity": "200",
            "unit_amount": "0.05",
            "flat_amount": "0",
            "packages": None,
            "amount": "10",
        },
    ]
    assert line["filter_values"] == {"model": ["a"], "size": ["b", "c"]}
    assert line["line_item_discount"] == "10.00"
    assert line["prepaid_credits_applied"] == "20.00"
    assert line["adjustments"] == [
        {"kind": "discount", "name": "launch", "amount": "-10"},
        {"kind": "credit", "name": "", "amount": "-20"},
    ]
    assert (line["amount"], line["is_overage"]) == ("110.00", False)
    assert line["period_start"] == "2026-03-01T00:00:00Z"


def test_a_package_line_shows_its_packages() -> None:
    line = InvoiceLine("x", rate(price(Package(d(1), d(100))), used(150)), MARCH).to_dict()
    tiers = line["tiers"]
    assert isinstance(tiers, list)
    assert tiers[0] == {
        "tier_index": None,
        "quantity": "150",
        "unit_amount": "0.01",
        "flat_amount": "0",
        "packages": "2",
        "amount": "2",
    }


def test_the_same_charges_are_the_same_bytes() -> None:
    again = Invoice(
        "inv_1",
        "cust_001",
        "usd",
        MARCH,
        (
            InvoiceLine(
                "line_1",
                rate(price(SLAB, "seats", size=["b", "c"], model="a"), used("1300.000"), TERMS),
                MARCH,
            ),
            InvoiceLine(
                "line_2", rate(fixed(flat("31.00")), used(1), Terms(share=d("0.500"))), MARCH
            ),
        ),
        (Tax(d("20.0")),),
        "subs_1",
    )
    assert again.to_bytes() == INVOICE.to_bytes()
    assert json.loads(again.to_bytes())["amount_due"] == "118.60"


def test_a_discount_on_the_invoice_is_spread_over_its_lines() -> None:
    lines = discounted(
        INVOICE.lines, [Discount(d(10), is_percentage=True), Discount(d("1.00"))], "usd"
    )
    assert [line.invoice_discount for line in lines] == [d("8.84"), d("1.71")]
    assert [line.due for line in lines] == [d("71.16"), d("13.79")]
    invoice = Invoice("inv", "cust", "usd", MARCH, lines)
    assert invoice.total_discount == d("20.55")
    assert invoice.amount_due == d("84.95")


def test_a_line_in_another_currency_is_refused() -> None:
    euro = InvoiceLine("x", rate(price(flat("1"), "e", "eur"), used(1)), MARCH)
    with pytest.raises(CurrencyError, match="EUR cannot stand on an invoice in USD"):
        Invoice("inv", "cust", "usd", MARCH, (USAGE, euro))


def test_an_invoice_without_lines_owes_nothing() -> None:
    empty = Invoice("inv", "cust", "jpy", MARCH, (), (Tax(d(10)),))
    assert empty.amount_due == 0
    assert json.loads(empty.to_bytes())["total"] == "0"
    assert MARCH.length == timedelta(days=31)
