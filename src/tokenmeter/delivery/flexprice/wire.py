"""An event as Flexprice takes it: numbers where they are safe, dimensions as text."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

from tokenmeter.event import Event, Property, timestamp_text
from tokenmeter.usage import METRICS

EVENTS_MAX = 1_000  # of one request; Flexprice refuses more
BODY_BYTES_MAX = 4 * 1024 * 1024  # Flexprice refuses 32 MiB; proxies before it refuse less

# Go writes a number from 1,000,000 on as 1e+06 where it compares it with a filter, and keeps 53
# bits of it. A text stands for itself, and is added up just the same.
PLAIN_BELOW = 1_000_000
EXACT_BELOW = 2**53

_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


def bodies(
    events: Sequence[Event],
    unbilled_suffix: str,
    *,
    events_max: int = EVENTS_MAX,
    bytes_max: int = BODY_BYTES_MAX,
) -> Iterator[tuple[Sequence[Event], bytes]]:
    """Write events as bodies of ``POST /events/bulk``, and say which each body holds."""
    for first in range(0, len(events), events_max):
        yield from _fitting(events[first : first + events_max], unbilled_suffix, bytes_max)


def _fitting(
    events: Sequence[Event], unbilled_suffix: str, bytes_max: int
) -> Iterator[tuple[Sequence[Event], bytes]]:
    wired = [wire_event(event, unbilled_suffix) for event in events]
    body = _encode({"events": wired}).encode("utf-8", "replace")
    if len(body) <= bytes_max or len(events) == 1:
        yield events, body
        return
    middle = len(events) // 2
    for half in (events[:middle], events[middle:]):
        yield from _fitting(half, unbilled_suffix, bytes_max)


def wire_event(event: Event, unbilled_suffix: str) -> dict[str, Any]:
    """
    Return an event's JSON.

    Flexprice's meters cannot skip what is not billable, so such an event has another name.
    """
    properties = event.properties
    name = event.event_name
    if properties.get("billable") == "false":
        name += unbilled_suffix
    return {
        "event_name": name,
        "external_customer_id": event.external_customer_id,
        "event_id": event.event_id,
        "source": event.source,
        "timestamp": timestamp_text(event.timestamp),
        "properties": {
            k: v
            if type(v) is str or (type(v) is int and -PLAIN_BELOW < v < PLAIN_BELOW)
            else wire_value(k, v)
            for k, v in properties.items()
        },
    }


def wire_value(name: str, value: Property) -> str | int:
    """Write one property: a metric stays a number while JSON keeps it exact."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return f"{value:f}" if value.is_finite() else str(value)
    if isinstance(value, int) and name in METRICS and -EXACT_BELOW < value < EXACT_BELOW:
        return value
    return str(value)
