"""Usage: what meters, and questions that are no meter, count."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter

from tokenmeter.engine.definitions import reading
from tokenmeter.engine.metering import MeterQuery, Quantity, measure
from tokenmeter.rating.define import define_aggregation, define_meter
from tokenmeter.rating.meter import Aggregation, AggregationType, Meter, Reset, kind_of
from tokenmeter.server import questions
from tokenmeter.server.asked import query_of, usage_body, window_asked
from tokenmeter.server.auth import Reading
from tokenmeter.server.desk import Desk
from tokenmeter.server.wire import Fields, Reply, body_schema

router = APIRouter(tags=["usage"])

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@router.post("/events/usage", openapi_extra=body_schema(questions.USAGE))
def get_usage(fields: Fields, desk: Reading) -> Reply:
    """Aggregate one property of the events of a name; without a property they are counted."""
    meter = Meter("usage", reading.needed(fields, "event_name"), _aggregation(fields))
    query = query_of(fields, desk, meter)
    return _answer(query, desk)


@router.post("/events/usage/meter", openapi_extra=body_schema(questions.METER_USAGE))
@router.post(
    "/meter-usage/query",
    openapi_extra=body_schema(questions.METER_USAGE),
    operation_id="query_meter_usage",
)
def get_usage_by_meter(fields: Fields, desk: Reading) -> Reply:
    """Count what a meter counts; one that never resets counts from the start of time."""
    meter = define_meter(desk.definitions.get("meter", reading.needed(fields, "meter_id")))
    bucket = window_asked(fields, "bucket_size")
    if bucket is not None:
        meter = replace(meter, aggregation=replace(meter.aggregation, bucket_size=bucket))
    return _answer(query_of(fields, desk, meter), desk, reset=meter.reset)


def _answer(query: MeterQuery, desk: Desk, reset: Reset = Reset.BILLING_PERIOD) -> Reply:
    total = replace(query, window=None, group_by=())
    if reset is Reset.NEVER:
        total = replace(total, start=EPOCH)
    found: list[Quantity] = []
    if query.window is not None or query.group_by:
        found = measure(desk.engine.store, query, desk.environment)
    (whole,) = measure(desk.engine.store, total, desk.environment)
    return Reply(usage_body(query.meter, whole.quantity, found))


def _aggregation(fields: Mapping[str, Any]) -> Aggregation:
    field = reading.text(fields, "property_name")
    kind = kind_of(reading.needed(fields, "aggregation_type"))
    if not field:
        return Aggregation(AggregationType.COUNT)
    multiplier = reading.amount(fields, "multiplier")
    if kind is AggregationType.SUM_WITH_MULTIPLIER and multiplier is None:
        kind = AggregationType.SUM
    return define_aggregation(
        {
            "type": kind.value,
            "field": field,
            "multiplier": multiplier,
            "bucket_size": reading.text(fields, "bucket_size"),
        }
    )
