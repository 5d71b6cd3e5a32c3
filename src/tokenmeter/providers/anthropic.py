"""Anthropic: messages, message batches, the legacy completions; also Claude on Vertex."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import unquote

from tokenmeter.providers.anthropic_batches import read_batch, read_result, settle_results
from tokenmeter.providers.anthropic_dreams import describe_dream
from tokenmeter.providers.anthropic_messages import (
    NEEDLES,
    delivered_text,
    read,
    read_error,
    settle,
)
from tokenmeter.providers.anthropic_plain import asked_message, plain_message
from tokenmeter.providers.anthropic_usage import label, labels
from tokenmeter.providers.base import (
    Adapter,
    Api,
    Call,
    Json,
    Reading,
    Request,
    mapping,
    settled_as_read,
    text,
)
from tokenmeter.providers.compatible import describe_compatible

__all__ = ["ADAPTER", "describe", "describe_messages", "describe_vertex", "read", "settle"]

HOST = "api.anthropic.com"
PATHS = re.compile(
    r"/v1/(?:(?P<messages>messages)|(?P<complete>complete)"
    r"|messages/batches(?:/(?P<batch>[^/]+)(?P<results>/results)?)?)/?$"
)
_VERTEX = re.compile(
    r"/publishers/anthropic/models/(?P<model>[^/]+):(?P<stream>rawPredict|streamRawPredict)$"
)
_COMPATIBLE = "/v1/chat/completions"  # Anthropic's endpoint in the form of OpenAI's
_COUNT_TOKENS = "count-tokens"  # the "model" under which Vertex counts tokens, free of charge


def _read_completion(payload: Json) -> Reading:
    """Read a body or an event of the legacy API: it reports no usage."""
    if payload.get("type") == "error" or "error" in payload:
        return read_error(payload)
    return Reading(
        model=label(payload.get("model")),
        response_id=label(payload.get("id")) or label(payload.get("log_id")),
        state="success" if text(payload.get("stop_reason")) else None,
    )


def _completion_text(event: Json) -> str:
    return text(event.get("completion")) or ""


MESSAGES = Api(
    "messages",
    "text_generated",
    read,
    settle,
    NEEDLES,
    delivered_text,
    owns_ids=True,
    asked=asked_message,
    plain=plain_message,
)
# A gateway or a mock may use its ids again, and tells by its headers that it is one.
GATEWAY_MESSAGES = replace(MESSAGES, owns_ids=False, asked=None)
COMPLETE = Api(
    "complete",
    "text_generated",
    _read_completion,
    settled_as_read,
    (b'"stop_reason"', b'"error"'),
    _completion_text,
)


def _held(call: Call, body: Json) -> list[tuple[Call, Json]] | None:
    """Return the requests of a batch; None if one of them is no request."""
    listed: object = body.get("requests")
    entries = [mapping(entry) for entry in listed] if isinstance(listed, list) else []
    asked = [mapping(entry.get("params")) for entry in entries]
    if not all(asked):
        return None
    return [
        (Call(call.provider, MESSAGES, label(each.get("model")), dimensions=labels(each)), each)
        for each in asked
    ]


BATCH = Api(
    "messages.batches", "text_generated", read_batch, settled_as_read, owns_ids=True, held=_held
)
RESULTS = replace(BATCH, read=read_result, settle=settle_results, adds=True)


def describe(request: Request) -> Call | None:
    """Say what a request to Anthropic, or to a host that speaks its API, asks for."""
    if request.host == HOST:
        if request.path == "/v1/messages":
            return describe_messages(request, "anthropic", MESSAGES)
        if request.path == _COMPATIBLE:
            return describe_compatible(request, "anthropic")
        return _describe_path(request, "anthropic", MESSAGES)
    if not _speaks_anthropic(request):
        return None
    return _describe_path(request, request.host, GATEWAY_MESSAGES)


def _describe_path(request: Request, provider: str, messages: Api) -> Call | None:
    found = PATHS.search(request.path)
    if found is None:
        return describe_dream(request, provider)
    if found["messages"]:
        return describe_messages(request, provider, messages)
    if found["complete"]:
        return describe_messages(request, provider, COMPLETE)
    return _describe_batch(request, provider, found)


def describe_messages(request: Request, provider: str, api: Api = GATEWAY_MESSAGES) -> Call | None:
    """Describe a request in the form of the Messages API, for whichever provider serves it."""
    if request.method != "POST":
        return None
    body = request.body
    return Call(
        provider,
        api,
        request_model=label(body.get("model")),
        streamed=body.get("stream") is True,
        dimensions=labels(body),
    )


def describe_vertex(request: Request) -> Call | None:
    """Describe a call of Claude on Vertex (rawPredict); None for what is not one."""
    found = _VERTEX.search(request.path)
    if found is None or found["model"] == _COUNT_TOKENS:
        return None
    call = describe_messages(request, "google-vertex", MESSAGES)
    if call is None:
        return None
    streamed = call.streamed or found["stream"] == "streamRawPredict"
    return replace(call, request_model=label(unquote(found["model"])), streamed=streamed)


def _describe_batch(request: Request, provider: str, path: re.Match[str]) -> Call | None:
    if path["batch"] is None:
        return Call(provider, BATCH) if request.method == "POST" else None
    if request.method != "GET":
        return None
    api = RESULTS if path["results"] else BATCH
    return Call(provider, api, repeated=True, job_id=path["batch"])


def _speaks_anthropic(request: Request) -> bool:
    """Tell Anthropic's API under a foreign host from another API with the same path."""
    if "anthropic-version" in request.headers:
        return True
    body: Mapping[str, object] = request.body
    if "max_tokens_to_sample" in body:
        return True
    return "model" in body and "messages" in body


ADAPTER = Adapter("anthropic", describe, hosts=(HOST,), paths=PATHS)
