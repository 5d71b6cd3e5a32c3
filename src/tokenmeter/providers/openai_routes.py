"""Which endpoint of an OpenAI-like API a request asks for, and what it asks."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import NamedTuple

from tokenmeter.providers import (
    openai_audio,
    openai_chat,
    openai_evals,
    openai_images,
    openai_jobs,
    openai_responses,
    openai_tools,
)
from tokenmeter.providers.base import Api, Call, Json, Request, mapping, text
from tokenmeter.providers.media import resolution, said
from tokenmeter.providers.openai_numbers import seconds
from tokenmeter.providers.openai_wire import Dialect, is_true, stated_cost
from tokenmeter.usage import NOTHING, Usage

_PATH = re.compile(
    r"(?:/deployments/(?P<deployment>[^/]+))?/(?:extensions/)?"
    r"(?P<place>chat/completions|completions|edits|embeddings|rerank|decisions|stt|tts"
    r"|images/(?:generations|edits|variations)|audio/(?:transcriptions|translations|speech)"
    r"|responses/compact|threads/runs|containers|videos/(?:generations|edits|extensions)"
    r"|(?P<kind>responses|batches|batch/jobs|videos|(?:threads|evals)/[^/]+/runs|chat/deferred-completion"
    r"|fine_tuning/jobs)"
    r"(?:/(?P<id>[^/]+)(?P<verb>/[a-z_]+)?)?)/?$"
)
# Whose runs and jobs they are, where others have the same.
_OWNERS = ("evals", "fine_tuning")
# Under a host that nobody knows these are taken for an OpenAI-like API.
PATHS = re.compile(
    r"/(?:chat/completions|completions|embeddings|rerank|responses|responses/compact"
    r"|responses/resp_[^/]+(?:/cancel)?"
    r"|images/(?:generations|edits|variations)|audio/(?:transcriptions|translations|speech)"
    r"|videos(?:/video_[^/]+(?:/remix|/content)?)?|videos/(?:edits|extensions)"
    r"|batches(?:/batch_[^/]+(?:/cancel)?)?|fine_tuning/jobs(?:/ftjob[^/]+(?:/cancel)?)?)/?$"
)


SORA_SIZE = "720x1280"  # unless asked otherwise


class Ask(NamedTuple):
    """One request, as far as the path has told."""

    request: Request
    provider: str
    dialect: Dialect
    job_id: str | None
    deployment: str | None


@dataclass(frozen=True, slots=True)
class Route:
    """What stands behind a method and a path."""

    operation: str
    api: Callable[[Dialect, str], Api]
    describe: Callable[[Ask, Api], Call]


def describe_as(request: Request, provider: str, dialect: Dialect) -> Call | None:
    """Describe a request to an OpenAI-like API; None if it is not a metered call."""
    found = _PATH.search(request.path)
    if found is None:
        return None
    place, kind, job_id = found.group("place", "kind", "id")
    if kind is not None:
        owner, _, last = kind.rpartition("/")
        within = next((f"{name}." for name in _OWNERS if owner.startswith(name)), "")
        place = f"{within}{last}/*{found['verb'] or ''}" if job_id else f"{within}{last}"
    route = ROUTES.get((request.method, place))
    if route is None:
        return None
    ask = Ask(request, provider, dialect, job_id, found["deployment"])
    return route.describe(ask, _api(route, dialect))


@lru_cache(maxsize=1024)
def _api(route: Route, dialect: Dialect) -> Api:
    api = route.api(dialect, route.operation)
    if dialect.cost_header is None or api.fetches:
        return api
    return replace(api, read_headers=partial(stated_cost, dialect.cost_header))


def _call(ask: Ask, api: Api, *, model: str | None = None, **facts: str) -> Call:
    """Describe a create: the model, the tier and the stream that were asked for."""
    body = ask.request.body
    tier = text(body.get("service_tier"))
    return Call(
        ask.provider,
        api,
        request_model=text(body.get("model")) or ask.deployment or model,
        streamed=is_true(body.get("stream")),
        dimensions={"service_tier": tier, **facts} if tier else facts,
    )


def _plain(ask: Ask, api: Api) -> Call:
    return _call(ask, api)


def _text(ask: Ask, api: Api) -> Call:
    """
    Describe a completion; a stream that would report no usage is asked to.

    A deferred one (xAI) is answered with its name only.
    """
    if ask.request.body.get("deferred") is True:
        return _call(ask, _api(_DEFERRED_ROUTE, ask.dialect))
    edited = _asking_for_usage(ask)
    call = _call(ask, api)
    return call if edited is None else replace(call, edited_body=edited)


# Azure's serverless models, which refuse a parameter that they do not know.
_SERVERLESS = (".models.ai.azure.com", ".inference.ml.azure.com")
_OLD_AZURE = re.compile(r"api-version=20(?:2[0-3]|24-0[1-8])")


def _asking_for_usage(ask: Ask) -> Json | None:
    body = ask.request.body
    if not ask.dialect.asks_usage or body.get("stream") is not True:
        return None
    options = body.get("stream_options")
    if mapping(options).get("include_usage") is True or not isinstance(options, dict | None):
        return None
    # Azure took the option up in 2024-09-01-preview, and not with data sources of one's own.
    if "data_sources" in body or _OLD_AZURE.search(ask.request.query):
        return None
    if ask.request.host.endswith(_SERVERLESS):
        return None
    return {**body, "stream_options": {**mapping(options), "include_usage": True}}


def _images(ask: Ask, api: Api) -> Call:
    body = ask.request.body
    model = text(body.get("model")) or ask.deployment or ask.dialect.image_model
    return _call(ask, api, model=model, **openai_images.image_dimensions(model, body))


def _speech(ask: Ask, api: Api) -> Call:
    body = ask.request.body
    spoken = text(body.get("input")) or text(body.get("text"))
    return replace(
        _call(ask, api),
        streamed=body.get("stream_format") == "sse",
        usage=Usage(characters=len(spoken)) if spoken else NOTHING,
    )


def _video(ask: Ask, api: Api) -> Call:
    body = ask.request.body
    facts = _frame(text(body.get("size")), text(body.get("resolution")))
    call, length = _call(ask, api, **facts), seconds(body.get("seconds", body.get("duration")))
    return call if length is None else replace(call, usage=Usage(video_seconds=length))


def _frame(size: str | None, tier: str | None) -> dict[str, str]:
    return said(size=size, resolution=tier or resolution(size))


def _new_video(ask: Ask, api: Api) -> Call:
    """Describe a video from nothing, by OpenAI's defaults where it has them."""
    call = _video(ask, api)
    if ask.dialect.video_model is None:
        return call
    facts = {**_frame(SORA_SIZE, None), **call.dimensions}
    return replace(
        call, request_model=call.request_model or ask.dialect.video_model, dimensions=facts
    )


