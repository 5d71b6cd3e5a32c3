"""Recognise a payload without its request, by the marks that each wire format carries."""

from __future__ import annotations

from urllib.parse import quote

from tokenmeter.providers import anthropic, google, openai
from tokenmeter.providers.base import Adapter, Call, Json, Request, text

_OPENAI_OBJECTS = {
    "chat.completion": "/v1/chat/completions",
    "chat.completion.chunk": "/v1/chat/completions",
    "text_completion": "/v1/completions",
    "response": "/v1/responses",
}
_ANTHROPIC_TYPES = {"message", "message_start", "message_delta"}


def recognise(payload: Json) -> Call | None:
    """Return the call that answers with such a payload, or None."""
    known = _place(payload)
    if known is None:
        return None
    adapter, host, path = known
    model = text(payload.get("model"))
    body = {"model": model} if model else {}
    return adapter.describe(Request("POST", host, path, body=body))


def _place(payload: Json) -> tuple[Adapter, str, str] | None:
    kind = str(payload.get("type", ""))
    path = _openai_path(payload, kind)
    if path is not None:
        return openai.ADAPTER, "api.openai.com", path
    if kind in _ANTHROPIC_TYPES and ("usage" in payload or "message" in payload):
        return anthropic.ADAPTER, "api.anthropic.com", "/v1/messages"
    if "usageMetadata" in payload or "candidates" in payload:
        model = text(payload.get("modelVersion")) or "unknown"
        path = f"/v1beta/models/{quote(model, safe='')}:generateContent"
        return google.ADAPTER, "generativelanguage.googleapis.com", path
    return None


def _openai_path(payload: Json, kind: str) -> str | None:
    named = _OPENAI_OBJECTS.get(str(payload.get("object", "")))
    if named is not None:
        return named
    if kind.startswith("response."):
        return "/v1/responses"
    items = payload.get("data")
    first = items[0] if isinstance(items, list) and items else None
    if not isinstance(first, dict):
        return None
    if first.get("object") == "embedding":
        return "/v1/embeddings"
    return "/v1/images/generations" if "b64_json" in first or "url" in first else None
