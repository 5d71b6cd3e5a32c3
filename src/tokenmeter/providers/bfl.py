"""
Black Forest Labs: FLUX images, one per task.

The answer to the submit says the price in credits and the megapixels; whether the image was
made, and was not held back by moderation, only the poll says.
"""

from __future__ import annotations

import re
from dataclasses import replace
from urllib.parse import unquote

from tokenmeter.providers.base import (
    Adapter,
    Api,
    Call,
    Json,
    Reading,
    Request,
    State,
    mapping,
    text,
)
from tokenmeter.providers.google_usage import label, labels
from tokenmeter.providers.media import IMAGE, amount, error_code, said, settle_job, whole
from tokenmeter.usage import Usage

__all__ = ["ADAPTER", "describe"]

PROVIDER = "bfl"
HOSTS = ("api.bfl.ai", "api.bfl.ml")
SUFFIXES = (".bfl.ai", ".bfl.ml")  # a region's host, a cluster's: api.us1.bfl.ai
# Recognised under any host.
PATHS = re.compile(r"/v1/(?:(?P<model>flux-[\w.\-]+)|(?P<poll>get_result))$")
_ID = re.compile(r"(?:^|&)id=([^&]+)")
# Any other word is no end; "Task not found" is said too early, and by the wrong cluster.
_STATES: dict[str, State] = {
    "ready": "success",
    "error": "failed",
    "failed": "failed",
    "content moderated": "failed",
    "request moderated": "failed",
}
_SIZED = frozenset({"flux-pro-1.1", "flux-pro", "flux-dev"})  # 1024 x 768 unless asked otherwise
_RATIO = frozenset({"flux-pro-1.1-ultra"})  # 16:9 unless asked otherwise
_PICTURES = ("input_image", "image_prompt", "image", "control_image", "input_image_2")


def describe(request: Request) -> Call | None:
    """Say what a request to BFL, or to a gateway with its paths, asks for."""
    found = PATHS.search(request.path)
    if found is None:
        return None
    known = request.host in HOSTS or request.host.endswith(SUFFIXES)
    provider = PROVIDER if known else request.host
    if found["poll"]:
        job = _ID.search(request.query) if request.method == "GET" else None
        return None if job is None else _poll(provider, unquote(job[1]))
    if request.method != "POST":
        return None
    model = found["model"]
    facts = _facts(model, request.body)
    return Call(provider, IMAGES, request_model=model, dimensions=facts)


def _facts(model: str, body: Json) -> dict[str, str]:
    width, height = whole(body.get("width")), whole(body.get("height"))
    measured = f"{width}x{height}" if width and height else None
    return {
        "input_type": "image" if any(body.get(name) for name in _PICTURES) else "text",
        **({"size": "1024x768"} if model in _SIZED else {}),
        **({"aspect_ratio": "16:9"} if model in _RATIO else {}),
        **said(size=measured),
        **labels(aspect_ratio=body.get("aspect_ratio"), output_format=body.get("output_format")),
    }


def _poll(provider: str, job_id: str) -> Call:
    return Call(provider, IMAGES, repeated=True, job_id=job_id)


def describe_webhook(payload: Json) -> Call | None:
    """Recognise the body of a poll, which a webhook has too."""
    job_id = _job_id(payload)
    return None if job_id is None or "status" not in payload else _poll(PROVIDER, job_id)


def _job_id(payload: Json) -> str | None:
    return label(payload.get("id")) or label(payload.get("task_id"))


def read_task(payload: Json) -> Reading:
    """Read the answer to a submit (its price), or to a poll (how it stands)."""
    job_id, stage = _job_id(payload), (text(payload.get("status")) or "").lower()
    reading = Reading(response_id=job_id, dimensions=_charges(payload))
    if job_id is None and not stage:
        return Reading(error_type=error_code(payload.get("error")))
    state = _STATES.get(stage, "pending")
    if state == "failed":
        return replace(reading, state=state, error_type=stage.replace(" ", "_"))
    if state == "pending":
        return replace(reading, state=state)
    if not text(mapping(payload.get("result")).get("sample")):
        return replace(reading, state="failed", error_type="no_output")
    return replace(reading, state=state, usage=Usage(image_count=1, output_count=1))


def _charges(payload: Json) -> dict[str, str]:
    return said(
        provider_credits=amount(payload.get("cost")),
        megapixels=amount(payload.get("output_mp")),
        input_megapixels=amount(payload.get("input_mp")),
    )


IMAGES = Api("images", IMAGE, read_task, settle_job, owns_ids=True)
ADAPTER = Adapter(
    PROVIDER,
    describe,
    hosts=HOSTS,
    host_suffixes=SUFFIXES,
    paths=PATHS,
    webhook=describe_webhook,
)