def _seen_again(ask: Ask, api: Api) -> Call:
    """Describe a retrieve, a poll, a cancel: a sight of what was created elsewhere."""
    streamed = "stream=true" in ask.request.query or is_true(ask.request.body.get("stream"))
    return Call(ask.provider, api, streamed=streamed, repeated=True, job_id=ask.job_id)


def _embeddings_api(dialect: Dialect, operation: str) -> Api:
    return openai_chat.plain_api(dialect, operation, "embedding_created")


def _rerank_api(dialect: Dialect, operation: str) -> Api:
    return openai_chat.plain_api(dialect, operation, "api_calls")


def _decisions_api(dialect: Dialect, operation: str) -> Api:
    return openai_chat.plain_api(dialect, operation, "text_generated")


_TRANSCRIPT, _SPEECH = openai_audio.transcript_api, openai_audio.speech_api
_RESPONSES, _IMAGES = openai_responses.responses_api, openai_images.images_api
_EXTENSION = openai_jobs.extension_api
_RUN, _BATCH, _VIDEO = openai_jobs.run_api, openai_jobs.batch_api, openai_jobs.video_api
_TUNING = openai_jobs.tuning_api
_DEFERRED_ROUTE = Route("chat.completions", openai_jobs.deferred_api, _seen_again)

