"""An event as it is stored: what many events say alike, and what is its own."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Set
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple, cast

from tokenmeter.engine.store.exact import number
from tokenmeter.event import Event
from tokenmeter.usage import METRICS, Number

EVENT_BYTES_MAX = 256 * 1024
NAME_CHARS_MAX = 255  # as Flexprice has it; PostgreSQL's indexes take no more than 2,700 bytes
INTEGER_MAX = 2**63 - 1  # beyond it SQLite reads a JSON number as a float
NUMBER_MAX = 10**60
LABEL_CHARS_MAX = 100  # a longer text is hardly said by many events
LABEL_SETS_KEPT_MAX = 10_000  # remembered
NAMES_QUOTED_MAX = 10_000  # remembered
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
_END = datetime(9999, 1, 1, tzinfo=UTC)  # a year before Python's: zones and windows reach beyond
_MICROSECOND = timedelta(microseconds=1)
# Tells of most texts that write a number that they do, at little cost.
sure_number = re.compile(r"\d{1,19}(?:\.\d{1,19})?(?:E-[1-3]?\d)?", re.ASCII).fullmatch
_quoted = json.encoder.encode_basestring

Stored = str | int
Properties = Mapping[str, Stored]
Labels = tuple[tuple[str, Stored], ...]


class Refusal(ValueError):  # noqa: N818 - an answer to one event, not a fault
    """Why an event cannot be stored: one sentence, without the values it holds."""


class LabelSet:
    """
    What many events say alike. Equal ones are mostly one object (`label_set`), and are told
    apart by identity: comparing them by their contents for each event would cost more.
    """

    __slots__ = ("environment", "event_name", "pairs", "size", "source")

    def __init__(self, environment: str, event_name: str, source: str, pairs: Labels) -> None:
        self.environment = environment
        self.event_name = event_name
        self.source = source
        self.pairs = pairs
        together = "".join([environment, event_name, source, *(f"{n}{v}" for n, v in pairs)])
        if "\x00" in together:
            raise Refusal("a text in it holds a NUL character")
        self.size = len(together.encode())


label_set = lru_cache(maxsize=LABEL_SETS_KEPT_MAX)(LabelSet)


class Row(NamedTuple):
    """An event, checked, and taken apart for the tables."""

    event_id: str
    customer: str
    timestamp_us: int
    labels: LabelSet
    run_id: str | None
    call_id: str | None
    rest: str  # JSON
    properties: Properties  # all of them, as they are stored

    @property
    def environment(self) -> str:
        """Where it is stored: "" unless a server's key says another."""
        return self.labels.environment

    @property
    def event_name(self) -> str:
        """The name."""
        return self.labels.event_name


def to_row(event: Event, environment: str = "") -> Row:
    """Return the row of an event in an environment; raise Refusal if it cannot be stored."""
    _check_names(event)
    properties = _stored(event.properties)
    pairs = labels_among(properties)
    run_id, call_id = properties.get("run_id"), properties.get("call_id")
    try:
        labels = label_set(environment, event.event_name.strip(), event.source, pairs)
        row = Row(
            event.event_id,
            event.external_customer_id,
            microseconds(event.timestamp),
            labels,
            None if run_id is None else str(run_id),
            None if call_id is None else str(call_id),
            _rest(properties, pairs),
            properties,
        )
        check_text(row)
    except UnicodeEncodeError as error:
        raise Refusal("a text in it is not valid Unicode") from error
    return row


def labels_among(properties: Properties) -> Labels:
    """Return the properties that many events share."""
    return tuple(
        [
            (name, value)
            for name, value in properties.items()
            if name in LABELS
            and (type(value) is int or len(value) <= LABEL_CHARS_MAX or name in COLUMN_LABELS)  # type: ignore[arg-type]
        ]
    )


def _stored(given: Mapping[str, Any]) -> Properties:
    """Return the properties as they are stored: mostly as they are."""
    try:
        named = "".join(given) and "" not in given
    except TypeError:
        named = False
    if given and not named:
        raise Refusal("a property has no name")
    odd = [
        name
        for name, value in given.items()
        if not (type(value) is int and -INTEGER_MAX <= value <= INTEGER_MAX)
        and (type(value) is not str or (name in _NUMBERS and not sure_number(value)))
    ]
    return {**given, **{name: _plain(name, given[name]) for name in odd}} if odd else given


def _rest(properties: Properties, pairs: Labels) -> str:
    """Write what is no label as flat JSON: the encoder of `json` takes twice as long."""
    parts = _members(properties, LABELS)
    ids = ("run_id" in properties) + ("call_id" in properties)
    if len(parts) + len(pairs) + ids < len(properties):  # a label is too long to be one
        parts = _members(properties, dict(pairs).keys())
    return "{" + ",".join(parts) + "}"


def _members(properties: Properties, labels: Set[str]) -> list[str]:
    return [
        f"{_quoted_name(name)}:{_quoted(value) if type(value) is str else value}"
        for name, value in properties.items()
        if name not in labels and name not in _IDS
    ]


@lru_cache(maxsize=NAMES_QUOTED_MAX)
def _quoted_name(name: str) -> str:
    return _quoted(name)


def to_event(row: Mapping[str, Any]) -> Event:
    """Return the event of a row that `events.page` read."""
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


END_US = microseconds(_END)  # of what can be stored; exclusive


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


def _plain(name: str, value: object) -> str | int:
    stored = plain(value)
    if stored is None:
        raise Refusal(f"the property {name!r} is neither text nor a finite number")
    if name in _NUMBERS and number(stored) is None:
        raise Refusal(f"{name} is not a number")
    return stored


def _check_names(event: Event) -> None:
    """The values may come from JSON that nobody has checked, whatever their types say."""
    for name in ("event_id", "event_name", "external_customer_id"):
        value = getattr(event, name)
        if not _is_name(value):
            raise Refusal(f"{name} is missing")
        if len(value) > NAME_CHARS_MAX:
            raise Refusal(f"{name} has more than {NAME_CHARS_MAX} characters")
    if not _is_name(event.source):
        raise Refusal("source is missing")
    if event.timestamp.tzinfo is None:
        raise Refusal("the timestamp has no time zone")
    if not _EPOCH <= event.timestamp < _END:
        raise Refusal("the timestamp lies before 1970 or after 9998")


def _is_name(value: object) -> bool:
    return type(value) is str and bool(value) and not value.isspace()


def check_text(row: Row) -> None:
    """Raise Refusal for what no database keeps, UnicodeEncodeError for what is no Unicode."""
    own = f"{row.event_id}{row.customer}{row.run_id}{row.call_id}{row.rest}"
    size = row.labels.size + (len(own) if own.isascii() else len(own.encode()))
    if size > EVENT_BYTES_MAX:
        raise Refusal(f"it is larger than {EVENT_BYTES_MAX} bytes")
    # Databases end a text at a NUL. The escape may also be harmless text after a backslash,
    # which is rare enough to look at closely only then.
    if "\x00" in own or ("\\u0000" in own and _holds_nul(row.properties)):
        raise Refusal("a text in it holds a NUL character")


def _holds_nul(properties: Properties) -> bool:
    return any("\x00" in f"{name}{value}" for name, value in properties.items())
