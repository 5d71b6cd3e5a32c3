from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings

from tests.engine.metered import (
    NAME,
    RULES,
    START,
    check_agrees,
    define,
    histories,
    kept,
    meter_of,
    queries,
)
from tokenmeter.engine.local import Engine
from tokenmeter.engine.metering import GROUPS_MAX, MeterQuery, assignments, measure
from tokenmeter.errors import QueryError
from tokenmeter.event import Event, Property
from tokenmeter.rating.aggregation import tally
from tokenmeter.rating.filters import filters_of
from tokenmeter.rating.meter import Aggregation, AggregationType
from tokenmeter.rating.models import FlatFee
from tokenmeter.rating.price import Price
from tokenmeter.rating.selection import assign

ON_BOTH_DATABASES = True

END = START + timedelta(days=40)


def image(number: int, at: datetime, **properties: str | int) -> Event:
    return Event(NAME, f"evt_{number}", "cust_0", at, {"units": 10, **properties})


@settings(max_examples=150, deadline=None)
@given(histories(), queries())
def test_a_quantity_is_what_rating_counts_over_all_events(
    shared: Engine, events: list[Event], query: MeterQuery
) -> None:
    environment = kept(shared, events)
    check_agrees(measure(shared._store, query, environment), events, query)


def test_a_range_includes_its_start_and_not_its_end(engine: Engine) -> None:
    engine.ingest([image(0, START), image(1, START + timedelta(hours=1))])
    query = MeterQuery(meter_of(RULES[1]), None, START, START + timedelta(hours=1))
    assert [(q.quantity, q.events) for q in measure(engine._store, query)] == [(Decimal(10), 1)]


def test_nothing_used_is_0_and_no_group(engine: Engine) -> None:
    query = MeterQuery(meter_of(RULES[1]), ("cust_0",), START, END)
    assert [(q.quantity, q.events) for q in measure(engine._store, query)] == [(Decimal(0), 0)]
    grouped = MeterQuery(meter_of(RULES[1]), ("cust_0",), START, END, group_by=("size",))
    assert measure(engine._store, grouped) == []


def test_one_environment_counts_only_its_own(engine: Engine) -> None:
    engine.ingest([image(0, START, environment="test")], environment="prod")
    engine.ingest([image(1, START, environment="test")])
    query = MeterQuery(meter_of(RULES[0]), None, START, END)
    assert measure(engine._store, query, "prod")[0].quantity == 1
    assert measure(engine._store, query, "")[0].quantity == 1
    assert measure(engine._store, query, "test")[0].quantity == 0


def prices(
    *filters: dict[str, object], start: datetime | None = None, end: datetime | None = None
) -> list[Price]:
    dollar = FlatFee(Decimal(1))
    return [
        Price(
            f"price_{i}",
            "usd",
            dollar,
            meter_id="m",
            filters=filters_of(wanted),
            start=start,
            end=end,
        )
        for i, wanted in enumerate(filters)
    ]


def test_each_event_is_billed_by_the_most_specific_price_and_the_rest_is_unpriced(
    engine: Engine,
) -> None:
    sizes = ["s", "m", "s", "l", "s"]
    engine.ingest([image(i, START, size=size) for i, size in enumerate(sizes)])
    engine.ingest([image(9, START, size="s", quality="hd")])
    listed = prices({"size": "s"}, {"size": "s", "quality": "hd"}, {"size": ["m", "xl"]})
    query = MeterQuery(meter_of(RULES[1]), ("cust_0",), START, END)
    found = assignments(engine._store, query, listed)
    assert {k: q.quantity for k, q in found.by_price.items()} == {
        "price_0": 30,
        "price_1": 10,
        "price_2": 10,
    }
    assert (found.unpriced.quantity, found.unpriced.events) == (Decimal(10), 1)


def test_a_price_bills_what_came_while_it_was_in_force(engine: Engine) -> None:
    change = START + timedelta(hours=5, minutes=30)
    engine.ingest([image(i, START + timedelta(hours=i)) for i in range(10)])
    engine.ingest([image(10, change)])
    old, new = prices({}, end=change)[0], prices({}, {}, start=change)[1]
    query = MeterQuery(meter_of(RULES[0]), ("cust_0",), START, END)
    found = assignments(engine._store, query, [old, new])
    assert [q.quantity for q in found.by_price.values()] == [6, 5]
    assert found.unpriced.quantity == 0


@settings(max_examples=80, deadline=None)
@given(histories())
def test_assignments_are_those_of_rating(shared: Engine, events: list[Event]) -> None:
    listed = prices(
        {"model": "a"},
        {"model": "a", "size": ["1024", "s"]},
        {"quality": "hd", "size": "s", "model": "b"},
    )
    listed += prices({"x": 1}, {}, start=START + timedelta(days=7, minutes=90))[1:]
    meter = meter_of(Aggregation(AggregationType.SUM, "units"))
    query = MeterQuery(meter, None, START, END)
    found = assignments(shared._store, query, listed, kept(shared, events))
    expected = assign(meter, listed, events)
    assert {k: (q.quantity, q.events) for k, q in found.by_price.items()} == {
        k: (tally(s).total, len(s)) for k, s in expected.by_price.items()
    }
    assert found.unpriced.events == len(expected.unpriced)


def test_a_question_that_makes_no_sense_is_refused(engine: Engine) -> None:
    meter = meter_of(RULES[0])
    with pytest.raises(QueryError, match="is no time zone"):
        measure(engine._store, MeterQuery(meter, None, START, END, zone="Mars/Olympus"))
    many = tuple(f"dimension_{number}" for number in range(GROUPS_MAX + 1))
    with pytest.raises(QueryError, match=f"at most {GROUPS_MAX} dimensions"):
        measure(engine._store, MeterQuery(meter, None, START, END, group_by=many))
    with pytest.raises(QueryError, match="whole period"):
        assignments(engine._store, MeterQuery(meter, None, START, END, group_by=("a",)), [])
    assert UTC is START.tzinfo


@pytest.mark.parametrize(
    "strange",
    [
        "x'; DROP TABLE events; --",
        'x" OR "1"="1',
        "$.units",
        "units') UNION SELECT name FROM names --",
        "%s ? :x {0}",
        "a\x00b",
        "\\",
        "ä 画像 \u2028",
    ],
)
def test_a_strange_name_or_value_is_only_a_name_or_value(engine: Engine, strange: str) -> None:
    meter = meter_of(Aggregation(AggregationType.SUM, strange), *filters_of({"size": strange}))
    define(engine, "", meter, strange)
    storable = "\x00" not in strange
    held: dict[str, Property] = {"size": strange, strange: 7} if storable else {"size": "s"}
    engine.ingest([Event(NAME, "evt_1", "cust_0", START, held)])
    query = MeterQuery(
        meter, (strange, "cust_0"), START, END, filters_of({strange: 7}), (strange, "customer")
    )
    expected = [{strange: "7", "customer": "cust_0"}] if storable else []
    assert [q.group for q in measure(engine.store, query, "")] == expected
    assert [q.group for q in measure(engine.store, query, strange)] == []
    listed = prices({strange: [7, strange]})
    whole = MeterQuery(meter, None, START, END)
    assert assignments(engine.store, whole, listed).by_price["price_0"].quantity == 7 * storable
    assert engine.events().events[0].event_id == "evt_1"
