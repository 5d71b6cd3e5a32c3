from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine.made import START, made, url
from tokenmeter.engine.local import Engine
from tokenmeter.engine.query import UsageRow
from tokenmeter.errors import QueryError
from tokenmeter.event import Event, Property

Window = Literal["minute", "hour", "day", "month"]
DIMENSIONS = ("customer", "model", "feature", "outcome", "environment", "service_tier", "my 'x'")
METRICS = ("input_tokens", "audio_seconds", "tokens")

numbers = st.one_of(
    st.integers(0, 2**70),
    st.decimals(0, 10**6, allow_nan=False, allow_infinity=False, places=9),
)
texts = st.sampled_from(["a", "b", "ä'\";--", ""])
properties = st.fixed_dictionaries(
    {},
    optional={
        **{name: texts for name in DIMENSIONS if name != "customer"},
        **dict.fromkeys(METRICS, numbers),
        "outcome": st.sampled_from(["success", "failed"]),
        "billable": st.sampled_from(["true", "false"]),
        "is_retry": st.sampled_from(["true"]),
        "cost_usd": st.decimals(0, 100, places=12).map(str),
        "usage_source": st.sampled_from(["reported", "missing"]),
        "call_id": st.sampled_from(["call_1", "call_2"]),
        "attempt": st.integers(1, 2),
    },
)

ON_BOTH_DATABASES = True
moments = st.integers(0, 90 * 24 * 3600 * 1000).map(lambda ms: START + timedelta(milliseconds=ms))
customers = st.sampled_from(["cust_1", "cust_2"])


@st.composite
def batches(draw: st.DrawFn) -> list[Event]:
    made_of = draw(st.lists(st.tuples(customers, moments, properties), max_size=12))
    return [
        Event("text_generated", f"evt_{i}", customer, at, held)
        for i, (customer, at, held) in enumerate(made_of)
    ]


FLOORS: dict[Window | None, Callable[[datetime], datetime | None]] = {
    None: lambda at: None,
    "minute": lambda at: at.replace(second=0, microsecond=0),
    "hour": lambda at: at.replace(minute=0, second=0, microsecond=0),
    "day": lambda at: at.replace(hour=0, minute=0, second=0, microsecond=0),
    "month": lambda at: at.replace(day=1, hour=0, minute=0, second=0, microsecond=0),
}


def group_of(event: Event, by: tuple[str, ...]) -> tuple[str | None, ...]:
    held: dict[str, Property] = dict(event.properties)
    known = {"customer": event.external_customer_id}
    texts = ((known | {k: str(v) for k, v in held.items()}).get(name) for name in by)
    return tuple(texts)


def plain_sums(events: list[Event]) -> dict[str, Any]:
    """The second computation: straight from the meaning of the words."""
    attempts: dict[object, list[Event]] = defaultdict(list)
    for event in events:
        held = event.properties
        whole = "call_id" in held and "attempt" in held
        key = (held["call_id"], held["attempt"]) if whole else event.event_id
        attempts[key].append(event)

    def unpriced(held: dict[str, Property]) -> bool:
        idle = held.get("usage_source", "missing") == "missing"
        return "cost_usd" not in held and not (held.get("outcome") == "failed" and idle)

    costs = [Fraction(str(e.properties["cost_usd"])) for e in events if "cost_usd" in e.properties]
    reported = {m: [e.properties[m] for e in events if m in e.properties] for m in METRICS}
    return {
        "events": len(events),
        "attempts": len(attempts),
        "retries": sum(any("is_retry" in e.properties for e in es) for es in attempts.values()),
        "failed": sum(
            any(e.properties.get("outcome") == "failed" for e in es) for es in attempts.values()
        ),
        "billable": sum(e.properties.get("billable") != "false" for e in events),
        "unpriced": sum(unpriced(dict(e.properties)) for e in events),
        "cost_usd": sum(costs) if costs else None,
        "usage": {m: sum(Fraction(n) for n in held) for m, held in reported.items() if held},
    }


def sums_of(row: UsageRow) -> dict[str, Any]:
    counts = ("events", "attempts", "retries", "failed", "billable", "unpriced")
    return {
        **{name: getattr(row, name) for name in counts},
        "cost_usd": None if row.cost_usd is None else Fraction(row.cost_usd),
        "usage": {name: Fraction(total) for name, total in row.usage.items()},
    }


