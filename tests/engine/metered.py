"""Meters and events for the metering tests, and the plain second computation."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from tokenmeter.engine.ids import new_id
from tokenmeter.engine.local import Engine
from tokenmeter.engine.metering import MeterQuery, Quantity
from tokenmeter.engine.rollups import slot_for
from tokenmeter.engine.store.documents import Document, Documents
from tokenmeter.event import Event
from tokenmeter.rating.aggregation import Grid, measure, tally
from tokenmeter.rating.filters import Filter, matches
from tokenmeter.rating.meter import Aggregation, AggregationType, Meter, Sample
from tokenmeter.rating.rounding import trimmed
from tokenmeter.rating.windows import Period, Window, zone_of

START = datetime(2026, 10, 20, tzinfo=UTC)
DAYS = 40
ZONES = ("UTC", "Asia/Kolkata", "America/St_Johns", "Europe/Berlin", "Australia/Lord_Howe")
NAME = "image_generated"


def meter_of(rule: Aggregation, *filters: Filter, include_unbilled: bool = False) -> Meter:
    """Return a meter of image events."""
    return Meter("m", NAME, rule, filters, include_unbilled=include_unbilled, meter_id="meter_m")


RULES = (
    Aggregation(AggregationType.COUNT),
    Aggregation(AggregationType.SUM, "units"),
    Aggregation(AggregationType.SUM, "units", aliases=("total",)),
    Aggregation(AggregationType.AVG, "units"),
    Aggregation(AggregationType.MAX, "units"),
    Aggregation(AggregationType.LATEST, "units"),
    Aggregation(AggregationType.COUNT_UNIQUE, "user"),
    Aggregation(AggregationType.SUM_WITH_MULTIPLIER, "units", multiplier=Decimal("0.1")),
    Aggregation(AggregationType.WEIGHTED_SUM, "units"),
    Aggregation(AggregationType.SUM, expression="units * 2 + seconds"),
    Aggregation(AggregationType.MAX, "units", bucket_size=Window.HOUR, group_by="size"),
    Aggregation(AggregationType.MAX, "units", bucket_size=Window.HALF_HOUR),
    Aggregation(AggregationType.SUM, "units", bucket_size=Window.DAY),
    Aggregation(AggregationType.MAX, "units", bucket_size=Window.MONTH),
)

FILTERS = (
    (),
    (Filter("size", ("1024", "s")),),
    (Filter("model", ("a",)), Filter("quality", ("hd",))),
)


def _meter_of(rule: Aggregation, filters: tuple[Filter, ...], unbilled: bool) -> Meter:
    return meter_of(rule, *filters, include_unbilled=unbilled)


meters = st.builds(
    _meter_of,
    st.sampled_from(RULES),
    st.sampled_from(FILTERS),
    st.booleans(),
)
properties: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "units": st.one_of(
            st.integers(-2, 2**70),
            st.decimals(0, 10**6, allow_nan=False, allow_infinity=False, places=9),
            st.sampled_from(["12", "1e3", "many", "1.50"]),
        ),
        "total": st.integers(0, 9),
        "seconds": st.decimals(0, 60, places=3),
        "user": st.sampled_from(["u1", "u2", "u3", 7]),
        "model": st.sampled_from(["a", "b"]),
        "request_model": st.sampled_from(["a", "c"]),
        "size": st.sampled_from(["s", 1024, "1024", 2_000_000]),
        "quality": st.sampled_from(["hd", "std"]),
        "billable": st.sampled_from(["true", "false"]),
    },
)
# Many at the seams of hours and days, where half-open ranges go wrong.
seconds = st.one_of(
    st.integers(0, DAYS * 86_400 - 1).map(Decimal),
    st.integers(0, DAYS * 48 - 1).map(lambda half_hours: Decimal(half_hours * 1800)),
    st.integers(1, DAYS * 24 - 1).map(lambda hours: Decimal(hours * 3600) - Decimal("0.000001")),
)
moments = seconds.map(lambda at: START + timedelta(microseconds=int(at * 1_000_000)))


@st.composite
def histories(draw: st.DrawFn) -> list[Event]:
    """Draw events of two customers, in any order of time."""
    drawn = draw(
        st.lists(
            st.tuples(st.sampled_from([NAME, NAME, f" {NAME} ", "other"]), moments, properties),
            max_size=25,
        )
    )
    return [
        Event(name, f"evt_{i:03}", f"cust_{i % 2}", at, held)
        for i, (name, at, held) in enumerate(drawn)
    ]


bounds = st.one_of(
    st.just(START),
    moments,
    st.datetimes(datetime(2026, 10, 20), datetime(2026, 11, 28)).map(  # noqa: DTZ001
        lambda at: at.replace(minute=17, second=0, microsecond=0, tzinfo=UTC)
    ),
)


@st.composite
def queries(draw: st.DrawFn) -> MeterQuery:
    """Draw a question about a meter."""
    start, end = sorted((draw(bounds), draw(bounds)))
    return MeterQuery(
        draw(meters),
        draw(st.sampled_from([None, ("cust_0",), ("cust_0", "cust_1"), ("nobody",)])),
        start,
        end,
        draw(st.sampled_from(FILTERS)),
        draw(st.sampled_from([(), ("size",), ("customer",), ("model", "user")])),
        draw(st.sampled_from([None, None, *Window])),
        draw(st.sampled_from(ZONES)),
        draw(st.sampled_from([None, datetime(2026, 1, 31, 14, 20, tzinfo=UTC)])),
    )


def computed(events: Sequence[Event], query: MeterQuery) -> list[Quantity]:
    """Answer a question about a few events by `rating` alone."""
    period = Period(query.start, query.end)
    grid = Grid(query.window, zone_of(query.zone), query.anchor) if query.window else None
    held: dict[tuple[datetime | None, tuple[str | None, ...]], list[Sample]] = {}
    if not query.group_by and not grid:
        held[None, ()] = []
    for event in events:
        sample = query.meter.sample(event)
        wanted = query.customers is None or event.external_customer_id in query.customers
        inside = event.timestamp in period and matches(query.filters, event.properties)
        if sample is not None and wanted and inside:
            group = tuple(_label(event, name) for name in query.group_by)
            start = grid.start(event.timestamp) if grid else None
            held.setdefault((start, group), []).append(sample)
    found: list[Quantity] = []
    for (start, group), samples in held.items():
        whole = grid.at(start) if grid and start else period
        counted = measure(
            query.meter.aggregation,
            samples,
            whole,
            zone=zone_of(query.zone),
            anchor=query.anchor,
        )
        buckets = counted.buckets
        found.append(
            Quantity(
                dict(zip(query.group_by, group, strict=True)),
                start,
                trimmed(counted.value),
                tally(samples).count,
                None if buckets is None else tuple(trimmed(b.value) for b in buckets),
            )
        )
    return found


def _label(event: Event, name: str) -> str | None:
    if name == "customer":
        return event.external_customer_id
    value = event.properties.get(name)
    return None if value is None else str(value)


def sortable(found: Quantity) -> str:
    """Give a key to compare answers whatever their order."""
    return repr((found.window_start, sorted(found.group.items())))


def check_agrees(answer: list[Quantity], events: Sequence[Event], query: MeterQuery) -> None:
    """Assert that an answer is the second computation's, to the last digit."""
    expected = "\n".join(map(repr, sorted(computed(events, query), key=sortable)))
    assert "\n".join(map(repr, sorted(answer, key=sortable))) == expected


