"""An event as Flexprice takes it: numbers where they are safe, dimensions as text."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal

import msgspec

from tokenmeter.delivery.slices import let_others_in
from tokenmeter.event import Event, Property, timestamp_text
from tokenmeter.providers.models import model_type
from tokenmeter.usage import METRICS

EVENTS_MAX = 1_000  # of one request; Flexprice refuses more
BODY_BYTES_MAX = 4 * 1024 * 1024  # Flexprice refuses 32 MiB; proxies before it refuse less

# Go writes a number from 1,000,000 on as 1e+06 where it compares it with a filter, and keeps 53
# bits of it. A text stands for itself, and is added up just the same.
PLAIN_BELOW = 1_000_000
EXACT_BELOW = 2**53

_encoded = msgspec.json.Encoder().encode


def bodies(
    events: Sequence[Event], unbilled_suffix: str, *, bytes_max: int = BODY_BYTES_MAX
) -> Iterator[tuple[Sequence[Event], bytes]]:
    """Write events as bodies of ``POST /events/bulk``, and say which each body holds."""
    wired: list[bytes] = []
    length = first = 0
    for place, event in enumerate(events):
        text = wire_json(event, unbilled_suffix)
        if wired and (len(wired) == EVENTS_MAX or length + len(text) > bytes_max):
            yield events[first:place], _body(wired)
            wired, length, first = [], 0, place
        wired.append(text)
        length += len(text) + 1
        let_others_in()
    if wired:
        yield events[first:], _body(wired)


def _body(wired: list[bytes]) -> bytes:
    let_others_in()
    wired[0] = b'{"events":[' + wired[0]
    wired[-1] += b"]}"
    return b",".join(wired)  # once: half a megabyte or more


def wire_json(event: Event, unbilled_suffix: str) -> bytes:
    """
    Return an event's JSON.

    Flexprice's meters cannot skip what is not billable, so such an event has another name.
    """
    properties = _wired(event.properties)
    name = event.event_name
    if properties.get("billable") == "false":
        name += unbilled_suffix
    fields = {
        "event_name": name,
        "external_customer_id": event.external_customer_id,
        "event_id": event.event_id,
        "source": event.source,
        "timestamp": timestamp_text(event.timestamp),
        "properties": properties,
    }
    try:
        return _encoded(fields)
    except UnicodeEncodeError:  # half a character, which JSON can say and UTF-8 cannot
        return json.dumps(fields, ensure_ascii=False).encode("utf-8", "replace")


def _wired(properties: Mapping[str, Property]) -> dict[str, str | int]:
    """Write the properties as Flexprice takes them; those of most events are so already."""
    found = _with_model_type(properties)
    odd = [
        name
        for name, value in found.items()
        if type(value) is not str
        and not (type(value) is int and -PLAIN_BELOW < value < PLAIN_BELOW)
    ]
    if odd or type(found) is not dict:
        return {**found, **{name: wire_value(name, found[name]) for name in odd}}  # type: ignore[dict-item]  # the others are plain
    return found


def _with_model_type(properties: Mapping[str, Property]) -> Mapping[str, Property]:
    """Add the canonical name, by which an expanded catalog finds the models of an event."""
    model = properties.get("model")
    if isinstance(model, str) and "model_type" not in properties:
        return {**properties, "model_type": model_type(model)}
    return properties


def wire_value(name: str, value: Property) -> str | int:
    """Return one property as JSON takes it: a metric stays a number while that keeps it exact."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return f"{value:f}" if value.is_finite() else str(value)
    if isinstance(value, int) and name in METRICS and -EXACT_BELOW < value < EXACT_BELOW:
        return int(value)
    return str(value)
