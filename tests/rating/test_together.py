"""A subscription's usage against one commitment."""

from __future__ import annotations

from tests.rating.made import SLAB, d, fixed, flat, price, used
from tokenmeter.rating.adjust import Charge, Discount, Terms
from tokenmeter.rating.commitment import Commitment
from tokenmeter.rating.together import TRUE_UP, Demand, Promise, rate_together

PROMISE = Commitment(d(10), overage_factor=d(2), true_up=True)


def told(charges: tuple[Charge, ...]) -> list[tuple[str, str, str, bool]]:
    return [(c.price.price_id, str(c.quantity), str(c.amount), c.is_overage) for c in charges]


def test_usage_beyond_the_commitment_is_a_line_of_its_own() -> None:
    charges = rate_together(
        [
            Demand(price(flat("1"), "a"), used(6)),
            Demand(fixed(flat("20")), used(1)),
            Demand(price(flat("3"), "b"), used(3)),
        ],
        Promise(PROMISE),
    )
    assert told(charges) == [
        ("fixed_1", "1", "20.00", False),
        ("a", "6", "6.00", False),
        ("b", "1", "3.00", False),
        ("b", "2", "12.00", True),
    ]
    assert [(a.kind.value, a.amount) for a in charges[2].adjustments] == [("commitment", d(-6))]
    assert [(a.kind.value, a.amount) for a in charges[3].adjustments] == [("overage", d(12))]


def test_what_is_missing_is_trued_up_when_the_commitment_ends() -> None:
    demands = [Demand(price(flat("1"), "a"), used("7.496"))]
    charges = rate_together(demands, Promise(PROMISE))
    assert told(charges) == [("a", "7.496", "7.50", False), ("", "1", "2.50", False)]
    assert charges[1].price.display_name == TRUE_UP
    assert len(rate_together(demands, Promise(PROMISE, is_last=False))) == 1


def test_usage_with_a_commitment_of_its_own_stays_outside() -> None:
    own = Terms(commitment=Commitment(d(5), true_up=True))
    charges = rate_together(
        [Demand(price(flat("1"), "a"), used(12)), Demand(price(flat("1"), "b"), used(1), own)],
        Promise(PROMISE),
    )
    assert told(charges) == [
        ("b", "1", "5.00", False),
        ("a", "10", "10.00", False),
        ("a", "2", "4.00", True),
    ]


def test_nothing_to_rate_needs_no_line() -> None:
    assert rate_together([], Promise(PROMISE)) == ()


def test_a_commitment_over_periods_has_one_overage_line() -> None:
    charges = rate_together(
        [Demand(price(SLAB, "a"), used(50)), Demand(price(flat("7"), "b"), used(1))],
        Promise(Commitment(d(60), overage_factor=d(2)), prior=d(50)),
    )
    assert told(charges) == [
        ("a", "41.6666666666666667", "4.17", False),
        ("b", "0.8333333333333333", "5.83", False),
        ("b", "0", "4.00", True),
    ]


def test_discounts_reach_the_overage_and_credits_do_not() -> None:
    terms = Terms(discounts=(Discount(d(50), is_percentage=True),), credits=d(100))
    charges = rate_together([Demand(price(flat("1")), used(15), terms)], Promise(PROMISE))
    assert told(charges) == [("price_1", "10", "0.00", False), ("price_1", "5", "5.00", True)]
