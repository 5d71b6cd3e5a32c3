"""How a pending job is asked for: one table of addresses, keys' headers and variables."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple
from urllib.parse import quote

Facts = Mapping[str, object]  # the properties of the job's submit

_BEARER = ("authorization", "Bearer ")
_CHINA = "cn-beijing"
_OPERATION = re.compile(
    r"(?P<model>projects/[^/]+/locations/(?P<place>[a-z0-9-]+)/publishers/google/models/[^/]+)"
    r"/operations/[^/]+"
)


class Poll(NamedTuple):
    """
    One GET, or a POST of its `body`.

    The key is read from the first of `variables` that is set.
    """

    url: str
    header: str
    prefix: str  # before the key: "Bearer "
    variables: tuple[str, ...]
    more: Mapping[str, str] = {}
    body: Mapping[str, str] | None = None


class Asked(NamedTuple):
    """How the jobs of one provider are asked for."""

    url: Callable[[str, Facts], str | None]
    variables: tuple[str, ...]
    key: tuple[str, str] = _BEARER
    more: Mapping[str, str] = {}
    names: str | None = None  # the field of a POST that names the job


def poll_of(provider: str, job_id: str, facts: Facts) -> Poll | None:
    """Return how this job is polled; None where no address or no plain key is known for it."""
    asked = POLLS.get(provider)
    url = None if asked is None else asked.url(job_id, facts)
    if asked is None or url is None:
        return None
    body = None if asked.names is None else {asked.names: job_id}
    return Poll(url, *asked.key, asked.variables, asked.more, body)


def _at(place: str) -> Callable[[str, Facts], str]:
    return lambda job_id, _: place.format(id=quote(job_id, safe=""))


_OPENAI = {
    "video": "videos",
    "resp": "responses",
    "batch": "batches",
    "ftjob": "fine_tuning/jobs",
}


def _openai(job_id: str, _: Facts) -> str | None:
    place = _OPENAI.get(job_id.partition("_")[0].partition("-")[0])
    return None if place is None else f"https://api.openai.com/v1/{place}/{quote(job_id, safe='')}"


def _anthropic(job_id: str, _: Facts) -> str | None:
    """A batch ends with its results; a dream is looked at by whoever asked for it."""
    if job_id.startswith("drm_"):
        return None
    return f"https://api.anthropic.com/v1/messages/batches/{quote(job_id, safe='')}/results"


def _google(job_id: str, _: Facts) -> str:
    """An operation or a batch is named with its place, an interaction by its id alone."""
    named = job_id if "/" in job_id else f"interactions/{job_id}"
    return f"https://generativelanguage.googleapis.com/v1beta/{quote(named)}"


def _vertex(job_id: str, _: Facts) -> str | None:
    """A video's operation is fetched from its model, in its own region."""
    found = _OPERATION.fullmatch(job_id)
    if found is None:
        return None
    place = found["place"]
    host = "" if place == "global" else f"{quote(place, safe='')}-"
    model = quote(found["model"])
    return f"https://{host}aiplatform.googleapis.com/v1/{model}:fetchPredictOperation"


def _byteplus(job_id: str, facts: Facts) -> str:
    region = str(facts.get("region", "ap-southeast"))
    cloud = "volces" if region.startswith("cn-") else "bytepluses"
    host = f"ark.{quote(region, safe='')}.{cloud}.com"
    return f"https://{host}/api/v3/contents/generations/tasks/{quote(job_id, safe='')}"


def _kling(job_id: str, facts: Facts) -> str:
    """One address finds the tasks of both surfaces; tasks do not leave their region."""
    region = str(facts.get("region", "singapore"))
    host = "api" if region == "global" else f"api-{quote(region, safe='')}"
    return f"https://{host}.klingai.com/tasks?task_ids={quote(job_id, safe='')}"


def _alibaba(job_id: str, facts: Facts) -> str:
    host = "dashscope" if facts.get("region") == _CHINA else "dashscope-intl"
    return f"https://{host}.aliyuncs.com/api/v1/tasks/{quote(job_id, safe='')}"


def _fal(job_id: str, facts: Facts) -> str | None:
    """The address has the app: owner and name, without the path of an endpoint of it."""
    parts = str(facts.get("request_model") or facts.get("model") or "").split("/")
    app = parts[: 3 if parts[0] in ("workflows", "comfy") else 2]
    if len(app) < 2 or not all(app):
        return None
    return f"https://queue.fal.run/{quote('/'.join(app))}/requests/{quote(job_id, safe='')}"


def _minimax(job_id: str, facts: Facts) -> str:
    host = "api.minimaxi.com" if facts.get("region") == "cn" else "api.minimax.io"
    task = quote(job_id, safe="")
    if str(facts.get("operation", "")).startswith("v2."):
        return f"https://{host}/v2/query/video_generation/{task}"
    return f"https://{host}/v1/query/video_generation?task_id={task}"


POLLS: dict[str, Asked] = {
    "alibaba": Asked(_alibaba, ("DASHSCOPE_API_KEY",)),
    "anthropic": Asked(
        _anthropic,
        ("ANTHROPIC_API_KEY",),
        ("x-api-key", ""),
        {"anthropic-version": "2023-06-01"},
    ),
    "bfl": Asked(_at("https://api.bfl.ai/v1/get_result?id={id}"), ("BFL_API_KEY",), ("x-key", "")),
    "byteplus": Asked(_byteplus, ("ARK_API_KEY",)),
    "fal": Asked(_fal, ("FAL_KEY",), ("authorization", "Key ")),
    "google": Asked(_google, ("GOOGLE_API_KEY", "GEMINI_API_KEY"), ("x-goog-api-key", "")),
    "google-vertex": Asked(
        _vertex,
        ("GOOGLE_OAUTH_ACCESS_TOKEN", "CLOUDSDK_AUTH_ACCESS_TOKEN"),
        names="operationName",
    ),
    "happyhorse": Asked(
        _at("https://happyhorse.app/api/status?task_id={id}"), ("HAPPYHORSE_API_KEY",)
    ),
    "kling": Asked(_kling, ("KLING_API_KEY",)),
    "luma": Asked(
        _at("https://api.lumalabs.ai/dream-machine/v1/generations/{id}"), ("LUMAAI_API_KEY",)
    ),
    "marble": Asked(
        _at("https://api.worldlabs.ai/marble/v1/operations/{id}"),
        ("WLT_API_KEY",),
        ("wlt-api-key", ""),
    ),
    "minimax": Asked(_minimax, ("MINIMAX_API_KEY",)),
    "muapi": Asked(
        _at("https://api.muapi.ai/api/v1/predictions/{id}/result"),
        ("MUAPI_API_KEY",),
        ("x-api-key", ""),
    ),
    "openai": Asked(_openai, ("OPENAI_API_KEY",)),
    "perplexity": Asked(
        _at("https://api.perplexity.ai/async/chat/completions/{id}"), ("PERPLEXITY_API_KEY",)
    ),
    "replicate": Asked(
        _at("https://api.replicate.com/v1/predictions/{id}"), ("REPLICATE_API_TOKEN",)
    ),
    "runway": Asked(
        _at("https://api.dev.runwayml.com/v1/tasks/{id}"),
        ("RUNWAYML_API_SECRET",),
        more={"x-runway-version": "2024-11-06"},
    ),
}
