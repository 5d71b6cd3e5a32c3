"""
Black Forest Labs: FLUX images and videos, one per task.

The answer to the submit says the price in credits and the megapixels; whether the image was
made, and was not held back by moderation, only the poll says. A video's poll has its own,
final price.
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
from tokenmeter.providers.media import (
    IMAGE,
    VIDEO,
    amount,
    error_code,
    said,
    seconds,
    settle_job,
    truth,
    whole,
)
from tokenmeter.providers.media_kinds import kind_of_file
from tokenmeter.usage import NOTHING, Usage

__all__ = ["ADAPTER", "describe"]

PROVIDER = "bfl"
HOSTS = ("api.bfl.ai", "api.bfl.ml")
SUFFIXES = (".bfl.ai", ".bfl.ml")  # a region's host, a cluster's: api.us1.bfl.ai
# Recognised under any host.
PATHS = re.compile(
    r"/v1/(?:(?P<model>flux-[\w.\-]+(?:/[\w.\-]+)?|vto-[\w.\-]+)|(?P<poll>get_result))$"
)
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
_INPUTS = {"i2v": "image", "v2v": "video", "draft_enhance": "video"}  # of a video's mode
_TIERS = {"hd": "720p", "fhd": "1080p"}
_TIER_DEFAULT = "hd"


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
    return _submit(provider, found["model"], request.body)


def _submit(provider: str, model: str, body: Json) -> Call:
    if "video" not in model:
        return Call(provider, IMAGES, request_model=model, dimensions=_facts(model, body))
    length = seconds(body.get("duration"))  # where nothing is said, the model chooses
    usage = NOTHING if length is None else Usage(video_seconds=length)
    return Call(provider, VIDEOS, request_model=model, usage=usage, dimensions=_clip(body))


def _clip(body: Json) -> dict[str, str]:
    """Say of a video what a price needs."""
    tier = (label(body.get("resolution")) or _TIER_DEFAULT).lower()
    return {
        "input_type": _INPUTS.get(text(body.get("mode")) or "", "text"),
        "resolution": _TIERS.get(tier, tier),
        **said(generate_audio=truth(body.get("generate_audio")), draft=truth(body.get("draft"))),
        **labels(mode=body.get("mode"), aspect_ratio=body.get("aspect_ratio")),
    }


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
    sample = text(mapping(payload.get("result")).get("sample"))
    if sample is None:
        return replace(reading, state="failed", error_type="no_output")
    if kind_of_file(sample) == VIDEO:
        made = Usage(video_count=1, output_count=1, video_jobs=1)
        return replace(reading, state=state, usage=made, event_name=VIDEO)
    return replace(reading, state=state, usage=Usage(image_count=1, output_count=1))


def _charges(payload: Json) -> dict[str, str]:
    return said(
        provider_credits=amount(payload.get("cost")),
        megapixels=amount(payload.get("output_mp")),
        input_megapixels=amount(payload.get("input_mp")),
    )


IMAGES = Api("images", IMAGE, read_task, settle_job, owns_ids=True)
VIDEOS = Api("videos", VIDEO, read_task, settle_job, owns_ids=True)
ADAPTER = Adapter(
    PROVIDER,
    describe,
    hosts=HOSTS,
    host_suffixes=SUFFIXES,
    paths=PATHS,
    webhook=describe_webhook,
)
