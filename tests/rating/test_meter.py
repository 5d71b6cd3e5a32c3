"""What a meter takes from an event, and which definitions are refused."""

from __future__ import annotations

import hashlib

import pytest

from tests.rating.made import d, event, meter
from tokenmeter.rating.errors import RatingError
from tokenmeter.rating.expression import ExpressionError
from tokenmeter.rating.filters import filters_of
from tokenmeter.rating.meter import Aggregation, AggregationType, Meter, Reset, kind_of, reset_of
from tokenmeter.rating.windows import Window

T = AggregationType


@pytest.mark.parametrize(
    ("rule", "properties", "expected"),
    [
        (Aggregation(T.COUNT), {}, "1"),
        (Aggregation(T.SUM, "v"), {"v": "1.5"}, "1.5"),
        (Aggregation(T.SUM, "v"), {"v": -3}, "0"),
        (Aggregation(T.SUM, "v"), {}, "0"),
        (Aggregation(T.MAX, "v"), {"v": True}, "0"),
        (Aggregation(T.LATEST, "v"), {"v": {"a": 1}}, "0"),
        (Aggregation(T.SUM, "v"), {"v": "1e26"}, "0"),
        (Aggregation(T.SUM, "v", aliases=("w", "x")), {"x": 9, "w": 8}, "8"),
        (Aggregation(T.SUM, "v", aliases=("w",)), {"v": 1, "w": 8}, "1"),
        (Aggregation(T.COUNT_UNIQUE, "v"), {"v": 0}, "1"),
        (Aggregation(T.COUNT_UNIQUE, "v"), {"v": None}, "0"),
        (Aggregation(T.SUM_WITH_MULTIPLIER, "v", multiplier=d("0.001")), {"v": 5}, "0.005"),
        (Aggregation(T.AVG, expression="a * 2"), {"a": 5}, "10"),
        (Aggregation(T.SUM, expression="a - 9"), {"a": 5}, "0"),
        (Aggregation(T.SUM, expression="a / 3"), {"a": 1}, "0.333333333333333"),
    ],
)
def test_the_quantity_of_an_event(
    rule: Aggregation, properties: dict[str, object], expected: str
) -> None:
    assert rule.quantity(properties) == d(expected)


def test_a_computed_quantity_too_large_to_count_is_an_error_and_not_zero() -> None:
    with pytest.raises(ExpressionError, match="larger"):
        Aggregation(T.SUM, expression="a * 1e20").quantity({"a": 10**6})


def test_an_event_of_another_name_or_without_the_filter_is_not_the_meters() -> None:
    images = meter(T.COUNT, "", size="big")
    assert images.sample(event("e", size="big")) is not None
    assert images.sample(event("e", size="small")) is None
    assert images.sample(event("e", 0, "video_generated", size="big")) is None
    assert images.sample(event("e", 0, "Image_generated", size="big")) is None


def test_a_meter_skips_unbilled_events_unless_it_includes_them() -> None:
    failed = event("e", tokens=5, billable="false")
    billed = meter()
    every = Meter("m", "image_generated", billed.aggregation, include_unbilled=True)
    assert [s.event_id for s in billed.samples([failed, event("f", tokens=1)])] == ["f"]
    assert [s.quantity for s in every.samples([failed])] == [d(5)]


def test_an_expression_without_a_value_skips_the_event() -> None:
    rate = Meter("m", "image_generated", Aggregation(T.SUM, expression="a / b"))
    assert rate.sample(event("e", a=1)) is None
    assert [s.event_id for s in rate.samples([event("e", a=1), event("f", a=1, b=2)])] == ["f"]


@pytest.mark.parametrize(
    ("kind", "properties", "lacks"),
    [
        (T.SUM, {"tokens": 0}, False),
        (T.SUM, {"other": 1}, True),
        (T.SUM, {"tokens": "many"}, True),
        (T.SUM, {"tokens": "1e30"}, True),
        (T.COUNT, {}, False),
        (T.COUNT_UNIQUE, {"tokens": "many"}, False),
        (T.COUNT_UNIQUE, {}, True),
    ],
)
def test_an_event_that_matches_but_lacks_the_field_is_marked(
    kind: AggregationType, properties: dict[str, str | int], *, lacks: bool
) -> None:
    taken = meter(kind).sample(event("e", **properties))
    assert taken is not None
    assert taken.lacks_field is lacks