@settings(max_examples=60, deadline=None)
@given(
    events=batches(),
    by=st.lists(st.sampled_from(DIMENSIONS), max_size=3, unique=True).map(tuple),
    window=st.sampled_from([None, "minute", "hour", "day", "month"]),
    span=st.tuples(moments, moments).map(sorted),
    customer=st.none() | customers,
)
def test_usage_equals_a_plain_second_computation(
    events: list[Event],
    by: tuple[str, ...],
    window: Window | None,
    span: list[datetime],
    customer: str | None,
) -> None:
    start, end = span
    groups: dict[Any, list[Event]] = defaultdict(list)
    for event in events:
        wanted = customer is None or event.external_customer_id == customer
        if wanted and start <= event.timestamp < end:
            groups[FLOORS[window](event.timestamp), group_of(event, by)].append(event)
    with TemporaryDirectory() as folder, Engine(url(Path(folder) / "usage.db")) as engine:
        engine.ingest(events)
        filters = {} if customer is None else {"customer": customer}
        rows = engine.usage(by=by, window=window, start=start, end=end, filters=filters)
    found = {(row.window_start, tuple(row.group.values())): sums_of(row) for row in rows}
    assert found == {key: plain_sums(group) for key, group in groups.items()}
    assert all(row.unbilled == row.events - row.billable for row in rows)


def test_a_window_includes_its_start_and_not_its_end(engine: Engine) -> None:
    tick = timedelta(microseconds=1)
    hour = timedelta(hours=1)
    for i, at in enumerate((START - tick, START, START + hour - tick, START + hour)):
        engine.ingest([made(f"evt_{i}", at=at)])
    assert engine.usage(start=START, end=START + hour)[0].events == 2
    rows = engine.usage(window="hour")
    assert [(row.window_start, row.events) for row in rows] == [
        (START - hour, 1),
        (START, 2),
        (START + hour, 1),
    ]


def test_months_start_on_their_first_day_in_utc(engine: Engine) -> None:
    ends = [datetime(2024, 2, 29, 23, 59, 59, 999999, UTC), datetime(2024, 3, 1, tzinfo=UTC)]
    engine.ingest([made(f"evt_{i}", at=at) for i, at in enumerate(ends)])
    starts = [row.window_start for row in engine.usage(window="month")]
    assert starts == [datetime(2024, 2, 1, tzinfo=UTC), datetime(2024, 3, 1, tzinfo=UTC)]


def test_two_events_of_one_attempt_are_one_attempt(engine: Engine) -> None:
    for direction in ("input", "output"):
        held = {"tokens": 7, "prompt_type": direction, "call_id": "c", "attempt": 2}
        engine.ingest([made(direction, properties={**held, "is_retry": "true"})])
    (row,) = engine.usage()
    assert (row.events, row.attempts, row.retries) == (2, 1, 1)


def test_events_without_a_call_id_are_attempts_of_their_own(engine: Engine) -> None:
    engine.ingest([made(f"evt_{i}", properties={"attempt": 1}) for i in range(2)])
    assert engine.usage()[0].attempts == 2


def test_costs_that_floats_cannot_hold_add_up_exactly(engine: Engine) -> None:
    costs = ["0.1", "0.2", "0.0000000375", "12345678901234567890.000000000000000001"]
    engine.ingest([made(f"e{i}", properties={"cost_usd": cost}) for i, cost in enumerate(costs)])
    assert engine.usage()[0].cost_usd == Decimal("12345678901234567890.300000037500000001")


def test_a_missing_metric_is_absent_and_a_missing_cost_is_unpriced_never_zero(
    engine: Engine,
) -> None:
    engine.ingest([made(properties={"input_tokens": 3})])
    (row,) = engine.usage()
    assert row.usage == {"input_tokens": 3}
    assert row.cost_usd is None
    assert row.unpriced == 1


