"""Journal records as lines: compact JSON, one object and a newline."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec

# Decimals become strings, as Flexprice writes them.
_fast = msgspec.json.Encoder(decimal_format="string").encode
# One encoder for all lines: making one per line costs more than a short line.
_thorough = json.JSONEncoder(separators=(",", ":"), default=str).encode


def to_line(fields: Mapping[str, Any]) -> bytes:
    """Write one record; half characters and foreign types included."""
    try:
        return _fast(fields) + b"\n"
    except (TypeError, ValueError, msgspec.MsgspecError):  # UnicodeEncodeError is a ValueError
        return _thorough(fields).encode() + b"\n"


def record_of(line: bytes) -> dict[str, Any] | None:
    """Read a line; None if it is no JSON object."""
    try:
        record: object = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None
