"""
Vercel's AI gateway in the AI SDK's own form: ``/v3/ai/language-model`` and its like.

The model stands in a header. A usage is flat in the SDK's second specification (`inputTokens: 9`)
and nested since the third (`{total, noCache, cacheRead, cacheWrite}`); the gateway may answer in
either. What it charged stands in `providerMetadata`, in dollars.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace

from tokenmeter.providers.anthropic_usage import label
from tokenmeter.providers.base import (
    Api,
    Call,
    Json,
    Reading,
    Request,
    counts,
    mapping,
    text,
)
from tokenmeter.providers.openai_numbers import decimal
from tokenmeter.providers.openai_settle import settle_text
from tokenmeter.providers.openai_wire import PLAIN, error_type
from tokenmeter.usage import Usage

_PATH = re.compile(r"/v\d+/ai/(?P<kind>language|embedding|image|reranking)-model/?$")
_STREAMED = "ai-language-model-streaming"
_FLAT = {
    "inputTokens": "input_tokens",
    "outputTokens": "output_tokens",
    "totalTokens": "total_tokens",
    "reasoningTokens": "reasoning_tokens",
    "cachedInputTokens": "cache_read_tokens",
    "tokens": "input_tokens",  # of an embedding
}
_NESTED: dict[str, dict[str, str]] = {
    "inputTokens": {
        "total": "input_tokens",
        "cacheRead": "cache_read_tokens",
        "cacheWrite": "cache_write_tokens",
    },
    "outputTokens": {"total": "output_tokens", "reasoning": "reasoning_tokens"},
}


def describe_vercel(request: Request) -> Call | None:
    """Describe a request in the AI SDK's form; None for any other."""
    found = _PATH.search(request.path)
    if found is None or request.method != "POST":
        return None
    kind = found["kind"]
    model = request.headers.get(f"ai-{kind}-model-id") or request.headers.get("ai-model-id")
    streamed = request.headers.get(_STREAMED, "").lower() == "true"
    return Call("vercel-gateway", _APIS[kind], label(model), streamed)


def read_part(payload: Json) -> Reading:
    """Read a whole answer, or one part of a stream: the last one, `finish`, has the usage."""
    kind = text(payload.get("type"))
    if kind == "response-metadata":
        return _named(payload)
    if kind == "error" or "error" in payload:
        return Reading(state="failed", error_type=error_type(payload) or "error")
    if kind not in (None, "finish"):
        return Reading()
    usage, flags = _used(mapping(payload.get("usage")))
    reading = replace(_named(mapping(payload.get("response"))), usage=usage, flags=flags)
    charged = decimal(mapping(mapping(payload.get("providerMetadata")).get("gateway")).get("cost"))
    cost = None if charged is None else f"{charged:f}"
    return replace(reading, state="success", cost=cost)


def _named(response: Json) -> Reading:
    return Reading(
        model=label(response.get("modelId")),
        response_id=label(response.get("id")),
        created=text(response.get("timestamp")),
    )


def _used(usage: Json) -> tuple[Usage, frozenset[str]]:
    """Read a usage of either specification."""
    flat = {name: value for name, value in usage.items() if not isinstance(value, dict)}
    numbers, flags = counts(flat, _FLAT)
    for name, names in _NESTED.items():
        inner, odd = counts(mapping(usage.get(name)), names)
        numbers, flags = numbers | inner, flags | odd
    return numbers, flags


def read_images(payload: Json) -> Reading:
    """Read the images that were made; some come with a usage."""
    reading = read_part(payload)
    images = payload.get("images")
    if reading.state != "success" or not isinstance(images, list):
        return reading
    made = sum(isinstance(image, str) for image in images)
    numbers = {"image_count": made, "output_count": made}
    flags = reading.flags if reading.usage else reading.flags | {"counted"}
    return replace(reading, usage=reading.usage | numbers, flags=flags)


def delta_text(part: Json) -> str:
    """Return the text that one part delivers: an answer's, its reasoning's, a call's."""
    kind, delta = text(part.get("type")) or "", part.get("delta")
    return delta if kind.endswith("-delta") and isinstance(delta, str) else ""


def _settle(reading: Reading, call: Call) -> Reading:
    """Settle the tokens; the charge is the gateway's own, whatever they cost elsewhere."""
    return replace(settle_text(PLAIN, reading, call), cost=reading.cost)


def _api(operation: str, event_name: str, read: Callable[[Json], Reading] = read_part) -> Api:
    needles = (b'"usage"', b'"error"', b'"response-metadata"')
    return Api(operation, event_name, read, _settle, needles, delta_text, done=b"[DONE]")


_APIS: Mapping[str, Api] = {
    "language": _api("language-model", "text_generated"),
    "embedding": _api("embedding-model", "embedding_created"),
    "image": _api("image-model", "image_generated", read_images),
    "reranking": _api("reranking-model", "api_calls"),
}