def test_an_expression_lacks_no_field() -> None:
    taken = Meter("m", "image_generated", Aggregation(T.SUM, expression="a")).sample(event("e"))
    assert taken is not None
    assert not taken.lacks_field


def test_unique_values_are_hashed_as_flexprice_does_and_absent_ones_are_not() -> None:
    users = meter(T.COUNT_UNIQUE, "user")
    taken = users.sample(event("e", user="u1"))
    assert taken is not None
    assert taken.unique == hashlib.sha256(b"image_generated:user:u1").hexdigest()
    absent = users.sample(event("e"))
    assert absent is not None
    assert absent.unique == ""


def test_a_grouped_meter_notes_the_group() -> None:
    peak = meter(T.MAX, "seats", bucket=Window.DAY, group_by="region")
    taken = [peak.sample(event("e", seats=1, region="eu")), peak.sample(event("f", seats=1))]
    assert [t.group for t in taken if t] == ["eu", ""]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("sum", T.SUM), ("UNIQUE_COUNT", T.COUNT_UNIQUE), ("count_unique", T.COUNT_UNIQUE)],
)
def test_aggregation_types_are_read_in_any_case_and_with_their_alias(
    name: str, expected: AggregationType
) -> None:
    assert kind_of(name) is expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("BILLING_PERIOD", Reset.BILLING_PERIOD),
        ("Periodic", Reset.BILLING_PERIOD),
        ("NEVER", Reset.NEVER),
        ("Cumulative", Reset.NEVER),
    ],
)
def test_resets_are_read_with_their_aliases(name: str, expected: Reset) -> None:
    assert reset_of(name) is expected


def test_unknown_words_are_refused() -> None:
    with pytest.raises(RatingError, match="MEDIAN"):
        kind_of("MEDIAN")
    with pytest.raises(RatingError, match="reset"):
        reset_of("")


@pytest.mark.parametrize(
    ("rule", "field", "match"),
    [
        (Aggregation(T.SUM), "aggregation.field", "needs a field"),
        (Aggregation(T.WEIGHTED_SUM), "aggregation.field", "needs a field"),
        (Aggregation(T.COUNT_UNIQUE, expression="a"), "aggregation.expression", "no expression"),
        (Aggregation(T.SUM, "a", expression="a"), "aggregation.expression", "not both"),
        (Aggregation(T.SUM, expression="a +"), "aggregation.expression", "needs"),
        (Aggregation(T.SUM_WITH_MULTIPLIER, "a"), "aggregation.multiplier", "above 0"),
        (
            Aggregation(T.SUM_WITH_MULTIPLIER, "a", multiplier=d(-1)),
            "aggregation.multiplier",
            "above 0",
        ),
        (
            Aggregation(T.AVG, "a", bucket_size=Window.HOUR),
            "aggregation.bucket_size",
            "no bucket size",
        ),
        (Aggregation(T.MAX, "a", group_by="r"), "aggregation.group_by", "bucket size"),
        (
            Aggregation(T.SUM, "a", bucket_size=Window.HOUR, group_by="r"),
            "aggregation.group_by",
            "Only a MAX",
        ),
    ],
)
def test_a_meter_that_cannot_count_is_refused(rule: Aggregation, field: str, match: str) -> None:
    with pytest.raises(RatingError, match=match) as refused:
        Meter("m", "image_generated", rule)
    assert refused.value.field == field
    assert refused.value.code == "validation_error"


def test_a_meter_needs_names() -> None:
    rule = Aggregation(T.COUNT)
    with pytest.raises(RatingError, match="A meter needs a name"):
        Meter(" ", "image_generated", rule)
    with pytest.raises(RatingError, match="events"):
        Meter("m", "", rule, filters_of({}))
