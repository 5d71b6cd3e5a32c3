"""An event as a client sends it: checked, and brought into our form."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, cast

from tokenmeter.engine.definitions import reading
from tokenmeter.engine.errors import ValidationError
from tokenmeter.engine.ids import new_id
from tokenmeter.event import Event, Property
from tokenmeter.server.wire import read_object

BULK_EVENTS_MAX = 1_000
FAULTS_SHOWN_MAX = 10
SOURCE = "api"  # of an event that names none


class BatchError(ValidationError):
    """Some events of the batch are wrong; correct those that are named."""

    def __init__(self, message: str, faults: Sequence[Mapping[str, Any]]) -> None:
        super().__init__(message)
        self.details = {"events": list(faults)[:FAULTS_SHOWN_MAX]}


def event_of(fields: Mapping[str, Any], now: datetime) -> Event:
    """Check one event's fields; ValidationError names the one that is wrong."""
    return Event(
        event_name=reading.needed(fields, "event_name"),
        event_id=reading.text(fields, "event_id") or new_id("event"),
        external_customer_id=reading.needed(fields, "external_customer_id"),
        timestamp=reading.moment(fields, "timestamp") or now,
        properties=_properties(fields),
        source=reading.text(fields, "source").strip() or SOURCE,
    )


def events_of(raw: bytes, now: datetime) -> list[Event]:
    """Check the events of a bulk body: 1 to 1,000, all of them well-formed."""
    return events_in(read_object(raw), now)


def events_in(body: Mapping[str, Any], now: datetime) -> list[Event]:
    """Check the events of a body that has been read."""
    sent = body.get("events")
    if not isinstance(sent, list) or not 0 < len(cast("list[object]", sent)) <= BULK_EVENTS_MAX:
        raise ValidationError(f"events must be a list of 1 to {BULK_EVENTS_MAX} events.")
    found: list[Event] = []
    faults: list[dict[str, Any]] = []
    for index, fields in enumerate(cast("list[object]", sent)):
        try:
            found.append(event_of(_object(fields), now))
        except ValidationError as error:
            faults.append({"index": index, "message": str(error)})
    if faults:
        first = f"events[{faults[0]['index']}]: {faults[0]['message']}"
        raise BatchError(f"{len(faults)} events are wrong, none was stored. {first}", faults)
    return found


def _object(fields: object) -> Mapping[str, Any]:
    if not isinstance(fields, dict):
        raise ValidationError("An event must be a JSON object.")
    return cast("dict[str, Any]", fields)


def _properties(fields: Mapping[str, Any]) -> dict[str, Property]:
    """Take any JSON value: an object or a list as its text, and null as not sent."""
    sent = fields.get("properties")
    if sent is None:
        return {}
    if not isinstance(sent, dict):
        raise ValidationError("properties must be a JSON object.")
    held = cast("dict[str, Any]", sent).items()
    return {name: _property(value) for name, value in held if value is not None}


def _property(value: Any) -> Property:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=float)
    return cast(Property, value)
