"""What a usage question asks: times, customer, filters, windows; and how numbers are answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from tokenmeter.engine.definitions import reading
from tokenmeter.engine.definitions.reading import Fields
from tokenmeter.engine.errors import ValidationError
from tokenmeter.engine.metering import SOURCE, MeterQuery, Quantity
from tokenmeter.event import timestamp_text
from tokenmeter.rating.filters import Filter
from tokenmeter.rating.meter import Meter
from tokenmeter.rating.rounding import plain
from tokenmeter.rating.windows import Period, Window, known_zone, window_of
from tokenmeter.server.desk import Desk

LOOK_BACK = timedelta(days=7)
FILTERS_MAX = 50


def period_of(fields: Fields, now: datetime) -> Period:
    """Read [start_time, end_time): by default the last seven days."""
    end = reading.bound(fields, "end_time") or now
    start = reading.bound(fields, "start_time")
    if start is None:
        start = end - LOOK_BACK
    if end < start:
        raise ValidationError("end_time lies before start_time.")
    return Period(start, end)


def filters_of(fields: Fields, name: str) -> tuple[Filter, ...]:
    """Read values by key; a key without values filters nothing."""
    given = reading.mapping(fields, name)
    if len(given) > FILTERS_MAX:
        raise ValidationError(f"{name} has at most {FILTERS_MAX} keys.")
    read = {key: reading.texts(given, key) for key in given}
    return tuple(Filter(key, values) for key, values in read.items() if values)


def window_asked(fields: Fields, name: str = "window_size") -> Window | None:
    """Read a window size, if there is one."""
    given = reading.text(fields, name)
    return window_of(given) if given else None


def zone_asked(fields: Fields) -> str:
    """Read a time zone; none is UTC."""
    zone = reading.text(fields, "timezone", limit=reading.KEY_CHARS_MAX) or "UTC"
    if known_zone(zone) is None:
        raise ValidationError("timezone is not the name of an IANA time zone.")
    return zone


def customer_asked(fields: Fields, desk: Desk) -> str | None:
    """Read the customer, whose events carry the caller's own id; None is every one."""
    external = reading.key(fields, "external_customer_id")
    own = reading.key(fields, "customer_id")
    if external or not own:
        return external
    body = desk.definitions.get("customer", own)
    return str(body["external_id"])


def query_of(fields: Fields, desk: Desk, meter: Meter) -> MeterQuery:
    """Read a whole question about one meter."""
    period = period_of(fields, desk.now())
    customer = customer_asked(fields, desk)
    return MeterQuery(
        meter,
        None if customer is None else (customer,),
        period.start,
        period.end,
        filters=filters_of(fields, "filters"),
        group_by=_groups(fields),
        window=window_asked(fields),
        zone=zone_asked(fields),
        anchor=reading.beginning(fields, "billing_anchor"),
    )


def _groups(fields: Fields) -> tuple[str, ...]:
    """Read `group_by`; the old `group_by_property` stands in where there is none."""
    names = reading.texts(fields, "group_by") or [reading.text(fields, "group_by_property")]
    return tuple(_group(name) for name in names if name)


def _group(name: str) -> str:
    """Name what a request groups by: `source`, or a property with or without its prefix."""
    return SOURCE if name == "source" else name.removeprefix("properties.")


def _told(group: Mapping[str, str | None]) -> dict[str, str | None]:
    return {"source" if name == SOURCE else name: value for name, value in group.items()}


def usage_body(meter: Meter, total: Decimal, found: Sequence[Quantity]) -> dict[str, Any]:
    """Write Flexprice's usage answer: the total, and a result per window and group."""
    return {
        "event_name": meter.event_name,
        "type": meter.aggregation.kind.value,
        "value": as_number(total),
        "results": [_result(q) for q in found],
    }


def _result(quantity: Quantity) -> Mapping[str, Any]:
    start = quantity.window_start
    return {
        **({} if start is None else {"window_size": timestamp_text(start)}),
        **({"group": _told(quantity.group)} if quantity.group else {}),
        "value": as_number(quantity.quantity),
        "event_count": quantity.events,
    }


def as_number(value: Decimal) -> int | float | str:
    """Write a JSON number where it means exactly this decimal, else its text."""
    if value == value.to_integral_value() and abs(value.adjusted()) <= _DIGITS_EXACT:
        return int(value)
    near = float(value)
    return near if Decimal(repr(near)) == value else plain(value)


_DIGITS_EXACT = 15
