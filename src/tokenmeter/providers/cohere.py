"""
Cohere's own API: chat, generate, embed, rerank and their like, by what is billed.

Each answer counts twice: `tokens` is what the model saw, with Cohere's own preamble and search
prompts; `billed_units` is what is charged. Only the latter becomes our metrics.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from tokenmeter.providers.anthropic_usage import label
from tokenmeter.providers.base import (
    NO_READING,
    Adapter,
    Api,
    Call,
    Json,
    Reading,
    Request,
    counts,
    mapping,
    text,
    unknown,
)
from tokenmeter.providers.compatible import describe_compatible
from tokenmeter.usage import Usage

__all__ = ["ADAPTER", "describe", "read", "settle"]

PROVIDER = "cohere"
HOSTS = ("api.cohere.com", "api.cohere.ai")
_PATH = re.compile(
    r"^/(?:v1|v2)/(?P<place>chat|generate|summarize|embed|rerank|classify|parse"
    r"|audio/transcriptions)/?$"
)
# Under a host that nobody knows: only what no other service serves, and a model is named.
PATHS = re.compile(r"/v2/(?P<place>chat|embed|rerank)/?$")

_BILLED = {
    "input_tokens": "input_tokens",
    "output_tokens": "output_tokens",
    "text_tokens": "input_text_tokens",
    "image_tokens": "input_image_tokens",
    "images": "input_image_count",
    "search_units": "search_unit_count",
    "classifications": "classification_count",
    "pages": "page_count",
}
_TOKENS = {"input_tokens": "input_tokens", "output_tokens": "output_tokens"}
_CACHED = {"cached_tokens": "cache_read_tokens"}
_KNOWN = frozenset({"billed_units", "tokens", "cached_tokens", "api_version", "warnings"})
_FAILED = frozenset({"ERROR", "ERROR_TOXIC", "TIMEOUT"})
_ENDS = frozenset({"message-end", "stream-end"})
UNBILLED = "billed_units_missing"  # flag: the counts are what the model saw


def read(payload: Json) -> Reading:
    """Read a body, or one event of a stream; the last event holds what is billed."""
    kind = text(payload.get("type")) or text(payload.get("event_type"))
    if kind is None and isinstance(payload.get("message"), str):
        return Reading(state="failed")  # an error's body: all it has is a text
    if kind is not None and kind not in _ENDS:
        return Reading(response_id=label(payload.get("id")))
    answer = payload if kind is None else _last_answer(payload)
    reading = _read_billed(answer) | _ending(payload, answer)
    return replace(reading, response_id=_id(answer) or _id(payload))


def _last_answer(event: Json) -> Json:
    """Return the answer within the last event: version 1 repeats it whole."""
    return mapping(event.get("response")) or mapping(event.get("delta"))


def _id(answer: Json) -> str | None:
    return label(answer.get("id")) or label(answer.get("response_id"))


def _ending(payload: Json, answer: Json) -> Reading:
    reason = text(answer.get("finish_reason")) or text(payload.get("finish_reason"))
    if reason in _FAILED:
        return Reading(state="failed", error_type=reason.lower())
    return Reading(state="success")


def _read_billed(answer: Json) -> Reading:
    stated = answer.get("usage", answer.get("meta"))
    if not isinstance(stated, dict):
        return NO_READING if stated is None else Reading(flags=frozenset({"invalid:usage"}))
    usage: Json = stated
    billed = usage.get("billed_units")
    names: Mapping[str, str] = _BILLED
    flags = unknown(usage, _KNOWN)
    if billed is None and mapping(usage.get("tokens")):
        billed, names, flags = usage["tokens"], _TOKENS, flags | {UNBILLED}
    numbers, odd = counts(mapping(billed), names)
    cached, doubts = counts(usage, _CACHED)
    odd |= unknown(mapping(billed), frozenset(names))
    if billed is not None and not isinstance(billed, dict):
        odd |= {"invalid:billed_units"}
    return Reading(usage=numbers | cached, flags=flags | odd | doubts)


def settle(reading: Reading, call: Call) -> Reading:
    """
    Add the total, and the images to the input of an embedding that states them apart.

    Whether cached tokens are among the billed ones, Cohere does not say: they stand beside.
    """
    numbers = dict(reading.usage)
    parts = [numbers[m] for m in ("input_text_tokens", "input_image_tokens") if m in numbers]
    if parts and "input_tokens" not in numbers:
        numbers["input_tokens"] = sum(parts)
    if "input_tokens" in numbers and "output_tokens" in numbers:
        numbers["total_tokens"] = numbers["input_tokens"] + numbers["output_tokens"]
    return replace(reading, usage=call.usage | Usage(numbers))


def delivered_text(event: Json) -> str:
    """Return what one event delivers: text, thinking, a plan, arguments of tools."""
    message = mapping(mapping(event.get("delta")).get("message"))
    content = mapping(message.get("content"))
    called = mapping(mapping(message.get("tool_calls")).get("function"))
    pieces = (
        event.get("text"),
        content.get("text"),
        content.get("thinking"),
        message.get("tool_plan"),
        called.get("arguments"),
    )
    return "".join(piece for piece in map(text, pieces) if piece)


def _api(operation: str, event_name: str) -> Api:
    needles = (b'"billed_units"', b'"finish_reason"', b'"usage"')
    return Api(operation, event_name, read, settle, needles, delivered_text)


APIS: Mapping[str, Api] = {
    "chat": _api("chat", "text_generated"),
    "generate": _api("generate", "text_generated"),
    "summarize": _api("summarize", "text_generated"),
    "embed": _api("embed", "embedding_created"),
    "rerank": _api("rerank", "api_calls"),
    "classify": _api("classify", "api_calls"),
    "parse": _api("parse", "api_calls"),
    "audio/transcriptions": _api("audio.transcriptions", "audio_transcribed"),
}


def describe(request: Request) -> Call | None:
    """Say what a request to Cohere, or to a host that speaks its second version, asks for."""
    if request.host not in HOSTS:
        return describe_second(request, request.host) if request.body.get("model") else None
    found = _PATH.search(request.path)
    if found is None:
        return describe_compatible(request, PROVIDER)
    return _describe(request, PROVIDER, found["place"])


def describe_second(request: Request, provider: str) -> Call | None:
    """Describe a request in the form of Cohere's second version, whoever serves it."""
    found = PATHS.search(request.path)
    return None if found is None else _describe(request, provider, found["place"])


def _describe(request: Request, provider: str, place: str) -> Call | None:
    if request.method != "POST":
        return None
    body = request.body
    streamed = body.get("stream") is True
    return Call(provider, APIS[place], label(body.get("model")), streamed)


ADAPTER = Adapter(PROVIDER, describe, hosts=HOSTS, paths=PATHS)
