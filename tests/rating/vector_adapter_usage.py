"""From a row's input to our functions: meters, quantities, expressions, aggregation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, cast

from tests.rating.vector_adapter_pricing import MONTH, usage_price
from tests.rating.vectors import Adapter, Input, day, decimal, moment
from tokenmeter.event import Event
from tokenmeter.rating.adjust import Terms, rate
from tokenmeter.rating.aggregation import Grid, Measurement, by_property, measure, points
from tokenmeter.rating.commitment import Commitment, commit, commitment_type_of
from tokenmeter.rating.define import define_aggregation, define_filters, define_meter
from tokenmeter.rating.expression import Expression
from tokenmeter.rating.filters import filters_of, matches, merged
from tokenmeter.rating.meter import Meter, kind_of
from tokenmeter.rating.models import total
from tokenmeter.rating.windows import Period, window_of

EVENT = "usage"
FAR = datetime(2100, 1, 1, tzinfo=UTC)


def _neg(value: Any) -> Any:
    """The rows write a negative number in an expression as {"neg": 7.5}."""
    if isinstance(value, Mapping) and set(cast("Mapping[str, Any]", value)) == {"neg"}:
        return -cast("Mapping[str, Any]", value)["neg"]
    return value


def _convert(given: Input) -> dict[str, object]:
    rule = define_aggregation({"type": "SUM", "field": "v"})
    return {"decimal": rule.quantity({"v": given["value"]})}


def _extract(given: Input) -> dict[str, object]:
    return {"quantity": define_aggregation(given["aggregation"]).quantity(given["properties"])}


def _event(properties: Mapping[str, Any], at: datetime = MONTH.start, key: str = "e") -> Event:
    return Event(EVENT, key, "cust", at, properties)


def _process(given: Input) -> dict[str, object]:
    meter = _meter(given["meter"]["aggregation"], given["meter"].get("filters"))
    sample = meter.sample(_event(given["event"]["properties"]))
    unique = "" if sample is None else sample.unique
    quantity = None if sample is None else sample.quantity
    return {"match": sample is not None, "quantity": quantity, "has_hash": bool(unique)}


def _meter(aggregation: Mapping[str, Any], filters: object = None) -> Meter:
    return Meter("meter", EVENT, define_aggregation(aggregation), define_filters(filters))


def _match(given: Input) -> dict[str, object]:
    return {"match": matches(define_filters(given["filters"]), given["properties"])}


def _update(given: Input) -> dict[str, object]:
    held = merged(define_filters(given["existing"]), define_filters(given["update"]))
    return {"filters": [{"key": f.key, "values": list(f.values)} for f in held]}


def _aggregate(given: Input) -> dict[str, object]:
    meter = _meter(given["aggregation"], given.get("filters"))
    events = [
        _event(e["properties"], moment(e["timestamp"]), str(i))
        for i, e in enumerate(given["events"])
    ]
    period = Period(min((e.timestamp for e in events), default=MONTH.start), FAR)
    found = measure(meter.aggregation, meter.samples(events), period)
    buckets = [b.value for b in found.buckets or ()]
    return {"value": found.value, "buckets": buckets}


def _expression(given: Input) -> dict[str, object]:
    properties = {name: _neg(value) for name, value in given["properties"].items()}
    exact = Expression.of(given["expression"]).evaluate(properties)
    # Flexprice's answer is a double; ours is compared as one.
    return {"quantity": decimal(repr(float(exact)))}


def _check_expression(given: Input) -> dict[str, object]:
    return {"error": False, "names": Expression.of(given["expression"]).names}


def _supports(given: Input) -> dict[str, object]:
    return {"value": kind_of(given["aggregation_type"]).takes_expression}


def _check_meter(given: Input) -> dict[str, object]:
    rule = given["aggregation"]
    fields = {"name": "m", "event_name": EVENT, "reset_usage": "BILLING_PERIOD", **given}
    return {"error": False, "meter": define_meter({**fields, "aggregation": rule})}


def _create_meter(given: Input) -> dict[str, object]:
    return {"error": False, "meter": define_meter(given)}


def _analytics(given: Input) -> dict[str, object]:
    period = Period(moment(given["period"]["start"]), moment(given["period"]["end"]))
    meter = _analytics_meter(given)
    events = _analytics_events(given, period)
    samples = list(meter.samples(events))
    items = [
        measure(meter.aggregation, samples, window).value
        for item in given.get("line_items", [{"start": None, "end": None}])
        if (window := period.within(day(item["start"]), day(item["end"])))
    ]
    found: dict[str, object] = {"total_usage": sum(items, Decimal(0)), "per_line_item": items}
    found["groups"] = _groups(given, meter, events, period)
    if "window_size" in given:
        grid = Grid(window_of(given["window_size"]), UTC)
        found["points"] = [p.value for p in points(meter.aggregation, samples, period, grid=grid)]
    return found | _cost(given, sum(items, Decimal(0)))


def _analytics_meter(given: Input) -> Meter:
    kind = given.get("aggregation", "SUM")
    rule: dict[str, object] = {"type": kind}
    if kind != "COUNT":
        rule["field"] = given.get("field", "value")
    rule |= {k: given[k] for k in ("bucket_size", "multiplier") if k in given}
    return Meter("meter", EVENT, define_aggregation(rule))


def _analytics_events(given: Input, period: Period) -> list[Event]:
    known = {name for usage in given["usage"] for name in usage}
    asked = given.get("property_filters") or {}  # a row may leave out the properties it filters
    wanted = filters_of({name: values for name, values in asked.items() if name in known})
    events = [
        _event(usage, period.start.replace(day=usage["day"]), str(i))
        for i, usage in enumerate(given["usage"])
    ]
    return [e for e in events if matches(wanted, e.properties)]


def _groups(
    given: Input, meter: Meter, events: Sequence[Event], period: Period
) -> dict[str, Decimal]:
    by = given.get("group_by", [])
    names = [by] if isinstance(by, str) else by
    return {
        "|".join(key): measure(meter.aggregation, meter.samples(held), period).value
        for key, held in by_property(events, names).items()
    }


def _cost(given: Input, usage: Decimal) -> dict[str, object]:
    if "price" not in given:
        return {}
    price, promise = usage_price(given["price"]), _commitment(given)
    charge = rate(price, Measurement(usage), Terms(commitment=promise))
    held = commit(total(price.lines(usage)), promise, price.model) if promise else None
    return {
        "total_cost": charge.amount,
        "commitment_info": held and {"utilized": held.utilized},
        "utilized": held and held.utilized,
        "overage": held and held.overage,
        "true_up": held and held.true_up,
    }


def _commitment(given: Input) -> Commitment | None:
    fields = given.get("commitment")
    # Analytics for some properties only do no commitment arithmetic.
    if not fields or given.get("property_filters") or given.get("sources"):
        return None
    return Commitment(
        decimal(fields["value"]),
        commitment_type_of(fields["type"]),
        decimal(fields.get("overage_factor", 1)),
        true_up=bool(fields.get("true_up")),
    )


ADAPTERS: dict[str, Adapter] = {
    "quantity.convert": _convert,
    "quantity.extract": _extract,
    "quantity.process_event": _process,
    "filter.meter": _match,
    "meter.update_filters": _update,
    "aggregation.events_usage": _aggregate,
    "usage.analytics": _analytics,
    "expression.cel": _expression,
    "validation.cel": _check_expression,
    "validation.aggregation_supports_expression": _supports,
    "validation.meter": _check_meter,
    "validation.create_meter": _create_meter,
}
