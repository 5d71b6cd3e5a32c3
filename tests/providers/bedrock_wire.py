"""Bedrock traffic for tests: the binary event stream, its frames, and how they are folded."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Iterator, Mapping
from typing import Any

from tests.corpus import Exchange
from tests.providers.fold import Read, as_request
from tokenmeter.capture.reader import BodyReader
from tokenmeter.capture.sse import EventReader
from tokenmeter.providers import Call, Reading, Request, find

Json = dict[str, Any]
HOST = "bedrock-runtime.us-east-1.amazonaws.com"
EVENT_STREAM = "application/vnd.amazon.eventstream"
_PRELUDE = struct.Struct(">III")  # length of the frame, length of its headers, checksum
_CHECKSUM_BYTES = 4
_STRING = 7  # the only type of header that Bedrock sends


def frames(body: bytes) -> Iterator[Json]:
    """Decode a recorded event stream as the tap does: one JSON object per frame."""
    at = 0
    while at < len(body):
        length, header_bytes, _ = _PRELUDE.unpack_from(body, at)
        start = at + _PRELUDE.size
        headers = _headers(body[start : start + header_bytes])
        payload = body[start + header_bytes : at + length - _CHECKSUM_BYTES]
        at += length
        yield decoded(headers, payload)


def _headers(raw: bytes) -> dict[str, str]:
    found: dict[str, str] = {}
    at = 0
    while at < len(raw):
        name_end = at + 1 + raw[at]
        assert raw[name_end] == _STRING
        (size,) = struct.unpack_from(">H", raw, name_end + 1)
        value = raw[name_end + 3 : name_end + 3 + size]
        found[raw[at + 1 : name_end].decode()] = value.decode()
        at = name_end + 3 + size
    return found


def decoded(headers: Mapping[str, str], payload: bytes) -> Json:
    """What a frame becomes: its own JSON, or the model's JSON within it."""
    content: Json = json.loads(payload)
    if headers.get(":message-type") == "exception":
        return {"__exception": headers[":exception-type"], **content}
    if "bytes" in content:
        content = json.loads(base64.b64decode(content["bytes"]))
    return {**content, ":event-type": headers[":event-type"]}


def request(model: str, verb: str = "converse", **body: Any) -> Request:
    return Request("POST", HOST, f"/model/{model}/{verb}", body=body)


def call(model: str, verb: str = "converse", **body: Any) -> Call:
    return described(request(model, verb, **body))


def described(asked: Request) -> Call:
    adapter = find(asked.host, asked.path)
    assert adapter is not None
    found = adapter.describe(asked)
    assert found is not None
    return found


def settled(asked: Call, *payloads: Json, headers: Mapping[str, str] | None = None) -> Reading:
    """Fold headers and payloads as capture does, and settle."""
    reading = Reading()
    if headers is not None:
        assert asked.api.read_headers is not None
        reading = asked.api.read_headers(headers)
    for payload in payloads:
        reading |= asked.api.read(payload)
    return asked.api.settle(reading, asked)


def frame(kind: str, **payload: Any) -> Json:
    return {**payload, ":event-type": kind}


def chunk(**payload: Any) -> Json:
    return frame("chunk", **payload)


def metrics(sent: int, output: int, read: int | None = None, write: int | None = None) -> Json:
    """What AWS adds to the last chunk of an invocation's stream."""
    counted = {
        "inputTokenCount": sent,
        "outputTokenCount": output,
        "cacheReadInputTokenCount": read,
        "cacheWriteInputTokenCount": write,
        "invocationLatency": 1410,
        "firstByteLatency": 406,
    }
    return {"amazon-bedrock-invocationMetrics": counted}


def read_exchange(exchange: Exchange, chunk_bytes: int) -> Read:
    """Read a recorded exchange: headers, then a body, a text stream or a binary one."""
    asked = as_request(exchange)
    adapter = find(asked.host, asked.path)
    found = adapter.describe(asked) if adapter else None
    if found is None:
        return Read(None, Reading())
    headers = {k.lower(): v for k, v in exchange.response["headers"].items()}
    content_type = headers.get("content-type", "")
    if content_type == EVENT_STREAM:
        payloads = list(frames(exchange.body))
        return Read(found, settled(found, *payloads, headers=headers))
    reader: EventReader | BodyReader
    streamed = content_type == "text/event-stream"
    reader = EventReader(found.api) if streamed else BodyReader(found.api, content_type)
    if found.api.read_headers is not None:
        reader.reading = found.api.read_headers(headers)
    for start in range(0, len(exchange.body), chunk_bytes):
        reader.feed(exchange.body[start : start + chunk_bytes])
    reader.end()
    return Read(found, found.api.settle(reader.reading, found))
