"""
Replicate: predictions of any model, in one format; what was billed stands in `metrics`.

A prediction may be done with the submit (``Prefer: wait``). Inputs and outputs are deleted after
an hour, the metrics are not: a prediction without output has succeeded all the same.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import lru_cache
from urllib.parse import unquote

from tokenmeter.providers.base import Adapter, Api, Call, Json, Reading, Request, State, text
from tokenmeter.providers.google_usage import label
from tokenmeter.providers.media import OTHER, VIDEO, error_code, settle_job
from tokenmeter.providers.media_kinds import kind_of_model
from tokenmeter.providers.replicate_metrics import describe_input, read_made

__all__ = ["ADAPTER", "describe"]

PROVIDER = "replicate"
HOSTS = ("api.replicate.com",)
_NAME = r"[^/]+/[^/]+"
# Recognised under any host.
PATHS = re.compile(
    rf"/v1/(?:(?P<place>models|deployments)/(?P<name>{_NAME})/)?predictions"
    r"(?:/(?P<id>[^/]+))?(?P<cancel>/cancel)?/?$"
)
_HASH = re.compile(r"[0-9a-f]{40,64}")
_STATES: dict[str, State] = {
    "starting": "pending",
    "processing": "pending",
    "succeeded": "success",
    "failed": "failed",
    "canceled": "failed",
    "cancelled": "failed",
    "aborted": "failed",
}
_HIDDEN = frozenset({"hidden"})  # the version of an official model


def describe(request: Request) -> Call | None:
    """Say what a request to Replicate, or to a gateway with its paths, asks for."""
    found = PATHS.search(request.path)
    if found is None:
        return None
    provider = PROVIDER if request.host in HOSTS else request.host
    if found["id"]:
        wanted = "POST" if found["cancel"] else "GET"
        job_id = label(unquote(found["id"]))
        return _poll(provider, job_id) if request.method == wanted and job_id else None
    if request.method == "GET" and not found["name"]:
        return _poll(provider, None)  # a list
    return _submit(provider, found, request.body) if request.method == "POST" else None


def _submit(provider: str, found: re.Match[str], body: Json) -> Call:
    model = label(unquote(found["name"] or "")) or _model_of(body.get("version"))
    kind = kind_of_model(model) if model else OTHER
    usage, dimensions = describe_input(kind, body.get("input"))
    if found["place"] == "deployments":
        dimensions["deployment"] = model or ""
    return Call(provider, _api(kind), request_model=model, usage=usage, dimensions=dimensions)


def _model_of(version: object) -> str | None:
    """``owner/name`` and ``owner/name:version`` name the model; a bare version does not."""
    name = (label(version) or "").partition(":")[0]
    return None if _HASH.fullmatch(name) else name or None


def _poll(provider: str, job_id: str | None) -> Call:
    return Call(provider, _api(OTHER), repeated=True, job_id=job_id)


def read_prediction(payload: Json) -> Reading:
    """Read a prediction, or a page of them."""
    listed = payload.get("results")
    if isinstance(listed, list):
        jobs = tuple(_read_one(item) for item in listed if isinstance(item, dict))
        return Reading(state="pending", jobs=jobs)
    return _read_one(payload)


def _read_one(payload: Json) -> Reading:
    job_id, stage = label(payload.get("id")), text(payload.get("status"))
    if job_id is None or stage is None:
        return Reading(error_type="refused") if "detail" in payload else Reading()
    model = label(payload.get("model")) or _model_of(payload.get("version"))
    reading = Reading(
        response_id=job_id,
        model=None if model in _HIDDEN else model,
        state=_STATES.get(stage, "pending"),
        created=text(payload.get("completed_at")) or text(payload.get("created_at")),
    )
    match reading.state:
        case "failed":
            code = error_code(payload.get("error")) if stage == "failed" else None
            return replace(reading, error_type=code or stage)
        case "success":
            return reading | read_made(payload, reading.model or "")
        case _:
            return reading


def settle(reading: Reading, call: Call) -> Reading:
    """Name the job; what the answer does not say of its length, the request may."""
    if call.repeated and reading.jobs:
        return reading
    settled = settle_job(reading, call)
    known = {f"missing:{metric}" for metric in settled.usage}
    return replace(settled, flags=settled.flags - known)


@lru_cache(maxsize=16)
def _api(kind: str) -> Api:
    return Api("predictions", kind, read_prediction, settle, owns_ids=True)


def webhook(payload: Json) -> Call | None:
    """Recognise a webhook of Replicate's: the prediction as it is by then."""
    job_id, stage = label(payload.get("id")), text(payload.get("status"))
    if job_id is None or stage not in _STATES:
        return None
    return replace(_poll(PROVIDER, job_id), api=_api(VIDEO))


ADAPTER = Adapter(PROVIDER, describe, hosts=HOSTS, paths=PATHS, webhook=webhook)