_environments = itertools.count()


def define(engine: Engine, environment: str, meter: Meter, *keys: str) -> None:
    """Keep a meter, and a price of it that filters on these keys."""
    rule = meter.aggregation
    body = {
        "name": meter.name,
        "event_name": meter.event_name,
        "aggregation": {
            "type": str(rule.kind),
            "field": rule.field,
            "expression": rule.expression,
            "multiplier": None if rule.multiplier is None else str(rule.multiplier),
            "bucket_size": rule.bucket_size or "",
            "group_by": rule.group_by,
            "aliases": list(rule.aliases),
        },
        "filters": [{"key": f.key, "values": list(f.values)} for f in meter.filters],
        "reset_usage": "BILLING_PERIOD",
        "include_unbilled": meter.include_unbilled,
    }
    with engine.store.writing() as connection:
        documents = Documents(connection, environment)
        made = documents.insert(Document("meter", new_id("meter"), body))
        for key in keys:
            price = {"meter_id": made.id, "filter_values": {key: ["x"]}}
            documents.insert(Document("price", new_id("price"), price))


def counts_apart(engine: Engine, environment: str, meter: Meter, *keys: str) -> bool:
    """Tell whether rollups answer for a meter, apart by these properties."""
    with engine.store.reading() as connection:
        return slot_for(connection, environment, meter, keys) is not None


def kept(engine: Engine, events: Sequence[Event]) -> str:
    """Ingest events into an environment of their own, and return it."""
    environment = fresh()
    engine.ingest(events, environment=environment)
    return environment


def fresh() -> str:
    """Return the name of an environment that nobody else uses."""
    return f"env_{next(_environments)}"
