"""Journal records as lines: compact JSON, one object and a newline; written and read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec

from tokenmeter.event import SOURCE, Event, Property, parse_timestamp
from tokenmeter.usage import METRICS

# Decimals become strings, as Flexprice writes them.
_fast = msgspec.json.Encoder(decimal_format="string").encode_lines
# One encoder for all lines: making one per line costs more than a short line.
_thorough = json.JSONEncoder(separators=(",", ":"), default=str).encode

_BEGINNING = '{"event_name":'  # of each record; in a text within one its quotes are escaped
_DECODER = json.JSONDecoder()


def to_line(fields: Mapping[str, Any]) -> bytes:
    """Write one record; half characters and foreign types included."""
    try:
        return _fast((fields,))
    except (TypeError, ValueError, msgspec.MsgspecError):  # UnicodeEncodeError is a ValueError
        return _thorough(fields).encode() + b"\n"


def record_of(line: bytes) -> dict[str, Any] | None:
    """Read a line; None if it is no JSON object."""
    try:
        record: object = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


class _Plain(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """An event as `Event.to_record` writes it, with nothing beside it that must be resolved."""

    event_name: str
    event_id: str
    external_customer_id: str
    timestamp: str
    properties: dict[str, str | int]
    source: str = SOURCE


_decoded = msgspec.json.Decoder(_Plain).decode


def event_of(line: bytes) -> Event | None:
    """
    Read a line that is an event as it stands; None for any other, which `record_of` may read.

    The same as ``Event.from_dict(record_of(line))``, without a copy of the properties.
    """
    try:
        plain = _decoded(line)
        properties: dict[str, Property] = plain.properties  # type: ignore[assignment]  # ours alone
        for name in METRICS.intersection(properties):
            number = properties[name]
            if type(number) is str:
                properties[name] = Decimal(number)
        moment = parse_timestamp(plain.timestamp)
    except (ValueError, ArithmeticError, RecursionError):
        return None
    return Event(
        plain.event_name,
        plain.event_id,
        plain.external_customer_id,
        moment,
        properties,
        plain.source,
    )


def whole_records(damaged: bytes) -> list[dict[str, Any]]:
    """
    Find the records that are whole in a line that is none.

    They stand behind one that was cut short, behind zeros, or are glued together.
    """
    text = damaged.decode("utf-8", "surrogateescape")
    found: list[dict[str, Any]] = []
    at = text.find(_BEGINNING)
    while at >= 0:
        try:
            record, end = _DECODER.raw_decode(text, at)
            text[at:end].encode()  # half a character in it would be another customer's name
        except (ValueError, RecursionError):
            end = at + 1
        else:
            found.append(record)
        at = text.find(_BEGINNING, end)
    return found
