"""Filters compare text; the most specific price wins; equal rights are refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.rating.made import START, d, flat, price
from tokenmeter.rating.errors import RatingError
from tokenmeter.rating.filters import (
    Filter,
    check_unambiguous,
    choose,
    filters_of,
    is_billable,
    matches,
    merged,
    text,
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (True, "true"),
        (False, "false"),
        (1080, "1080"),
        (1080.0, "1080"),
        (d("1080.00"), "1080"),
        (0.5, "0.5"),
        (None, "<nil>"),
        ("1.0", "1.0"),
        (float("inf"), "inf"),
        ([1], "[1]"),
    ],
)
def test_a_property_is_compared_as_text(value: object, expected: str) -> None:
    assert text(value) == expected


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (1_000_000, "1000000"),
        (1_000_000, "1e+06"),
        (1_048_576, "1.048576e+06"),
        (0.00001, "1e-05"),
        (-2_500_000.0, "-2.5e+06"),
        (999_999, "999999"),
    ],
)
def test_a_large_number_matches_in_plain_digits_and_as_flexprice_writes_it(
    value: object, wanted: str
) -> None:
    assert matches([Filter("size", (wanted,))], {"size": value})


def test_all_keys_must_match_and_any_value_will_do() -> None:
    filters = filters_of({"size": ["a", "b"], "quality": "hd"})
    assert matches(filters, {"size": "b", "quality": "hd", "other": 1})
    assert not matches(filters, {"size": "b"})
    assert not matches(filters, {"size": "c", "quality": "hd"})
    assert not matches(filters, {"size": "b", "quality": "HD"})
    assert matches([], {})
    assert not matches([Filter("a.b", ("1",))], {"a": {"b": 1}})


@pytest.mark.parametrize("name", ["model", "request_model", "model_type"])
def test_a_filter_on_model_matches_the_served_the_asked_and_the_canonical_name(name: str) -> None:
    assert matches(filters_of({"model": "gpt-4o"}), {"model": "gpt-4o-2024-08-06", name: "gpt-4o"})
    assert not matches(filters_of({"size": "gpt-4o"}), {name: "gpt-4o"})


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({}, True),
        ({"billable": "false"}, False),
        ({"billable": False}, False),
        ({"billable": "true"}, True),
        ({"billable": None}, True),
    ],
)
def test_only_billable_false_is_not_billable(
    properties: dict[str, object], *, expected: bool
) -> None:
    assert is_billable(properties) is expected


def test_a_filter_needs_a_key_and_a_value() -> None:
    with pytest.raises(RatingError, match="key"):
        Filter("", ("a",))
    with pytest.raises(RatingError, match="value"):
        filters_of({"size": []})


def test_updating_filters_adds_and_never_removes() -> None:
    held = (Filter("a", ("1",)),)
    assert merged(held, (Filter("a", ("2", "1")), Filter("b", ("3",)))) == (
        Filter("a", ("1", "2")),
        Filter("b", ("3",)),
    )


def test_the_most_specific_price_wins_and_one_without_filters_takes_the_rest() -> None:
    rest = price(flat("1"), "rest")
    model = price(flat("2"), "model", model="a")
    both = price(flat("3"), "both", model="a", size="big")
    prices = [rest, both, model]
    assert choose(prices, {"model": "a", "size": "big"}) is both
    assert choose(prices, {"model": "a", "size": "small"}) is model
    assert choose(prices, {"model": "b"}) is rest
    assert choose([model], {"model": "b"}) is None


def test_a_price_for_the_served_model_goes_before_one_for_the_asked_model() -> None:
    served = price(flat("1"), "served", model="gpt-4o-2024-08-06")
    asked = price(flat("2"), "asked", model="gpt-4o")
    properties = {"model": "gpt-4o-2024-08-06", "request_model": "gpt-4o"}
    check_unambiguous([served, asked])
    assert choose([asked, served], properties) is served


def test_a_tie_is_refused_and_never_guessed() -> None:
    one = price(flat("1"), "one", model="a", size="big")
    other = price(flat("2"), "other", model="a", quality="hd")
    with pytest.raises(RatingError, match="'one' and 'other'") as refused:
        check_unambiguous([one, other])
    assert refused.value.code == "validation_error"
    assert refused.value.field == "filter_values"
    with pytest.raises(RatingError, match="same number of filter keys"):
        choose([one, other], {"model": "a", "size": "big", "quality": "hd"})


def test_two_prices_without_filters_on_one_meter_are_refused() -> None:
    with pytest.raises(RatingError, match="match the same events"):
        check_unambiguous([price(flat("1"), "one"), price(flat("2"), "two")])


def test_prices_that_cannot_meet_are_not_ambiguous() -> None:
    one = price(flat("1"), "one", model="a")
    check_unambiguous([one, price(flat("1"), "two", model="b")])
    check_unambiguous([one, price(flat("1"), "two", model="a", size="x")])
    later = START + timedelta(days=1)
    ended = replace(one, end=later)
    started = replace(price(flat("1"), "two", model="a"), start=later)
    check_unambiguous([ended, started])
    check_unambiguous([started, ended])
    with pytest.raises(RatingError):
        check_unambiguous([one, started])
