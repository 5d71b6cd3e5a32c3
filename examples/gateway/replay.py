"""Cassettes in place of the providers, so that the gateway runs without keys and network."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import yaml

CASSETTES = Path(__file__).parents[2] / "cassettes"
CHUNK_BYTES = 64
MADE_UP_ID = b"tokenmeter-"  # begins what differs per answer in the recorded ids

_VERSION = re.compile(r"/v1(?:alpha|beta)?/")


class Cassettes(httpx2.AsyncBaseTransport):
    """
    Answers a request with the recorded one that has its address and most of its fields.

    Every answer gets an id of its own, as a provider would give it.
    """

    def __init__(self) -> None:
        self._recorded: list[tuple[str, dict[str, Any], dict[str, Any]]] = []
        self._numbers = itertools.count(1)
        for path in sorted(CASSETTES.rglob("*.yaml")):
            for pair in yaml.safe_load(path.read_text(encoding="utf-8"))["interactions"]:
                if _is_good(pair["response"]):
                    asked = pair["request"]
                    fields = json.loads(asked.get("body") or "{}")
                    key = f"{asked['method']} {_VERSION.sub('/', asked['uri'])}"
                    self._recorded.append((key, fields, pair["response"]))

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Play the answer in small chunks; 404 for what no cassette holds."""
        url = str(request.url.copy_with(query=None))
        key = f"{request.method} {_VERSION.sub('/', url)}"
        body = await request.aread()
        sent = json.loads(body) if body.startswith(b"{") else {}
        found = [(fields, answer) for asked, fields, answer in self._recorded if asked == key]
        found = [pair for pair in found if bool(pair[0].get("stream")) is bool(sent.get("stream"))]
        if not found:
            error = {"error": {"message": f"no cassette answers {key}", "type": "not_found"}}
            return httpx2.Response(404, stream=_Chunks(json.dumps(error).encode()))
        _, answer = max(found, key=lambda pair: _likeness(pair[0], sent))
        headers = {name: values[0] for name, values in answer["headers"].items()}
        plain: str | bytes = answer["body"]["string"]
        content = plain.encode() if isinstance(plain, str) else plain
        if request.method == "POST":
            content = content.replace(MADE_UP_ID, f"{next(self._numbers):06d}-".encode())
        headers.pop("content-length", None)
        if "event-stream" not in headers.get("content-type", ""):
            headers["content-length"] = str(len(content))
        return httpx2.Response(answer["status"]["code"], headers=headers, stream=_Chunks(content))


class _Chunks(httpx2.AsyncByteStream):
    def __init__(self, content: bytes) -> None:
        self._content = content

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self._content), CHUNK_BYTES):
            yield self._content[start : start + CHUNK_BYTES]


def _is_good(answer: dict[str, Any]) -> bool:
    return answer["status"]["code"] < 400 and "event: error" not in str(answer["body"]["string"])


def _likeness(recorded: dict[str, Any], sent: dict[str, Any]) -> int:
    return sum(sent.get(name) == value for name, value in recorded.items())
