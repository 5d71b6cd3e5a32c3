"""OpenAI, Azure OpenAI, every host that speaks the same, and the same paths under any host."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace

from tokenmeter.providers.azure_videos import describe_azure_video
from tokenmeter.providers.base import Adapter, Call, Json, Request, mapping, named_only, text
from tokenmeter.providers.claude_elsewhere import describe_claude
from tokenmeter.providers.cohere import describe_second
from tokenmeter.providers.compatible import (
    COMPATIBLE,
    HOSTS,
    SUFFIXES,
    describe_compatible,
    known_as,
)
from tokenmeter.providers.fireworks import describe_fireworks
from tokenmeter.providers.google_usage import label
from tokenmeter.providers.mistral import OCR, describe_mistral
from tokenmeter.providers.openai_routes import PATHS
from tokenmeter.providers.perplexity import describe_perplexity
from tokenmeter.providers.routers import describe_routed, describe_voyage
from tokenmeter.providers.snowflake import describe_cortex
from tokenmeter.providers.vercel import describe_vercel
from tokenmeter.providers.watsonx import describe_watsonx
from tokenmeter.providers.workers_ai import describe_workers_ai
from tokenmeter.providers.zai import describe_zai

# Azure hands these through to other makers' models.
_COHERE = "/providers/cohere/v2/"
_MISTRAL_OCR, _FLUX = "/providers/mistral/azure/ocr", "/providers/blackforestlabs/v1/"
# Words that other services use for paths of their own: there a model must be named, or what only
# such a call brings.
_COMMON_WORD = re.compile(r"(?<!chat)/(?:completions|responses|embeddings|videos)(?:/compact)?/?$")
_BRINGS = (
    (re.compile(r"/rerank/?$"), "documents"),
    (re.compile(r"/batches/?$"), "input_file_id"),
    (re.compile(r"/videos(?:/edits|/extensions)?/?$"), "prompt"),
    (re.compile(r"/fine_tuning/jobs/?$"), "training_file"),
)


def describe(request: Request) -> Call | None:
    """Describe a request to OpenAI, to a compatible host, or to a host that nobody knows."""
    name = known_as(request.host)
    if name is not None:
        return _describe_known(request, name)
    if not PATHS.search(request.path):
        return None
    wanted = (field for path, field in _BRINGS if path.search(request.path))
    if any(field not in request.body for field in wanted):
        return None
    call = describe_compatible(request, request.host)
    if call is None or call.request_model is not None or not _COMMON_WORD.search(request.path):
        return call
    return None


def _describe_known(request: Request, name: str) -> Call | None:
    """Describe a request in the form of OpenAI's API, or of another that this host serves."""
    if "/providers/" in request.path:
        return _describe_handed_through(request, name)
    dialect = COMPATIBLE[name][0]
    call = _FIRST[name](request) if name in _FIRST else None
    if name == "perplexity":
        call = describe_perplexity(request, dialect)
    call = call or describe_compatible(request, name)
    if call is None and name in _OWN:
        call = _OWN[name](request)
    return call or describe_claude(request, name, dialect.cost)


# What these serve at paths that end as OpenAI's.
_FIRST: Mapping[str, Callable[[Request], Call | None]] = {
    "huggingface": describe_routed,
    "watsonx": describe_watsonx,
    "zai": describe_zai,
}
# What these serve in a form of their own.
_OWN: Mapping[str, Callable[[Request], Call | None]] = {
    "azure": describe_azure_video,
    "fireworks": describe_fireworks,
    "mistral": describe_mistral,
    "vercel-gateway": describe_vercel,
    "voyage": describe_voyage,
    "cloudflare": describe_workers_ai,
    "snowflake": describe_cortex,
}


def _describe_handed_through(request: Request, name: str) -> Call | None:
    """Describe a request in the form of another maker's own API; FLUX answers as OpenAI does."""
    if _COHERE in request.path:
        return describe_second(request, name)
    if request.path.endswith(_MISTRAL_OCR) and request.method == "POST":
        return Call(name, OCR, request_model=text(request.body.get("model")))
    if _FLUX in request.path:
        return describe_compatible(replace(request, path="/images/generations"), name)
    return None


# What a webhook, or a poll, is the body of -> where it is polled.
_OBJECTS = {
    "video": "videos",
    "response": "responses",
    "batch": "batches",
    "fine_tuning": "fine_tuning/jobs",
}
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
    return named_only(call)


ADAPTER = Adapter(
    "openai",
    describe,
    webhook=webhook,
    hosts=tuple(HOSTS),
    host_suffixes=tuple(SUFFIXES),
    paths=PATHS,
)
