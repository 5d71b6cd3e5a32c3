"""Included usage is shared by the prices of a meter, in their order."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.rating.made import d
from tokenmeter.rating.allowance import covered
from tokenmeter.rating.entitlement import Entitlement
from tokenmeter.rating.periods import ResetPeriod

TWO_DAYS = {"first": [d(8), d(3)], "second": [d(5), d(20)]}


@pytest.mark.parametrize(
    ("entitlement", "before", "expected"),
    [
        (Entitlement(d(10)), 0, {"first": 11, "second": 9}),  # 8 and 2, 3 and 7
        (Entitlement(d(0)), 0, {"first": 0, "second": 0}),
        (Entitlement(None), 0, {"first": 11, "second": 25}),
        (Entitlement(d(10), is_enabled=False), 0, {"first": 0, "second": 0}),
        (Entitlement(d(10), reset=ResetPeriod.DAILY), 9, {"first": 4, "second": 7}),  # 1, 3 and 7
    ],
)
def test_each_window_has_the_allowance_anew(
    entitlement: Entitlement, before: int, expected: dict[str, int]
) -> None:
    assert covered(entitlement, TWO_DAYS, d(before)) == expected


@pytest.mark.parametrize(("before", "left"), [(0, 10), (4, 6), (10, 0), (50, 0)])
def test_an_allowance_that_never_resets_counts_what_was_before(before: int, left: int) -> None:
    once = Entitlement(d(10), reset=ResetPeriod.NEVER)
    assert covered(once, {"first": [d(12)]}, d(before)) == {"first": left}


def test_without_prices_nothing_is_covered() -> None:
    assert covered(Entitlement(d(10)), {}) == {}


USED = st.dictionaries(
    st.sampled_from("abc"), st.lists(st.decimals(0, 100, places=2), min_size=3, max_size=3)
)


@given(limit=st.decimals(0, 100, places=2), used=USED)
def test_no_window_covers_more_than_the_limit_or_the_usage(
    limit: Decimal, used: dict[str, list[Decimal]]
) -> None:
    found = covered(Entitlement(limit), used)
    windows = [sum((v[i] for v in used.values()), d(0)) for i in range(3)]
    assert sum(found.values(), d(0)) == sum((min(limit, w) for w in windows), d(0))
    assert all(d(0) <= found[key] <= sum(values, d(0)) for key, values in used.items())
