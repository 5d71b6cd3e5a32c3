"""An event as it is stored: what many events say alike, and what is its own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple, cast

from tokenmeter.engine.store.exact import number
from tokenmeter.event import Event
from tokenmeter.usage import METRICS, Number

EVENT_BYTES_MAX = 256 * 1024
INTEGER_MAX = 2**63 - 1  # beyond it SQLite reads a JSON number as a float
NUMBER_MAX = 10**60
LABEL_CHARS_MAX = 100  # a longer text is hardly said by many events
LABEL_SETS_CHECKED_MAX = 10_000  # remembered
COST = "cost_usd"

# Properties of which many events share their values; any other name is the event's own. Old
# rows keep what they have: a name may be added here.
COLUMN_LABELS = frozenset({"provider", "model", "model_type", "feature", "outcome"})
LABELS = COLUMN_LABELS | {
    "billable",
    "charge_source",
    "cost_source",
    "environment",
    "error_type",
    "fps",
    "generate_audio",
    "gpu_type",
    "http_status",
    "input_type",
    "is_retry",
    "mode",
    "operation",
    "pricebook_version",
    "quality",
    "request_model",
    "resolution",
    "service_tier",
    "size",
    "streamed",
    "usage_source",
}
_IDS = frozenset({"run_id", "call_id"})
_NUMBERS = METRICS | {COST}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode

Stored = str | int
Properties = Mapping[str, Stored]
Labels = tuple[tuple[str, Stored], ...]
LabelKey = tuple[str, str, str, Labels]


class Refusal(ValueError):  # noqa: N818 - an answer to one event, not a fault
    """Why an event cannot be stored: one sentence, without the values it holds."""


class Row(NamedTuple):
    """An event, checked, and taken apart for the tables."""

    event_id: str
    customer: str
    timestamp_us: int
    labels: LabelKey  # environment, event name, source, labels
    run_id: str | None
    call_id: str | None
    rest: str  # JSON
    properties: Properties  # all of them, as they are stored

    @property
    def environment(self) -> str:
        """The environment, "" if the event has none."""
        return self.labels[0]

    @property
    def event_name(self) -> str:
        """The name."""
        return self.labels[1]


def to_row(event: Event, environment: str | None = None) -> Row:
    """
    Return the row of an event; raise Refusal if it cannot be stored.

    It belongs to `environment`, or where that is None to the one its property names.
    """
    _check_names(event)
    properties, labels, rest = _sorted_out(event.properties)
    run_id, call_id = rest.pop("run_id", None), rest.pop("call_id", None)
    row = Row(
        event.event_id,
        event.external_customer_id,
        microseconds(event.timestamp),
        (
            str(properties.get("environment", "")) if environment is None else environment,
            event.event_name.strip(),
            event.source,
            tuple(labels),
        ),
        None if run_id is None else str(run_id),
        None if call_id is None else str(call_id),
        _encode(rest),
        properties,
    )
    _check_text(row)
    return row


def _sorted_out(
    given: Mapping[str, Any],
) -> tuple[dict[str, Stored], list[tuple[str, Stored]], dict[str, Stored]]:
    """Return the properties as they are stored: all, the labels, and the rest."""
    everything: dict[str, Stored] = {}
    labels: list[tuple[str, Stored]] = []
    rest: dict[str, Stored] = {}
    for name, value in given.items():
        kept = value if type(value) is str and name not in _NUMBERS else _plain(name, value)
        everything[name] = kept
        if name in LABELS and _is_label(name, kept):
            labels.append((name, kept))
        else:
            rest[name] = kept
    if "" in everything:
        raise Refusal("a property has no name")
    return everything, labels, rest


def _is_label(name: str, value: Stored) -> bool:
    return type(value) is int or len(str(value)) <= LABEL_CHARS_MAX or name in COLUMN_LABELS


def to_event(row: Mapping[str, Any]) -> Event:
    """Return the event of a row that `events.newest` read."""
    properties = {**json.loads(row["labels"]), **json.loads(row["rest"])}
    properties |= {name: row[name] for name in ("run_id", "call_id") if row[name] is not None}
    return Event.from_dict(
        {
            "event_name": row["event_name"],
            "event_id": row["event_id"],
            "external_customer_id": row["customer"],
            "timestamp": moment(row["timestamp_us"]).isoformat(),
            "properties": properties,
            "source": row["source"],
        }
    )


def metrics(properties: Mapping[str, Any]) -> dict[str, Number]:
    """Return the metrics among stored properties: what copies of an event must agree on."""
    return {name: cast(Number, number(properties[name])) for name in METRICS & properties.keys()}


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
    if type(value) is int and -INTEGER_MAX <= value <= INTEGER_MAX and type(name) is str:
        return value  # by far the most, and nothing to look at
    stored = plain(value)
    if not isinstance(name, str):
        raise Refusal("a property has no name")
    if stored is None:
        raise Refusal(f"the property {name!r} is neither text nor a finite number")
    if name in _NUMBERS and number(stored) is None:
        raise Refusal(f"{name} is not a number")
    return stored


def _check_names(event: Event) -> None:
    """The values may come from JSON that nobody has checked, whatever their types say."""
    for name in ("event_id", "event_name", "external_customer_id", "source"):
        value: object = getattr(event, name)
        if type(value) is not str or not value or value.isspace():
            raise Refusal(f"{name} is missing")
    if event.timestamp.tzinfo is None:
        raise Refusal("the timestamp has no time zone")
    if event.timestamp < _EPOCH:
        raise Refusal("the timestamp lies before 1970")


def _check_text(row: Row) -> None:
    own = f"{row.event_id}{row.customer}{row.run_id}{row.call_id}{row.rest}"
    try:
        size = _label_bytes(row.labels) + (len(own) if own.isascii() else len(own.encode()))
    except UnicodeEncodeError as error:
        raise Refusal("a text in it is not valid Unicode") from error
    if size > EVENT_BYTES_MAX:
        raise Refusal(f"it is larger than {EVENT_BYTES_MAX} bytes")
    # Databases end a text at a NUL. The escape may also be harmless text after a backslash,
    # which is rare enough to look at closely only then.
    if "\x00" in own or ("\\u0000" in own and _holds_nul(row.properties)):
        raise Refusal("a text in it holds a NUL character")


def _holds_nul(properties: Properties) -> bool:
    return any("\x00" in f"{name}{value}" for name, value in properties.items())


@lru_cache(maxsize=LABEL_SETS_CHECKED_MAX)
def _label_bytes(key: LabelKey) -> int:
    """Count the bytes of labels that can be stored; they come again and again."""
    *named, labels = key
    together = "".join([*named, *(f"{name}{value}" for name, value in labels)])
    if "\x00" in together:
        raise Refusal("a text in it holds a NUL character")
    return len(together.encode())
