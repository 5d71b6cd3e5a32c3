"""The event: Flexprice's shape, and its line in the journal."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec

from tokenmeter.usage import METRICS, Number, Usage

EVENT_NAMES = (
    "text_generated",
    "image_generated",
    "video_generated",
    "world_generated",
    "audio_generated",
    "audio_transcribed",
    "embedding_created",
    "gpu_time",
    "api_calls",
)
SOURCE = "tokenmeter"
# What the prompt was counted as before the call, on events of calls that were previewed.
PREVIEWED = "previewed_input_tokens"

Property = str | Number
_written = msgspec.json.Encoder().encode


class _Fields:
    """The fields of an event that is being made: not frozen yet."""

    __slots__ = (
        "event_id",
        "event_name",
        "external_customer_id",
        "properties",
        "source",
        "timestamp",
    )

    event_id: str
    event_name: str
    external_customer_id: str
    properties: Mapping[str, Property]
    source: str
    timestamp: datetime


@dataclass(frozen=True, slots=True)
class Event(_Fields):
    """
    One attempt at a provider call, or one thing recorded by hand.

    `properties` holds metrics (int or Decimal) and dimensions (str). `timestamp` is UTC.
    """

    event_name: str
    event_id: str
    external_customer_id: str
    timestamp: datetime
    properties: Mapping[str, Property] = field(default_factory=dict[str, Property])
    source: str = SOURCE

    @property
    def usage(self) -> Usage:
        """The metrics among the properties."""
        return Usage(
            {
                name: value
                for name, value in self.properties.items()
                if not isinstance(value, str) and name in METRICS
            }
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the event as Flexprice takes it: JSON values, decimals as strings."""
        properties = {k: _plain(v) for k, v in self.properties.items()}
        return {**self.to_record(), "properties": properties}

    def to_record(self) -> dict[str, Any]:
        """Return the event for `lines.to_line`: as `to_dict`, its properties not copied."""
        return {
            "event_name": self.event_name,
            "external_customer_id": self.external_customer_id,
            "event_id": self.event_id,
            "source": self.source,
            "timestamp": timestamp_text(self.timestamp),
            "properties": self.properties,
        }

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Event:
        """Rebuild an event from `to_dict()`; metrics written as strings become Decimal."""
        return cls(
            event_name=fields["event_name"],
            event_id=fields["event_id"],
            external_customer_id=fields["external_customer_id"],
            timestamp=parse_timestamp(fields["timestamp"]),
            properties={
                k: v if type(v) is int or (type(v) is str and k not in METRICS) else _typed(k, v)
                for k, v in fields["properties"].items()
            },
            source=fields.get("source", SOURCE),
        )

    def holding(self, properties: Mapping[str, Property]) -> Event:
        """Return a copy that has these properties alone."""
        customer, source = self.external_customer_id, self.source
        return made(
            self.event_name, self.event_id, customer, self.timestamp, properties, source=source
        )

    def with_properties(self, more: Mapping[str, Property]) -> Event:
        """Return a copy that carries `more` as well."""
        return self.holding({**self.properties, **more})


def made(
    event_name: str,
    event_id: str,
    customer: str,
    timestamp: datetime,
    properties: Mapping[str, Property],
    *,
    source: str = SOURCE,
) -> Event:
    """Return what `Event` with these fields is, made without a call for each of them."""
    fields = _Fields()
    fields.event_name = event_name
    fields.event_id = event_id
    fields.external_customer_id = customer
    fields.timestamp = timestamp
    fields.properties = properties
    fields.source = source
    fields.__class__ = Event  # it is one but for its name
    return fields  # type: ignore[return-value]


def event_id_of(identity: str) -> str:
    """Return the event id that stands for a thing: the same for the same thing, always."""
    return "evt_" + hashlib.blake2b(identity.encode(), digest_size=16).hexdigest()


def attempt_id(call_id: str, attempt: int) -> str:
    """Return the event id of an attempt that has no id of the provider's own."""
    return event_id_of(f"{call_id}/{attempt}")


def timestamp_text(moment: datetime) -> str:
    """Write an aware datetime as RFC 3339 in UTC, milliseconds, ``Z``."""
    # msgspec writes it in a tenth of isoformat's time, in quotes, with microseconds if it has any.
    written = _written(moment if moment.tzinfo is UTC else moment.astimezone(UTC)).decode()
    return f"{written[1:24]}Z" if moment.microsecond else f"{written[1:20]}.000Z"


def parse_timestamp(text: str) -> datetime:
    """Read RFC 3339; a time without a zone is taken as UTC."""
    moment = datetime.fromisoformat(text)
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def _plain(value: Property) -> str | int:
    return str(value) if isinstance(value, Decimal) else value


def _typed(name: str, value: Any) -> Property:
    if isinstance(value, str):
        return Decimal(value) if name in METRICS else value
    return value if isinstance(value, int) else Decimal(str(value))
