from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction

import pytest

from tests.engine.made import START, made
from tokenmeter.engine.local import Engine
from tokenmeter.errors import QueryError
from tokenmeter.event import Property
from tokenmeter.usage import Number

ON_BOTH_DATABASES = True


def store(engine: Engine, *held: Mapping[str, Property]) -> None:
    """Store one event per property set, a second apart."""
    for i, properties in enumerate(held):
        at = START + timedelta(seconds=i)
        engine.ingest([made(f"evt_{i}", event_name="used", at=at, properties=properties)])


def test_the_sum_of_input_tokens_of_one_model_type_is_metered(engine: Engine) -> None:
    def tokens(event_id: str, count: int, direction: str, model_type: str) -> None:
        held: dict[str, Property] = {"tokens": count, "prompt_type": direction}
        held["model_type"] = model_type
        engine.ingest([made(event_id, event_name="tokens_total", properties=held)])

    tokens("a", 12, "input", "gpt-4")
    tokens("b", 30, "input", "gpt-4")
    tokens("c", 100, "output", "gpt-4")
    tokens("d", 1000, "input", "gpt-4o")
    filters = {"model_type": "gpt-4", "prompt_type": "input"}
    assert engine.aggregate("tokens_total", "SUM", "tokens", filters=filters) == 42
    assert engine.aggregate("tokens_total", filters=filters, customer="cust_2") == 0
    assert engine.aggregate("tokens_total", filters={"model_type": "gpt-4"}) == 142


@pytest.mark.parametrize(
    ("aggregation", "expected"),
    [
        ("COUNT", 5),
        ("SUM", Decimal("12.5")),
        ("sum", Decimal("12.5")),
        ("AVG", Decimal("2.5")),  # what has no number counts as 0
        ("MAX", 10),
        ("LATEST", 0),
        ("COUNT_UNIQUE", 4),
        ("UNIQUE_COUNT", 4),
    ],
)
def test_each_aggregation_counts_as_flexprice_counts(
    engine: Engine, aggregation: str, expected: Number
) -> None:
    store(
        engine,
        {"amount": Decimal("2.5")},
        {"amount": 10},
        {"amount": "many"},
        {},
        {"amount": -7},  # negative: 0
    )
    assert engine.aggregate("used", aggregation, "amount") == expected


@pytest.mark.parametrize("aggregation", ["COUNT", "SUM", "AVG", "MAX", "LATEST", "COUNT_UNIQUE"])
def test_of_nothing_every_aggregation_is_zero(engine: Engine, aggregation: str) -> None:
    assert engine.aggregate("used", aggregation, "amount") == 0


def test_the_latest_is_the_newest_by_time_and_then_by_arrival(engine: Engine) -> None:
    for event_id, seconds, amount in (("a", 5, 1), ("b", 9, 2), ("c", 9, 3), ("d", 1, 4)):
        at = START + timedelta(seconds=seconds)
        engine.ingest([made(event_id, event_name="used", at=at, properties={"amount": amount})])
    assert engine.aggregate("used", "LATEST", "amount") == 3
    end = START + timedelta(seconds=9)
    assert engine.aggregate("used", "LATEST", "amount", start=START, end=end) == 1


def test_a_meter_skips_what_is_not_billable_unless_it_includes_it(engine: Engine) -> None:
    store(
        engine,
        {"amount": 1},
        {"amount": 10, "billable": "true"},
        {"amount": 100, "billable": "false"},
    )
    assert engine.aggregate("used", "SUM", "amount") == 11
    assert engine.aggregate("used", "SUM", "amount", include_unbilled=True) == 111
    # A filter of the caller's cannot undo the rule.
    assert engine.aggregate("used", "SUM", "amount", filters={"billable": "false"}) == 11


def test_only_events_of_the_name_count(engine: Engine) -> None:
    store(engine, {"tokens": 1})
    assert engine.aggregate("used_unbilled") == 0


def test_sums_beyond_64_bits_stay_exact(engine: Engine) -> None:
    store(engine, {"amount": 2**62}, {"amount": 2**63 - 1}, {"amount": 2**100})
    assert engine.aggregate("used", "SUM", "amount") == 2**62 + 2**63 - 1 + 2**100
    assert engine.aggregate("used", "MAX", "amount") == 2**100


def test_an_unknown_aggregation_is_refused(engine: Engine) -> None:
    with pytest.raises(QueryError, match="'MEDIAN' is unknown; use COUNT, SUM"):
        engine.aggregate("used", "MEDIAN")


def test_metrics_add_up_exactly_however_large_small_or_written(engine: Engine) -> None:
    values: list[int | Decimal] = [3, -4, 2**31, 2**31 + 1, 2**63 - 1, 2**63 - 1, 10**40]
    values += [Decimal("0.1"), Decimal("0.2"), Decimal("1E-20"), -(2**63 - 1)]
    many = [
        made(f"evt_{at}", properties={"input_tokens": value}) for at, value in enumerate(values)
    ]
    engine.ingest(many)
    engine.ingest(
        [
            made("evt_text", properties={"output_tokens": "12"}),
            made("evt_int", properties={"output_tokens": 30}),
        ]
    )
    used = engine.usage()[0].usage
    assert used["input_tokens"] == sum(map(Fraction, values))
    assert used["output_tokens"] == 42
