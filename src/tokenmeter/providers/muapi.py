"""
MuAPI: one gateway to many vendors' models; the model is the path.

The charge is taken at the submit and stands in every answer, in the body and in headers; a
job that failed may get it back. An answer says how many outputs there are and nothing else:
length, resolution and sound are known from the request alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

from tokenmeter.providers.base import (
    NO_READING,
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
from tokenmeter.providers.google_usage import label
from tokenmeter.providers.media import (
    IMAGE,
    VIDEO,
    amount,
    resolution,
    said,
    seconds,
    settle_job,
    truth,
    whole,
)
from tokenmeter.providers.media_kinds import kind_of_file, kind_of_model
from tokenmeter.usage import NOTHING, Number, Usage

__all__ = ["ADAPTER", "describe", "webhook"]

NAME = "muapi"
STATES: dict[str, State] = {
    "queued": "pending",
    "pending": "pending",
    "processing": "pending",
    "completed": "success",
    "succeeded": "success",
    "failed": "failed",
    "error": "failed",
    "timeout": "failed",
    "cancelled": "failed",
    "canceled": "failed",
}
_PATH = re.compile(
    r"/api/v1/(?:predictions/(?P<id>[^/]+)(?:/result)?"
    r"|(?:endpoint/)?(?P<model>[\w.-]+(?:/[\w.-]+)?))/?$"
)
# Places that make nothing.
_FREE = re.compile(
    r"(?:account|keys|auth|users?|models|payments|webhooks?|workflows?|predictions|agents?)(?:/|$)"
    r"|(?:upload_file|get_upload_url|estimate|calculate)"
)
_RESOLUTION = {VIDEO: "720p"}  # our own default: MuAPI documents none
_LENGTHS = ("duration", "duration_seconds", "seconds", "video_length")
_SOUND = ("generate_audio", "enable_audio", "sound", "with_audio")
_VIDEOS = ("video_url", "video_urls", "videos_list", "video_files", "video")
_IMAGES = ("images_list", "image_url", "image_urls", "image", "first_frame", "image_files")
_SPEND, _REFUNDED = "x-muapi-cost-usd", "x-muapi-cost-refunded"


def describe(request: Request) -> Call | None:
    """Say what a request to MuAPI asks for; None for what makes nothing."""
    found = _PATH.search(request.path)
    if found is None:
        return None
    if found["id"]:
        poll = Call(NAME, _api(VIDEO), repeated=True, job_id=label(found["id"]))
        return poll if request.method == "GET" else None
    model = found["model"]
    if request.method != "POST" or _FREE.match(model):
        return None
    kind = kind_of_model(model)
    usage, dimensions = _asked(kind, model, request.body)
    return Call(NAME, _api(kind), request_model=model, dimensions=dimensions, usage=usage)


def _asked(kind: str, model: str, body: Json) -> tuple[Usage, dict[str, str]]:
    """Return what one output will be, and the facts that a price needs."""
    sounds = (truth(body.get(name)) for name in _SOUND)
    count = whole(body.get("num_images") or body.get("n"))
    facts = said(
        input_type=_input_type(model, body),
        mode=label(body.get("mode")),
        quality=label(body.get("quality")),
        size=label(body.get("size")),
        resolution=resolution(body.get("resolution")) or _RESOLUTION.get(kind),
        aspect_ratio=label(body.get("aspect_ratio")),
        generate_audio=next(filter(None, sounds), None),
        fps=amount(body.get("fps")),
        n=str(count) if count else None,
    )
    return _one_output(kind, body), facts


def _one_output(kind: str, body: Json) -> Usage:
    if kind == IMAGE:
        return Usage(image_count=1)
    lengths = [seconds(body.get(name)) for name in _LENGTHS if kind == VIDEO]
    known = [length for length in lengths if length is not None]
    return Usage(video_seconds=known[0]) if known else NOTHING


def _input_type(model: str, body: Json) -> str:
    if any(body.get(name) for name in _VIDEOS):
        return "video"
    return "image" if "image-to" in model or any(body.get(name) for name in _IMAGES) else "text"


def read_prediction(payload: Json) -> Reading:
    """Read the answer to a submit or a poll, or a webhook's body."""
    job_id = label(payload.get("request_id")) or label(payload.get("id"))
    stage = (text(payload.get("status")) or "").lower()
    if job_id is None and not stage:
        return _read_refusal(payload)
    reading = replace(
        _charge(mapping(payload.get("cost"))),
        response_id=job_id,
        state=STATES.get(stage, "pending"),
        created=text(payload.get("created_at")),
    )
    match reading.state:
        case "failed":
            return replace(reading, error_type=stage)
        case "success":
            return _with_outputs(reading, payload.get("outputs"))
        case _:
            return reading


def _read_refusal(payload: Json) -> Reading:
    refused = payload.get("error") or payload.get("detail")
    return Reading(state="failed", error_type="error") if refused else NO_READING


def _charge(cost: Json) -> Reading:
    """Read what was charged; what was given back costs nothing."""
    refunded = cost.get("refunded") is True
    return Reading(
        cost="0" if refunded else amount(cost.get("amount_usd")),
        dimensions=said(provider_credits=amount(cost.get("amount_credits"))),
    )


def read_headers(headers: Mapping[str, str]) -> Reading:
    """Read the charge that the headers name."""
    refunded = headers.get(_REFUNDED, "").lower() == "true"
    return _charge({"amount_usd": headers.get(_SPEND), "refunded": refunded})


def _with_outputs(reading: Reading, outputs: object) -> Reading:
    """Count what was delivered, by the kind of its files."""
    found: list[Any] = outputs if isinstance(outputs, list) else [outputs]
    places = (text(item) or text(mapping(item).get("url")) for item in found)
    kinds = [kind_of_file(place) for place in places if place is not None]
    if not kinds:
        return replace(reading, state="failed", error_type="no_output")
    numbers: dict[str, Number] = {"output_count": len(kinds)}
    flags = {"counted"}
    if IMAGE in kinds:
        numbers["image_count"] = kinds.count(IMAGE)
    if VIDEO in kinds:
        numbers |= {"video_count": kinds.count(VIDEO), "video_jobs": 1}
        flags.add("missing:video_seconds")  # until the submit tells
    named = next(filter(None, kinds), None)
    return replace(reading, usage=Usage(numbers), event_name=named, flags=frozenset(flags))


def settle(reading: Reading, call: Call) -> Reading:
    """Name the job; one that was done at once (a sandbox) used what it asked for."""
    settled = settle_job(reading, call)
    known = {f"missing:{metric}" for metric in settled.usage}
    return replace(settled, flags=settled.flags - known)


@lru_cache(maxsize=8)
def _api(kind: str) -> Api:
    return Api(
        "predictions", kind, read_prediction, settle, owns_ids=True, read_headers=read_headers
    )


def webhook(payload: Json) -> Call | None:
    """Recognise a webhook of MuAPI's: the result as a poll has it."""
    job_id = label(payload.get("id")) or label(payload.get("request_id"))
    stage = text(payload.get("status"))
    if job_id is None or (stage or "").lower() not in STATES:
        return None
    return Call(NAME, _api(VIDEO), repeated=True, job_id=job_id)


ADAPTER = Adapter(NAME, describe, hosts=("api.muapi.ai", "muapi.ai"), webhook=webhook)
