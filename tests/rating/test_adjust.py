"""The steps from a measured quantity to a charge, and their order."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.rating.made import CLIFF, SLAB, START, VOLUME, d, fixed, flat, price, tiers, used
from tokenmeter.rating.adjust import (
    STEPS,
    AdjustmentKind,
    Charge,
    Discount,
    Tax,
    Terms,
    rate,
    tax_total,
)
from tokenmeter.rating.aggregation import Bucket, Measurement
from tokenmeter.rating.commitment import Commitment
from tokenmeter.rating.entitlement import Entitlement
from tokenmeter.rating.errors import RatingError
from tokenmeter.rating.models import Slab, total
from tokenmeter.rating.price import PriceUnit
from tokenmeter.rating.rounding import plus

K = AdjustmentKind


def kinds(charge: Charge) -> list[tuple[str, str]]:
    return [(a.kind.value, str(a.amount)) for a in charge.adjustments]


def test_the_order_of_the_steps_is_the_stated_one() -> None:
    assert [step.__name__ for step in STEPS] == [
        "convert",
        "allow",
        "cost",
        "prorate",
        "hold",
        "discount",
        "cap",
        "lift",
        "redeem",
        "finish",
    ]


def test_usage_is_priced_and_rounded_once() -> None:
    charge = rate(price(flat("0.0000012")), used(982_344))
    assert charge.amount == d("1.18")
    assert str(charge.amount) == "1.18"
    assert charge.lines[0].amount == d("1.1788128")
    assert kinds(charge) == [("rounding", "0.0011872")]
    assert charge.unit_amount == d("0.0000012")


def test_nothing_used_is_charged_nothing() -> None:
    charge = rate(price(SLAB), used(0))
    assert (charge.amount, charge.lines) == (d(0), ())
    assert charge.adjustments == ()
    assert charge.unit_amount == 0


def test_a_price_unit_is_converted_before_everything_else() -> None:
    custom = replace(price(flat("8")), unit=PriceUnit("CREDIT", "usd", d("0.01")))
    charge = rate(custom, used(3), Terms(minimum=d("0.30")))
    assert charge.lines[0].unit_amount == d("0.08")
    assert charge.amount == d("0.30")


def test_included_usage_is_taken_off_before_pricing_and_tiers_start_again() -> None:
    charge = rate(price(VOLUME), used(1500), Terms(entitlement=Entitlement(d(600))))
    assert [charge.usage, charge.quantity, charge.included] == [d(1500), d(900), d(600)]
    assert charge.amount == 90


def test_an_unlimited_entitlement_bills_nothing_and_a_disabled_one_everything() -> None:
    assert rate(price(SLAB), used(5), Terms(entitlement=Entitlement())).amount == 0
    off = Entitlement(d(1), is_enabled=False)
    assert rate(price(SLAB), used(5), Terms(entitlement=off)).amount == d("0.50")


def test_buckets_are_priced_each_by_itself_but_as_one_after_an_allowance() -> None:
    model = Slab(tiers(("10", "1", "0"), (None, "2", "0")))
    held = Measurement(d(15), tuple(Bucket(START, "", d(v)) for v in (3, 12)))
    assert rate(price(model), held).amount == 17
    assert rate(price(model), held, Terms(entitlement=Entitlement(d(1)))).amount == 18


def test_a_fixed_item_is_charged_for_its_share_and_at_least_its_minimum() -> None:
    item = fixed(flat("31"), at_least=2)
    charge = rate(item, used(1), Terms(share=d("0.5")))
    assert [charge.quantity, charge.amount, charge.included] == [d(2), d(31), d(0)]
    assert kinds(charge) == [("proration", "-31.0")]


@pytest.mark.parametrize(
    ("quantity", "expected", "adjustments"),
    [
        (5, "10", [("true_up", "5")]),
        (10, "10", []),
        (15, "17.5", [("overage", "2.5")]),
    ],
)
def test_a_commitment_adds_overage_or_trues_up(
    quantity: int, expected: str, adjustments: list[tuple[str, str]]
) -> None:
    promise = Commitment(d(10), overage_factor=d("1.5"), true_up=True)
    charge = rate(price(flat("1")), used(quantity), Terms(commitment=promise))
    assert charge.amount == d(expected)
    assert kinds(charge) == adjustments


def test_all_steps_in_their_order() -> None:
    terms = Terms(
        entitlement=Entitlement(d(100)),
        commitment=Commitment(d(90), overage_factor=d(2)),
        discounts=(Discount(d(10), is_percentage=True, name="ten"), Discount(d("0.333"))),
        maximum=d(95),
        minimum=d(20),
        credits=d("12.345"),
    )
    charge = rate(price(flat("1")), used(200), terms)
    assert kinds(charge) == [
        ("overage", "10"),
        ("discount", "-11.00"),
        ("discount", "-0.33"),
        ("maximum", "-3.67"),
        ("credit", "-12.34"),
    ]
    assert charge.amount == d("82.66")
    assert charge.adjustments[1].name == "ten"
    assert charge.adjusted_by(K.DISCOUNT, K.CREDIT) == d("-23.67")
    assert total(charge.lines) + plus(a.amount for a in charge.adjustments) == charge.amount


def test_a_minimum_is_charged_even_without_usage() -> None:
    assert rate(price(SLAB), used(0), Terms(minimum=d(5))).amount == 5
    assert rate(price(SLAB), used(1000), Terms(minimum=d(5))).amount == 100


def test_the_maximum_comes_before_the_minimum() -> None:
    assert rate(price(SLAB), used(1000), Terms(maximum=d(5), minimum=d(8))).amount == 8


def test_credits_pay_at_most_what_is_due_after_rounding() -> None:
    charge = rate(price(flat("0.006")), used(1), Terms(credits=d(9)))
    assert kinds(charge) == [("credit", "-0.01"), ("rounding", "0.004")]
    assert charge.amount == 0
    assert rate(price(flat("1")), used(1), Terms(credits=d("0.009"))).adjustments == ()
    assert rate(price(flat("1")), used(1), Terms(credits=d(-5))).amount == 1


@pytest.mark.parametrize(
    ("discount", "amount", "expected"),
    [
        (Discount(d(10), is_percentage=True), "99.999", "10.00"),
        (Discount(d(150), is_percentage=True), "100", "100"),
        (Discount(d(15)), "10", "10"),
        (Discount(d(1)), "0", "0"),
        (Discount(d(1)), "-5", "0"),
    ],
)
def test_a_discount_is_rounded_and_never_more_than_there_is(
    discount: Discount, amount: str, expected: str
) -> None:
    assert discount.off(d(amount), "usd") == d(expected)


def test_a_negative_discount_is_refused() -> None:
    with pytest.raises(RatingError, match="at least 0"):
        Discount(d(-1))


def test_taxes_are_rounded_each_before_they_are_added() -> None:
    taxes = [Tax(d(r)) for r in ("8.875", "2.125", "0.5")]
    assert tax_total(taxes, d("99.99"), "usd") == d("11.49")
    assert tax_total([Tax(d("1.005"), is_percentage=False)], d(0), "usd") == d("1.01")


def test_the_volume_cliff_is_charged_as_documented() -> None:
    assert rate(price(VOLUME), used(1000)).amount == 100
    assert rate(price(VOLUME), used(1001)).amount == d("50.05")
    assert len(CLIFF) == 2


@pytest.mark.parametrize(
    ("money", "paid", "left"),
    [
        ("0", "0", "10.33"),
        ("-5", "0", "10.33"),
        ("0.009", "0", "10.33"),
        ("4.999", "4.99", "5.34"),
        ("10.33", "10.33", "0"),
        ("99", "10.33", "0"),
    ],
)
def test_a_finished_charge_is_paid_from_money_that_is_cut_and_never_more_than_owed(
    money: str, paid: str, left: str
) -> None:
    owed = rate(price(flat("3.4444")), used(3))
    charge = owed.paid(d(money))
    assert (charge.amount, charge.adjusted_by(K.CREDIT)) == (d(left), -d(paid))
    assert plus((total(charge.lines), *(a.amount for a in charge.adjustments))) == d(left)


def test_a_charge_tells_what_it_was_before_it_was_rounded() -> None:
    charge = rate(price(flat("3.4444")), used(3))
    assert (charge.amount, charge.unrounded) == (d("10.33"), d("10.3332"))
