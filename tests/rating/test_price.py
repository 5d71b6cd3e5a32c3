"""When a price is in force, and when two prices bill the same."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.rating.made import SLAB, START, event, fixed, flat, meter, price
from tokenmeter.rating.errors import RatingError
from tokenmeter.rating.models import Package
from tokenmeter.rating.periods import BillingPeriod
from tokenmeter.rating.price import Cadence, PriceUnit, bills_identically
from tokenmeter.rating.selection import assign

MOMENT = timedelta(microseconds=1)


def test_a_price_is_in_force_from_its_start_to_just_before_its_end() -> None:
    dated = replace(price(flat("1")), start=START, end=START + timedelta(days=1))
    assert not dated.is_current(START - MOMENT)
    assert dated.is_current(START)
    assert dated.is_current(START + timedelta(days=1) - MOMENT)
    assert not dated.is_current(START + timedelta(days=1))
    assert price(flat("1")).is_current(START)


def test_a_price_cannot_end_when_it_starts() -> None:
    with pytest.raises(RatingError, match="before it starts"):
        replace(price(flat("1")), start=START, end=START)


def test_fixed_prices_of_the_same_terms_bill_identically() -> None:
    one = fixed(flat("20"))
    assert bills_identically(one, replace(one, price_id="other", display_name="Other"))
    assert bills_identically(one, replace(one, currency="USD"))
    package = Package(flat("20").amount, flat("100").amount)
    bigger = Package(flat("20").amount, flat("500").amount)
    for other in (
        fixed(flat("21")),
        replace(one, currency="eur"),
        replace(one, billing_period=BillingPeriod.ANNUAL),
        replace(one, billing_period_count=2),
        replace(one, cadence=Cadence.ARREAR),
        replace(one, unit=PriceUnit("GEM", "usd", flat("1").amount)),
        fixed(SLAB),
        fixed(package),
        price(flat("20")),
    ):
        assert not bills_identically(one, other)
        assert not bills_identically(other, one)
    assert not bills_identically(fixed(package), fixed(bigger))
    assert not bills_identically(fixed(SLAB), fixed(SLAB))


def test_each_event_goes_to_one_price_or_is_unpriced() -> None:
    images = meter()
    small = price(flat("1"), "small", size="small")
    big = price(flat("2"), "big", size="big")
    held = assign(
        images,
        [small, big],
        [
            event("a", tokens=1, size="small"),
            event("b", tokens=2, size="big"),
            event("c", tokens=3, size="huge"),
            event("d", 0, "video_generated", tokens=9, size="big"),
        ],
    )
    assert {k: [s.event_id for s in v] for k, v in held.by_price.items()} == {
        "small": ["a"],
        "big": ["b"],
    }
    assert [s.event_id for s in held.unpriced] == ["c"]


def test_the_price_version_of_the_events_own_time_bills_it() -> None:
    change = START + timedelta(hours=10)
    old = replace(price(flat("1"), "old"), end=change)
    new = replace(price(flat("2"), "new"), start=change)
    held = assign(meter(), [new, old], [event("a", 9, tokens=1), event("b", 10, tokens=1)])
    assert [s.event_id for s in held.by_price["old"]] == ["a"]
    assert [s.event_id for s in held.by_price["new"]] == ["b"]
