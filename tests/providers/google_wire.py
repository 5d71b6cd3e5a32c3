"""Hand-written Google traffic: requests, bodies and streams, read as capture reads them."""

from __future__ import annotations

import json
from typing import Any

from tokenmeter.capture.reader import BodyReader
from tokenmeter.capture.sse import EventReader
from tokenmeter.providers import Call, Reading, Request
from tokenmeter.providers.google import describe

Json = dict[str, Any]
GEMINI = "generativelanguage.googleapis.com"
VERTEX = "us-central1-aiplatform.googleapis.com"
FLASH = "/v1beta/models/gemini-2.5-flash"
PUBLISHED = "/v1/projects/p/locations/us-central1/publishers/google/models"


def request(path: str, host: str = GEMINI, method: str = "POST", **body: Any) -> Request:
    return Request(method, host, path, body=body)


def call(path: str, host: str = GEMINI, method: str = "POST", **body: Any) -> Call:
    described = describe(request(path, host, method, **body))
    assert described is not None
    return described


def read_body(asked: Call, body: Any) -> Reading:
    """Read a whole answer, as capture does."""
    reader = BodyReader(asked.api, "application/json")
    reader.feed(json.dumps(body).encode())
    reader.end()
    return asked.api.settle(reader.reading, asked)


def read_stream(asked: Call, *events: Json | str) -> Reading:
    """Read server-sent events, as capture does."""
    reader = EventReader(asked.api)
    for event in events:
        data = event if isinstance(event, str) else json.dumps(event, separators=(",", ":"))
        reader.feed(f"data: {data}\n\n".encode())
    reader.end()
    return asked.api.settle(reader.reading, asked)


def content(body: Any, path: str = f"{FLASH}:generateContent", **asked: Any) -> Reading:
    """Read an answer of generateContent."""
    return read_body(call(path, **asked), body)


def chunks(*events: Json) -> Reading:
    """Read a stream of streamGenerateContent."""
    return read_stream(call(f"{FLASH}:streamGenerateContent"), *events)


def answer(metadata: Any, *parts: Json, **fields: Any) -> Json:
    candidate = {"content": {"parts": list(parts), "role": "model"}, "index": 0}
    return {
        "candidates": [candidate] if parts else [],
        "usageMetadata": metadata,
        "modelVersion": "gemini-2.5-flash",
        "responseId": "r1",
        **fields,
    }


def metadata(prompt: Any = None, candidates: Any = None, **more: Any) -> Json:
    counts = {"promptTokenCount": prompt, "candidatesTokenCount": candidates, **more}
    return {name: value for name, value in counts.items() if value is not None}


def image(mime: str = "image/png", **more: Any) -> Json:
    return {"inlineData": {"mimeType": mime, "data": "aGk="}, **more}


HELLO: Json = {"text": "Hello"}
