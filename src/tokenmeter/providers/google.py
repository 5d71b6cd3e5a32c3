"""
Google: the Gemini API and Vertex AI.

A method stands at the end of the path, after a colon, and one table says how it is read. Claude
and others' models on Vertex, and the OpenAI-compatible endpoints of both, are read by the
adapters of those formats.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from urllib.parse import unquote

from tokenmeter.providers.anthropic import describe_vertex
from tokenmeter.providers.base import (
    Adapter,
    Api,
    Call,
    Json,
    Request,
    mapping,
    named_only,
    text,
)
from tokenmeter.providers.compatible import describe_compatible
from tokenmeter.providers.google_content import CONTENT, LIVE, TEXT, describe_content, tiered
from tokenmeter.providers.google_interactions import DECISIONS, INTERACTIONS, describe_interaction
from tokenmeter.providers.google_jobs import (
    BATCH,
    BATCH_RESULTS,
    EMBEDDING_BATCH,
    VIDEO_JOB,
    describe_video,
)
from tokenmeter.providers.google_predict import CACHED_CONTENT, EMBED, describe_prediction
from tokenmeter.providers.google_usage import label, labels
from tokenmeter.providers.google_vertex_jobs import describe_vertex_job
from tokenmeter.providers.mistral import OCR

__all__ = ["ADAPTER", "LIVE", "describe"]

GEMINI, VERTEX = "google", "google-vertex"
_GEMINI_HOSTS = (
    "generativelanguage.googleapis.com",
    "generativelanguage.mtls.googleapis.com",
)
_VERTEX_HOSTS = ("aiplatform.googleapis.com", "aiplatform.mtls.googleapis.com")
_VERTEX_SUFFIXES = (
    "-aiplatform.googleapis.com",
    "-aiplatform.mtls.googleapis.com",
    ".rep.googleapis.com",
)
_PROVIDERS = {**dict.fromkeys(_GEMINI_HOSTS, GEMINI), **dict.fromkeys(_VERTEX_HOSTS, VERTEX)}

# /v1beta/models/gemini-2.5-flash:generateContent
_METHOD = re.compile(
    r"/(?:models|tunedModels|endpoints|dynamic)/(?P<model>[^/:]+)(?::|%3A)(?P<method>\w+)$"
)
# What has no method: resources, and endpoints of other formats.
_RESOURCE = re.compile(
    r"/v\d\w*/(?:"
    r"(?:projects/.+/)?interactions(?:/(?P<interaction>[^/:]+)(?P<cancel>/cancel)?)?"
    r"|(?P<video>(?:projects/.+/publishers/google/)?models/(?P<model>[^/]+)/operations/[^/:]+)"
    r"|(?P<batch>batches/[^/:]+)"
    r"|files/batch-(?P<results>[^/:]+):download"
    r"|(?P<cached>(?:projects/.+/)?cachedContents)"
    r"|(?P<decisions>(?:projects/.+/)?decisions)"
    r"|(?P<compatible>openai/.+|projects/.+/endpoints/\w+/.+)"
    r")$"
)
# Recognised under any host.
PATHS = re.compile(
    r"/(?:models|tunedModels|endpoints|dynamic)/[^/:]+(?::|%3A)"
    r"(?:generateContent|streamGenerateContent|embedContent|batchEmbedContents"
    r"|predictLongRunning|fetchPredictOperation)$"
    r"|/v\d\w*/models/[^/]+/operations/[^/:]+$"
    r"|/v\d\w*/(?:projects/.+/)?interactions(?:/[^/:]+(?:/cancel)?)?$"
)
# What Google's own webhooks tell of (google-genai's WebhookSubscribedEvent).
_THIN = frozenset(
    {
        *(f"batch.{end}" for end in ("succeeded", "expired", "failed")),
        *(f"interaction.{end}" for end in ("requires_action", "completed", "failed")),
        "video.generated",
    }
)
# What a request in its publisher's format asks for, by what it holds.
_COMPLETES = {"messages": "chat/completions", "prompt": "completions"}
_TIER_HEADER = "x-vertex-ai-llm-shared-request-type"

Route = Callable[[Request, str, str], Call | None]


def describe(request: Request) -> Call | None:
    """Say what a request to Google, or to a host that speaks its API, asks for."""
    provider = _provider(request.host)
    found = _METHOD.search(request.path)
    if found is None:
        return _describe_resource(request, provider)
    route = _ROUTES.get(found["method"]) if request.method == "POST" else None
    return route(request, provider, unquote(found["model"])) if route else None


def _provider(host: str) -> str:
    known = _PROVIDERS.get(host)
    if known is not None:
        return known
    return VERTEX if host.endswith(_VERTEX_SUFFIXES) else host


def _api(api: Api, provider: str) -> Api:
    return api if provider == GEMINI else _elsewhere(api, owns_ids=provider == VERTEX)


@lru_cache(maxsize=64)
def _elsewhere(api: Api, *, owns_ids: bool) -> Api:
    """A header may state the tier, not the body alone; a gateway or a mock may use ids again."""
    return replace(api, owns_ids=owns_ids and api.owns_ids, asked=None)


def _content(request: Request, provider: str, model: str) -> Call:
    return _generate(request, provider, model, streamed=False)


def _stream(request: Request, provider: str, model: str) -> Call:
    return _generate(request, provider, model, streamed=True)


def _generate(request: Request, provider: str, model: str, *, streamed: bool) -> Call:
    event_name, dimensions = describe_content(request.body, model)
    tier = None if provider == GEMINI else request.headers.get(_TIER_HEADER)
    if tier:
        dimensions.update(labels(service_tier=tier.lower()))
    api = _api(CONTENT[event_name, streamed], provider)
    return Call(
        provider,
        tiered(api) if "service_tier" in dimensions else api,
        request_model=label(model),
        streamed=streamed,
        dimensions=dimensions,
    )


def _plain(api: Api) -> Route:
    """Return the route of a method of which only the model matters."""

    def route(_request: Request, provider: str, model: str) -> Call:
        return Call(provider, _api(api, provider), request_model=label(model))

    return route


def _predict(request: Request, provider: str, model: str) -> Call | None:
    """Models that Google publishes; a user's own endpoint answers in its own way."""
    if "/publishers/google/" not in request.path and "/endpoints/" in request.path:
        return None
    api, dimensions = describe_prediction(request.body, model)
    return Call(provider, api, request_model=label(model), dimensions=dimensions)