def test_a_failed_attempt_without_usage_is_not_unpriced(engine: Engine) -> None:
    held: dict[str, Property] = {"outcome": "failed", "usage_source": "missing"}
    engine.ingest([made(properties=held)])
    assert engine.usage()[0].unpriced == 0
    engine.ingest([made("evt_2", properties={**held, "usage_source": "reported"})])
    assert engine.usage()[0].unpriced == 1


def test_nothing_stored_is_no_row(engine: Engine) -> None:
    assert engine.usage() == []
    assert engine.usage(by=["customer"], window="day") == []


def test_chosen_metrics_leave_out_the_others_and_may_be_any_property(engine: Engine) -> None:
    engine.ingest([made(properties={"input_tokens": 3, "gpu_hours": Decimal("1.5")})])
    assert engine.usage(metrics=["gpu_hours"])[0].usage == {"gpu_hours": Decimal("1.5")}


def test_a_filter_takes_one_value_or_several_and_compares_as_text(engine: Engine) -> None:
    for fps in (24, 30, 60):
        engine.ingest([made(f"evt_{fps}", properties={"fps": fps, "generate_audio": "true"})])
    assert engine.usage(filters={"fps": 30})[0].events == 1
    assert engine.usage(filters={"fps": ["24", 60]})[0].events == 2
    assert engine.usage(filters={"generate_audio": True, "fps": "24"})[0].events == 1
    assert engine.usage(filters={"billable": "false"}) == []


HARMLESS = [
    "model'; DROP TABLE events; --",
    "a') UNION SELECT 1 --",
    "$.input_tokens",
    "model) OR 1=1 --",
    "[0]",
    "a.b",
    "; --",
    "%s",
    ":name",
    "?1",
    "*",
    "ключ",
]
REFUSED = ["", 'a"b', '"', '$."input_tokens"', "a\\b", "a\x00b", "new\nline", "x" * 201]


@pytest.mark.parametrize("name", HARMLESS)
def test_a_strange_property_name_is_only_a_name(engine: Engine, name: str) -> None:
    engine.ingest([made(properties={name: "x", "input_tokens": 1}), made("evt_2")])
    rows = engine.usage(by=[name])
    assert [(row.group, row.events) for row in rows] == [({name: None}, 1), ({name: "x"}, 1)]
    assert [row.group for row in engine.usage(by=["model", name], filters={name: "x"})] == [
        {"model": None, name: "x"}
    ]
    assert engine.aggregate("text_generated", "COUNT_UNIQUE", name) == 1
    assert engine.knows(name)
    assert not engine.knows(name + "!")
    assert engine.usage()[0].events == 2


@pytest.mark.parametrize("name", REFUSED)
def test_a_name_that_could_leave_its_quotes_is_refused(engine: Engine, name: str) -> None:
    engine.ingest([made()])
    asked: list[Callable[[], object]] = [
        lambda: engine.usage(by=[name]),
        lambda: engine.usage(filters={name: "x"}),
        lambda: engine.events(filters={name: "x"}),
        lambda: engine.aggregate("text_generated", "SUM", name),
        lambda: engine.knows(name),
    ]
    for ask in asked:
        with pytest.raises(QueryError):
            ask()


@pytest.mark.parametrize("value", sorted({*HARMLESS, *REFUSED} - {"a\x00b"}))
def test_a_strange_value_is_only_a_value(engine: Engine, value: str) -> None:
    assert engine.usage(filters={"customer": value, "size": value}) == []
    engine.ingest([made(customer=value or "x", properties={"size": value})])
    assert engine.usage(by=["size"], filters={"size": value})[0].group == {"size": value}


def test_a_question_that_makes_no_sense_is_refused_in_words(engine: Engine) -> None:
    naive = datetime(2026, 1, 1)  # noqa: DTZ001
    odd: Any = "fortnight"
    with pytest.raises(QueryError, match="without a zone"):
        engine.usage(start=naive)
    with pytest.raises(QueryError, match="the end lies before the start"):
        engine.usage(start=START, end=START - timedelta(days=1))
    with pytest.raises(QueryError, match="'fortnight' is no window"):
        engine.usage(window=odd)
    with pytest.raises(QueryError, match="at most 10"):
        engine.usage(by=[f"p{i}" for i in range(11)])
    with pytest.raises(QueryError, match="the filter on 'size' needs"):
        engine.usage(filters={"size": []})
