"""The recorded exchanges of ../shared/corpus, and what each must yield."""

from __future__ import annotations

import base64
import json
import os
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tokenmeter.usage import METRICS

ROOT = Path(__file__).parents[1]
CORPUS = Path(os.environ.get("TOKENMETER_CORPUS", ROOT.parent / "shared" / "corpus"))
PROVIDERS = {"gemini": "google", "vertex": "google-vertex"}
FREE_APIS = {  # calls that no provider bills
    "messages.count_tokens",
    "countTokens",
    "moderations",
    "responses.input_tokens",
    "count-tokens",
}


@dataclass(frozen=True)
class Exchange:
    """One recorded exchange."""

    id: str
    api: str
    request: dict[str, Any]
    response: dict[str, Any]
    expected: dict[str, Any]

    @property
    def body(self) -> bytes:
        if self.response.get("body_base64") is not None:
            return base64.b64decode(self.response["body_base64"])
        return (self.response.get("body") or "").encode()

    @property
    def request_body(self) -> bytes:
        body = self.request.get("body")
        return (
            body.encode() if isinstance(body, str) else json.dumps(body).encode() if body else b""
        )

    @property
    def provider(self) -> str:
        provider: str = self.expected["provider"]
        return PROVIDERS.get(provider, provider)

    @property
    def url(self) -> str:
        """The recorded URL; a scrubbed region is filled in."""
        url: str = self.request["url"]
        return url.replace("<aws_region>", "us-east-1")

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""

    def metrics(self) -> dict[str, Any]:
        """The expected metrics by our names; null is not judged."""
        named = {**self.expected, "web_search_count": self.expected.get("web_search_requests")}
        return {k: _exact(v) for k, v in named.items() if k in METRICS and v is not None}


def _exact(number: int | float) -> int | Decimal:
    return Decimal(repr(number)) if isinstance(number, float) else number


def folder_names() -> tuple[str, ...]:
    """Name every folder of the corpus: one per provider."""
    return tuple(sorted(path.name for path in CORPUS.iterdir() if path.is_dir()))


@cache
def load(*folders: str) -> tuple[Exchange, ...]:
    """Load the exchanges of some providers, or of all."""
    names = folders or folder_names()
    found: list[Exchange] = []
    for name in names:
        for path in sorted((CORPUS / name).glob("*.json")):
            fields = json.loads(path.read_text())
            found.append(
                Exchange(
                    fields["id"],
                    fields["api"],
                    fields["request"],
                    fields["response"],
                    fields["expected"],
                )
            )
    return tuple(found)


def exchanges(*folders: str) -> list[Any]:
    """Parameters for pytest: one per exchange; skipped where there is no corpus."""
    if not CORPUS.is_dir():
        return [pytest.param(None, marks=pytest.mark.skip(reason=f"no corpus at {CORPUS}"))]
    return [pytest.param(exchange, id=exchange.id) for exchange in load(*folders)]
