"""Frames of AWS event streams, made up here."""

from __future__ import annotations

import json
import struct
import zlib
from typing import Any


def header(name: str, value: str) -> bytes:
    raw_name, raw = name.encode(), value.encode()
    return bytes([len(raw_name)]) + raw_name + b"\x07" + struct.pack(">H", len(raw)) + raw


def frame(payload: bytes, *, extra: bytes = b"", **headers: str) -> bytes:
    """A frame as AWS sends it, its checksums right."""
    named = b"".join(header(":" + k.replace("_", "-"), v) for k, v in headers.items()) + extra
    prelude = struct.pack(">II", 16 + len(named) + len(payload), len(named))
    head = prelude + struct.pack(">I", zlib.crc32(prelude)) + named + payload
    return head + struct.pack(">I", zlib.crc32(head))


def event(payload: Any, kind: str = "metadata") -> bytes:
    return frame(json.dumps(payload).encode(), event_type=kind, message_type="event")
