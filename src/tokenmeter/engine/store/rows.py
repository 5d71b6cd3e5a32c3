"""An event as a table row, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, TypedDict, cast

from tokenmeter.engine.store.exact import number
from tokenmeter.event import Event
from tokenmeter.usage import METRICS, Number

EVENT_BYTES_MAX = 256 * 1024
INTEGER_MAX = 2**63 - 1  # beyond it SQLite reads a JSON number as a float
NUMBER_MAX = 10**60
COST = "cost_usd"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class Refusal(ValueError):  # noqa: N818 - an answer to one event, not a fault
    """Why an event cannot be stored: one sentence, without the values it holds."""


class Row(TypedDict):
    """One row of `events`, without its id."""

    environment: str
    event_id: str
    event_name: str
    customer: str
    timestamp_us: int
    source: str
    provider: str | None
    model: str | None
    model_type: str | None
    feature: str | None
    outcome: str | None
    run_id: str | None
    call_id: str | None
    billable: bool
    properties: str


def to_row(event: Event) -> Row:
    """Return the row of an event; raise Refusal if it cannot be stored."""
    _check_names(event)
    properties = {name: _plain(name, value) for name, value in event.properties.items()}
    row = Row(
        environment=_text(properties, "environment") or "",
        event_id=event.event_id,
        event_name=event.event_name,
        customer=event.external_customer_id,
        timestamp_us=microseconds(event.timestamp),
        source=event.source,
        provider=_text(properties, "provider"),
        model=_text(properties, "model"),
        model_type=_text(properties, "model_type"),
        feature=_text(properties, "feature"),
        outcome=_text(properties, "outcome"),
        run_id=_text(properties, "run_id"),
        call_id=_text(properties, "call_id"),
        billable=properties.get("billable") != "false",
        properties=_encode(properties),
    )
    _check_text(row)
    return row


def to_event(row: Mapping[str, Any]) -> Event:
    """Return the event of a row."""
    return Event.from_dict(
        {
            "event_name": row["event_name"],
            "event_id": row["event_id"],
            "external_customer_id": row["customer"],
            "timestamp": moment(row["timestamp_us"]).isoformat(),
            "properties": json.loads(row["properties"]),
            "source": row["source"],
        }
    )


def metrics(row: Mapping[str, Any]) -> dict[str, Number]:
    """Return the metrics of a row: what copies of an event must agree on."""
    found: dict[str, Any] = json.loads(row["properties"])
    return {name: cast(Number, number(found[name])) for name in METRICS & found.keys()}


def microseconds(instant: datetime) -> int:
    """Count the microseconds since 1970 UTC."""
    return (instant - _EPOCH) // _MICROSECOND


def moment(timestamp_us: int) -> datetime:
    """Return the aware datetime of `microseconds(...)`."""
    return _EPOCH + timestamp_us * _MICROSECOND


def plain(value: object) -> str | int | None:
    """
    Return a property value as it is stored and compared, or None if it cannot be.

    Booleans become "true" and "false", decimals text, a whole float an int: 8.0 is 8.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return _plain_number(value) if isinstance(value, int | float | Decimal) else None


def _plain_number(value: float | Decimal) -> str | int | None:
    if isinstance(value, float):
        value = int(value) if value.is_integer() else Decimal(repr(value))
    if isinstance(value, Decimal):
        return str(value) if value.is_finite() else None
    if abs(value) <= INTEGER_MAX:
        return value
    return str(value) if abs(value) <= NUMBER_MAX else None


def _plain(name: object, value: object) -> str | int:
    stored = plain(value)
    if not isinstance(name, str) or not name:
        raise Refusal("a property has no name")
    if stored is None:
        raise Refusal(f"the property {name!r} is neither text nor a finite number")
    if (name in METRICS or name == COST) and number(stored) is None:
        raise Refusal(f"{name} is not a number")
    return stored


def _text(properties: Mapping[str, str | int], name: str) -> str | None:
    value = properties.get(name)
    return None if value is None else str(value)


def _check_names(event: Event) -> None:
    """The values may come from JSON that nobody has checked, whatever their types say."""
    needed = ("event_id", "event_name", "external_customer_id", "source")
    for name in needed:
        value: object = getattr(event, name)
        if not isinstance(value, str) or not value.strip():
            raise Refusal(f"{name} is missing")
    if event.timestamp.tzinfo is None:
        raise Refusal("the timestamp has no time zone")
    if event.timestamp < _EPOCH:
        raise Refusal("the timestamp lies before 1970")


def _check_text(row: Row) -> None:
    together = "".join(value for value in row.values() if isinstance(value, str))
    try:
        size = len(together.encode())
    except UnicodeEncodeError as error:
        raise Refusal("a text in it is not valid Unicode") from error
    if size > EVENT_BYTES_MAX:
        raise Refusal(f"it is larger than {EVENT_BYTES_MAX} bytes")
    # Databases end a text at a NUL. The escape may also be harmless text after a backslash,
    # which is rare enough to look at closely only then.
    if "\x00" in together or ("\\u0000" in together and _holds_nul(row)):
        raise Refusal("a text in it holds a NUL character")


def _holds_nul(row: Row) -> bool:
    properties: dict[str, str | int] = json.loads(row["properties"])
    return any("\x00" in f"{name}{value}" for name, value in properties.items())