def _video(request: Request, provider: str, model: str) -> Call:
    usage, dimensions = describe_video(request.body, model)
    return Call(
        provider, VIDEO_JOB, request_model=label(model), dimensions=dimensions, usage=usage
    )


def _poll(request: Request, provider: str, model: str) -> Call:
    job_id = label(request.body.get("operationName"))
    return Call(provider, VIDEO_JOB, request_model=label(model), repeated=True, job_id=job_id)


def _raw(request: Request, provider: str, model: str) -> Call | None:
    """Others' models on Vertex: Claude in its own format, Mistral's OCR, the rest as chats."""
    if "/publishers/anthropic/" in request.path:
        return describe_vertex(request)
    if "document" in request.body:
        return Call(provider, OCR, request_model=label(model))
    place = next((place for field, place in _COMPLETES.items() if field in request.body), None)
    if place is None:
        return None
    call = describe_compatible(replace(request, path=f"/v1/{place}"), provider)
    # Its publisher's format, but not its options: nothing is asked for in addition.
    return None if call is None else replace(call, edited_body=None, request_model=label(model))


_ROUTES: dict[str, Route] = {
    "generateContent": _content,
    "streamGenerateContent": _stream,
    "embedContent": _plain(EMBED),
    "batchEmbedContents": _plain(EMBED),
    "predict": _predict,
    "predictLongRunning": _video,
    "fetchPredictOperation": _poll,
    "batchGenerateContent": _plain(BATCH),
    "asyncBatchEmbedContent": _plain(EMBEDDING_BATCH),
    "rawPredict": _raw,
    "streamRawPredict": _raw,
}


def _describe_resource(request: Request, provider: str) -> Call | None:
    found = _RESOURCE.search(request.path)
    if found is None:
        return describe_vertex_job(request, provider)
    if found["compatible"]:
        return describe_compatible(request, provider)
    if request.method == "POST" and not found["cancel"]:
        return _created(request, provider, found)
    seen = request.method == ("POST" if found["cancel"] else "GET")
    return _retrieved(request, provider, found) if seen else None


def _created(request: Request, provider: str, found: re.Match[str]) -> Call | None:
    if found["cached"]:
        model = text(request.body.get("model"))
        return Call(provider, CACHED_CONTENT, request_model=label(model))
    if found["decisions"]:
        model = text(request.body.get("model")) or ""
        api = _api(DECISIONS, provider)
        return Call(provider, api, request_model=label(model.removeprefix("models/")))
    ours = found[0].endswith("interactions") and _speaks_interactions(request, provider)
    if not ours:
        return None
    call = describe_interaction(request.body, provider)
    api = _api(call.api, provider)
    return replace(call, api=tiered(api) if "service_tier" in call.dimensions else api)


def _retrieved(request: Request, provider: str, found: re.Match[str]) -> Call | None:
    if found["video"]:
        model = label(found["model"])
        return Call(provider, VIDEO_JOB, request_model=model, repeated=True, job_id=found["video"])
    if found["batch"]:
        return Call(provider, BATCH, repeated=True, job_id=found["batch"])
    if found["results"]:
        job_id = f"batches/{found['results']}"
        return Call(provider, BATCH_RESULTS, repeated=True, job_id=job_id)
    if found["interaction"] is None or not _speaks_interactions(request, provider):
        return None
    return Call(
        provider,
        _api(INTERACTIONS[TEXT], provider),
        streamed="stream=true" in request.query,
        repeated=True,
        job_id=found["interaction"],
    )


def _speaks_interactions(request: Request, provider: str) -> bool:
    """Tell Google's API under a foreign host from another API with the same path."""
    if provider in (GEMINI, VERTEX) or "x-goog-api-key" in request.headers:
        return True
    body = request.body
    return "input" in body and ("model" in body or "agent" in body)


def webhook(payload: Json) -> Call | None:
    """
    Recognise an operation or an interaction, which a poll has the body of.

    Google's own webhooks name the job and say nothing of its usage, so they are no end.
    """
    if text(payload.get("type")) in _THIN:
        job_id = label(mapping(payload.get("data")).get("id"))
        thin = Call(GEMINI, VIDEO_JOB, repeated=True, job_id=job_id)
        return None if job_id is None else named_only(thin)
    if payload.get("object") == "interaction":
        job_id = label(payload.get("id"))
        call = Call(GEMINI, INTERACTIONS[TEXT], repeated=True, job_id=job_id)
        return None if job_id is None else call
    name = label(payload.get("name"))
    if name is None or "/operations/" not in name:
        return None
    provider = VERTEX if name.startswith("projects/") else GEMINI
    return Call(provider, VIDEO_JOB, repeated=True, job_id=name)


ADAPTER = Adapter(
    "google",
    describe,
    hosts=(*_GEMINI_HOSTS, *_VERTEX_HOSTS),
    host_suffixes=_VERTEX_SUFFIXES,
    paths=PATHS,
    webhook=webhook,
)
