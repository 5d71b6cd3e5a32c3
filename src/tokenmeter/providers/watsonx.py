"""
IBM's watsonx.ai: chats in OpenAI's form at paths of their own, and texts, embeddings, reranks.

The model is `model_id`, and a stream has a path instead of a field. Each event of a streamed text
counts the output so far, and only the first one counts the input.
https://cloud.ibm.com/apidocs/watsonx-ai (by IBM's SDKs, 2026-11-30)
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from tokenmeter.providers.anthropic_usage import label
from tokenmeter.providers.base import Api, Call, Json, Reading, Request, counts, text
from tokenmeter.providers.google_content import objects
from tokenmeter.providers.openai_routes import describe_as
from tokenmeter.providers.openai_settle import settle_text
from tokenmeter.providers.openai_wire import PLAIN, error_type
from tokenmeter.usage import Usage

_PATH = re.compile(
    r"/ml/v1/(?:deployments/(?P<deployment>[^/]+)/)?text/"
    r"(?P<place>chat|generation|embeddings|rerank)(?P<stream>_stream)?/?$"
)
_BETA, _TODAY = "/ml/v1-beta/generation/text", "/ml/v1/text/generation"  # the same
_COUNTS = {"input_token_count": "input_tokens", "generated_token_count": "output_tokens"}
_GOES_ON = "not_finished"
_NEEDLES = (b'"input_token_count"', b'"errors"', b'"stop_reason"')


def describe_watsonx(request: Request) -> Call | None:
    """Describe a request to one of watsonx.ai's own paths; None for any other."""
    found = _PATH.search(request.path.replace(_BETA, _TODAY))
    if found is None or request.method != "POST":
        return None
    model = label(request.body.get("model_id")) or found["deployment"]
    streamed = found["stream"] is not None
    if found["place"] != "chat":
        return Call("watsonx", _APIS[found["place"]], model, streamed)
    body = {**request.body, "model": model, "stream": streamed}
    as_chat = replace(request, path="/v1/chat/completions", body=body)
    return describe_as(as_chat, "watsonx", PLAIN)


def read(payload: Json) -> Reading:
    """Read a whole answer, or one event of a streamed text."""
    failure = _failure(payload)
    if failure is not None:
        return Reading(state="failed", error_type=failure)
    results = [*objects(payload.get("results"))]
    usage, flags = counts(payload, _COUNTS)
    for result in results:
        counted, odd = counts(result, _COUNTS)
        usage, flags = usage + counted, flags | odd
    ended = bool(results) and all(each.get("stop_reason") != _GOES_ON for each in results)
    return Reading(
        model=label(payload.get("model_id")),
        created=text(payload.get("created_at")),
        state="success" if ended else None,
        flags=flags,
        usage=_told(usage),
    )


def _told(usage: Usage) -> Usage:
    """Leave out what an event of a stream does not count: its input, or anything, is 0 then."""
    if usage.input_tokens:
        return usage
    return Usage({metric: number for metric, number in usage.items() if number})


def _failure(payload: Json) -> str | None:
    first = next(objects(payload.get("errors")), None)
    return error_type(payload) if first is None else error_type({"error": first})


def delivered_text(event: Json) -> str:
    """Return the text that one event delivers."""
    return "".join(
        text(each.get("generated_text")) or "" for each in objects(event.get("results"))
    )


def _api(operation: str, event_name: str) -> Api:
    settle = partial(settle_text, PLAIN)
    return Api(operation, event_name, read, settle, _NEEDLES, delivered_text)


_APIS: Mapping[str, Api] = {
    "generation": _api("text.generation", "text_generated"),
    "embeddings": _api("text.embeddings", "embedding_created"),
    "rerank": _api("text.rerank", "api_calls"),
}
