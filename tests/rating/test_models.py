"""Tiers, packages and flat fees at their boundaries, and what cannot be made."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.rating.made import CLIFF, SLAB, VOLUME, d, flat, tiers
from tokenmeter.rating.errors import RatingError
from tokenmeter.rating.models import FlatFee, Model, Package, Slab, Tier, Volume, marginal, total

FLATS = tiers(("10", "1", "5"), ("20", "0.5", "3"), (None, "0", "2"))


@pytest.mark.parametrize(
    ("model", "quantity", "expected"),
    [
        (VOLUME, "0", "0"),
        (VOLUME, "1000", "100"),
        (VOLUME, "1000.000001", "50.00000005"),
        (VOLUME, "1001", "50.05"),
        (SLAB, "0", "0"),
        (SLAB, "1000", "100"),
        (SLAB, "1000.000001", "100.00000005"),
        (SLAB, "1001", "100.05"),
        (Slab(FLATS), "10", "15"),
        (Slab(FLATS), "10.5", "18.25"),
        (Slab(FLATS), "20", "23"),
        (Slab(FLATS), "21", "25"),
        (Volume(FLATS), "10", "15"),
        (Volume(FLATS), "11", "8.5"),
        (Volume(FLATS), "21", "2"),
        (flat("0.0000012"), "982344", "1.1788128"),
        (Package(d(1), d(100)), "0", "0"),
        (Package(d(1), d(100)), "0.0001", "1"),
        (Package(d(1), d(100)), "100", "1"),
        (Package(d(1), d(100)), "100.0001", "2"),
        (Package(d(1), d(100), "down"), "99.9999", "0"),
        (Package(d(1), d(100), "down"), "199", "1"),
    ],
)
def test_the_amount_at_a_boundary(model: Model, quantity: str, expected: str) -> None:
    assert total(model.lines(d(quantity))) == d(expected)


def test_a_slab_has_one_line_for_each_tier_that_is_reached() -> None:
    lines = Slab(FLATS).lines(d("12.5"))
    assert [(x.tier, x.quantity, x.unit_amount, x.flat_amount, x.amount) for x in lines] == [
        (0, d(10), d(1), d(5), d(15)),
        (1, d("2.5"), d("0.5"), d(3), d("4.25")),
    ]


def test_a_volume_has_one_line_in_the_tier_of_the_total() -> None:
    (line,) = VOLUME.lines(d(1001))
    assert (line.tier, line.quantity, line.unit_amount) == (1, d(1001), d("0.05"))


def test_an_empty_bucket_of_a_tiered_price_costs_the_first_flat_amount() -> None:
    for tiered in (Slab(FLATS), Volume(FLATS)):
        assert total(tiered.bucket_lines(d(0))) == 5
        assert tiered.lines(d(0)) == ()
    assert flat("1").bucket_lines(d(0)) == ()
    assert Package(d(1), d(100)).bucket_lines(d(0)) == ()


def test_a_package_line_tells_packages_and_the_price_of_a_unit() -> None:
    (line,) = Package(d(1), d(300)).lines(d(301))
    assert (line.packages, line.unit_amount) == (d(2), d("0.0033333333333333"))
    assert line.amount == 2


def test_a_price_unit_scales_every_amount() -> None:
    rate = d("0.01")
    for model in (Slab(FLATS), Volume(FLATS), flat("8"), Package(d(8), d(10))):
        assert total(model.scaled(rate).lines(d(25))) == total(model.lines(d(25))) * rate


def test_the_marginal_amount_of_a_volume_price_falls_off_the_cliff() -> None:
    assert marginal(VOLUME, d(1000), d(1)) == d("-49.95")
    assert marginal(SLAB, d(1000), d(1)) == d("0.05")
    assert marginal(VOLUME, d(0), d(1000)) == 100


@pytest.mark.parametrize(
    ("spans", "match"),
    [
        ([], "needs 1 to"),
        ([("10", "1", "0")], "last tier must be open"),
        ([("10", "1", "0"), ("20", "1", "0")], "last tier must be open"),
        ([("10", "1", "0"), ("10", "1", "0"), (None, "1", "0")], "Tier 2 must end above 10"),
        ([("10", "1", "0"), ("5", "1", "0"), (None, "1", "0")], "Tier 2 must end above 10"),
        ([(None, "1", "0"), ("5", "1", "0"), (None, "1", "0")], "Tier 1 must end above 0"),
        ([("0", "1", "0"), (None, "1", "0")], "Tier 1 must end above 0"),
        ([("-1", "1", "0"), (None, "1", "0")], "Tier 1 must end above 0"),
    ],
)
@pytest.mark.parametrize("mode", [Volume, Slab])
def test_broken_tiers_raise_and_never_cost_nothing(
    spans: list[tuple[str | None, str, str]], match: str, mode: type[Volume | Slab]
) -> None:
    with pytest.raises(RatingError, match=match) as refused:
        mode(tiers(*spans))
    assert refused.value.field.startswith("tiers")
    assert refused.value.code == "validation_error"


@pytest.mark.parametrize("amount", [Decimal(-1), Decimal("NaN"), Decimal("Infinity")])
def test_an_amount_below_zero_or_not_finite_is_refused(amount: Decimal) -> None:
    for make in (
        lambda: FlatFee(amount),
        lambda: Package(amount, d(1)),
        lambda: Tier(amount),
        lambda: Tier(d(0), None, amount),
    ):
        with pytest.raises(RatingError, match="at least 0"):
            make()


def test_a_package_needs_a_size_and_a_rounding() -> None:
    with pytest.raises(RatingError, match="divide_by"):
        Package(d(1), d(0))
    with pytest.raises(RatingError, match="up or down"):
        Package(d(1), d(1), "nearest")


@pytest.mark.parametrize("model", [VOLUME, SLAB, flat("1"), Package(d(1), d(2))])
def test_a_negative_quantity_has_no_price(model: Model) -> None:
    with pytest.raises(RatingError, match="below 0"):
        model.lines(d(-1))


def test_the_same_tiers_in_another_mode_are_another_price() -> None:
    other: object = Slab(CLIFF)
    assert other != VOLUME
    assert Volume(CLIFF) == VOLUME
