"""OpenAI, Azure OpenAI, every host that speaks the same, and the same paths under any host."""

from __future__ import annotations

import re
from dataclasses import replace

from tokenmeter.providers.anthropic import describe_messages
from tokenmeter.providers.base import Adapter, Call, Json, Reading, Request, mapping, text
from tokenmeter.providers.compatible import HOSTS, SUFFIXES, describe_compatible, known_as
from tokenmeter.providers.google_usage import label
from tokenmeter.providers.openai_routes import PATHS

# Azure, OpenRouter, DeepSeek, Z.ai, Vercel and Bedrock serve the Messages API as well.
_CLAUDE = re.compile(r"/v1/messages/?$")
# Words that other services use for paths of their own: there a model must be named.
_COMMON_WORD = re.compile(r"(?<!chat)/(?:completions|responses|embeddings)(?:/compact)?/?$")


def describe(request: Request) -> Call | None:
    """Describe a request to OpenAI, to a compatible host, or to a host that nobody knows."""
    name = known_as(request.host)
    if name is not None:
        call = describe_compatible(request, name)
        return call or (describe_messages(request, name) if _CLAUDE.search(request.path) else None)
    if not PATHS.search(request.path):
        return None
    call = describe_compatible(request, request.host)
    if call is None or call.request_model is not None or not _COMMON_WORD.search(request.path):
        return call
    return None


# What a webhook, or a poll, is the body of -> where it is polled.
_OBJECTS = {"video": "videos", "response": "responses", "batch": "batches"}
_THIN = "event"  # {"object": "event", "type": "video.completed", "data": {"id": ...}}


def webhook(payload: Json) -> Call | None:
    """
    Recognise a job: a video, a background response, a batch.

    OpenAI's own webhooks name the job and say nothing of its usage, so they are no end.
    """
    named, told = text(payload.get("object")) or "", payload
    if named == _THIN:
        named, told = text(payload.get("type")) or "", mapping(payload.get("data"))
    place, job_id = _OBJECTS.get(named.partition(".")[0]), label(told.get("id"))
    if place is None or job_id is None:
        return None
    call = describe(Request("GET", "api.openai.com", f"/v1/{place}/{job_id}"))
    if call is None or told is payload:
        return call
    return replace(call, api=replace(call.api, read=_names_only))


def _names_only(_payload: Json) -> Reading:
    return Reading(state="pending")


ADAPTER = Adapter(
    "openai",
    describe,
    webhook=webhook,
    hosts=tuple(HOSTS),
    host_suffixes=tuple(SUFFIXES),
    paths=PATHS,
)