ROUTES: Mapping[tuple[str, str], Route] = {
    ("POST", "chat/completions"): Route("chat.completions", openai_chat.chat_api, _text),
    ("GET", "deferred-completion/*"): _DEFERRED_ROUTE,
    ("POST", "completions"): Route("completions", openai_chat.chat_api, _text),
    ("POST", "responses"): Route("responses", _RESPONSES, _plain),
    ("POST", "responses/compact"): Route("responses.compact", _RESPONSES, _plain),
    ("GET", "responses/*"): Route("responses", _RESPONSES, _seen_again),
    ("POST", "responses/*/cancel"): Route("responses", _RESPONSES, _seen_again),
    ("POST", "containers"): Route("containers", openai_tools.container_api, _plain),
    ("POST", "embeddings"): Route("embeddings", _embeddings_api, _plain),
    ("POST", "edits"): Route("edits", _decisions_api, _plain),
    ("POST", "rerank"): Route("rerank", _rerank_api, _plain),
    ("POST", "decisions"): Route("decisions", _decisions_api, _plain),
    ("POST", "images/generations"): Route("images.generations", _IMAGES, _images),
    ("POST", "images/edits"): Route("images.edits", _IMAGES, _images),
    ("POST", "images/variations"): Route("images.variations", _IMAGES, _images),
    ("POST", "audio/transcriptions"): Route("audio.transcriptions", _TRANSCRIPT, _plain),
    ("POST", "stt"): Route("audio.transcriptions", _TRANSCRIPT, _plain),
    ("POST", "audio/translations"): Route("audio.translations", _TRANSCRIPT, _plain),
    ("POST", "audio/speech"): Route("audio.speech", _SPEECH, _speech),
    ("POST", "tts"): Route("audio.speech", _SPEECH, _speech),
    ("POST", "batches"): Route("batches", _BATCH, _plain),
    ("GET", "batches/*"): Route("batches", _BATCH, _seen_again),
    ("POST", "batches/*/cancel"): Route("batches", _BATCH, _seen_again),
    ("POST", "jobs"): Route("batches", _BATCH, _plain),  # Mistral's
    ("GET", "jobs/*"): Route("batches", _BATCH, _seen_again),
    ("POST", "jobs/*/cancel"): Route("batches", _BATCH, _seen_again),
    ("POST", "threads/runs"): Route("assistants.runs", _RUN, _plain),
    ("POST", "runs"): Route("assistants.runs", _RUN, _plain),
    ("GET", "runs/*"): Route("assistants.runs", _RUN, _seen_again),
    ("POST", "runs/*/cancel"): Route("assistants.runs", _RUN, _seen_again),
    ("POST", "runs/*/submit_tool_outputs"): Route("assistants.runs", _RUN, _seen_again),
    ("POST", "evals.runs"): Route("evals.runs", openai_evals.eval_api, _plain),
    ("GET", "evals.runs/*"): Route("evals.runs", openai_evals.eval_api, _seen_again),
    ("POST", "evals.runs/*/cancel"): Route("evals.runs", openai_evals.eval_api, _seen_again),
    ("POST", "fine_tuning.jobs"): Route("fine_tuning.jobs", _TUNING, _plain),
    ("GET", "fine_tuning.jobs/*"): Route("fine_tuning.jobs", _TUNING, _seen_again),
    ("POST", "fine_tuning.jobs/*/cancel"): Route("fine_tuning.jobs", _TUNING, _seen_again),
    ("POST", "videos"): Route("videos", _VIDEO, _new_video),
    ("GET", "videos"): Route("videos", _VIDEO, _seen_again),
    ("POST", "videos/generations"): Route("videos", _VIDEO, _video),
    ("POST", "videos/edits"): Route("videos", _VIDEO, _video),
    ("POST", "videos/extensions"): Route("videos", _EXTENSION, _video),
    ("POST", "videos/*/remix"): Route("videos", _VIDEO, _video),
    ("GET", "videos/*"): Route("videos", _VIDEO, _seen_again),
    ("GET", "videos/*/content"): Route("videos", openai_jobs.video_content_api, _seen_again),
}
