"""
Bedrock's ``/async-invoke``: videos and embeddings whose answer is a file in the user's bucket.

A job says how it stands and nothing of what it used: lengths are known from the submit alone
(https://docs.aws.amazon.com/nova/latest/userguide/video-gen-access.html).
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import lru_cache
from urllib.parse import unquote

from tokenmeter.providers.anthropic_usage import label
from tokenmeter.providers.base import Api, Call, Json, Reading, Request, State, mapping, text
from tokenmeter.providers.bedrock_models import event_name, model_name
from tokenmeter.providers.bedrock_usage import read_failure, read_headers
from tokenmeter.providers.google_content import objects
from tokenmeter.providers.media import (
    VIDEO,
    amount,
    must_have,
    resolution,
    said,
    seconds,
    settle_job,
    size,
)
from tokenmeter.usage import NOTHING, Number, Usage

PATH = re.compile(r"/async-invoke(?:/(?P<id>[^/].*))?$")
_VIDEOS = re.compile(r"nova-reel|luma\.ray")
_SHOT_SECONDS = 6  # of Nova Reel, and of each shot of a longer video
_LUMA_SECONDS = 5
_STATES: dict[str, State] = {"Completed": "success", "Failed": "failed"}
_SHOTS = ("multiShotManualParams", "multiShotAutomatedParams", "textToVideoParams")


def describe_async(request: Request, provider: str) -> Call | None:
    """Describe a submit, a poll or a page of jobs."""
    found = PATH.search(request.path)
    if found is None:
        return None
    if request.method == "GET":
        job_id = None if found["id"] is None else _job_id(unquote(found["id"]))
        return Call(provider, _api(VIDEO), repeated=True, job_id=job_id)
    if request.method != "POST" or found["id"]:
        return None
    named = text(request.body.get("modelId"))
    model = None if named is None else model_name(named)
    if not _VIDEOS.search(model or ""):
        return Call(provider, _api(event_name(model)), request_model=model)
    usage, dimensions = _video(mapping(request.body.get("modelInput")))
    return Call(provider, _api(VIDEO), model, dimensions=dimensions, usage=usage)


def _video(asked: Json) -> tuple[Usage, dict[str, str]]:
    """Return the length of the video and its frame, as Nova Reel or Luma's Ray is asked."""
    settings = mapping(asked.get("videoGenerationConfig"))
    frame = text(settings.get("dimension"))
    pictured = asked.get("keyframes") or any(
        mapping(asked.get(name)).get("images") for name in _SHOTS
    )
    length = _nova_seconds(asked, settings) if "taskType" in asked else _luma_seconds(asked)
    facts = {
        "resolution": "720p",
        "input_type": "image" if pictured or _shots_show(asked) else "text",
        **said(
            size=size(frame),
            fps=amount(settings.get("fps")),
            resolution=resolution(frame or asked.get("resolution")),
            aspect_ratio=label(asked.get("aspect_ratio")),
        ),
    }
    return NOTHING if length is None else Usage(video_seconds=length), facts


def _nova_seconds(asked: Json, settings: Json) -> Number | None:
    """A video of shots is as long as they are together; else it says how long."""
    shots = list(objects(mapping(asked.get("multiShotManualParams")).get("shots")))
    if shots:
        return len(shots) * _SHOT_SECONDS
    return seconds(settings.get("durationSeconds", _SHOT_SECONDS))


def _shots_show(asked: Json) -> bool:
    shots = objects(mapping(asked.get("multiShotManualParams")).get("shots"))
    return any(shot.get("image") for shot in shots)


def _luma_seconds(asked: Json) -> Number | None:
    return seconds(asked.get("duration", _LUMA_SECONDS))


def read_job(payload: Json) -> Reading:
    """Read the answer to a submit or a poll, or a page of jobs."""
    listed = payload.get("asyncInvokeSummaries")
    if isinstance(listed, list):
        return Reading(state="pending", jobs=tuple(map(_read_one, objects(listed))))
    return read_failure(payload) or _read_one(payload)


def _read_one(payload: Json) -> Reading:
    named, model = text(payload.get("invocationArn")), text(payload.get("modelArn"))
    if named is None:
        return Reading()
    reading = Reading(
        response_id=_job_id(named),
        model=None if model is None else model_name(model),
        created=text(payload.get("endTime")),
        state=_STATES.get(text(payload.get("status")) or "", "pending"),
    )
    if reading.state == "failed":
        return replace(reading, error_type="failed")
    if reading.state != "success" or not _VIDEOS.search(reading.model or ""):
        return reading
    made = Usage(video_count=1, output_count=1, video_jobs=1)
    return replace(reading, usage=made, event_name=VIDEO, flags=frozenset({"counted"}))


def _job_id(arn: str) -> str | None:
    """Name a job without its account, which is nobody's business."""
    return label(arn.rpartition("/")[2])


def settle_async(reading: Reading, call: Call) -> Reading:
    """Settle the job; a video whose submit nobody has seen is of unknown length."""
    if reading.jobs:
        return reading
    settled = settle_job(reading, call)
    return must_have(settled, "video_seconds") if "video_count" in settled.usage else settled


@lru_cache(maxsize=8)
def _api(kind: str) -> Api:
    return Api(
        "async_invoke", kind, read_job, settle_async, owns_ids=True, read_headers=read_headers
    )
