"""
Azure's jobs of Sora: a path and words of their own, beside the videos in OpenAI's form.

A job repeats what was asked for, and lists each video it made
(https://learn.microsoft.com/azure/ai-foundry/openai/concepts/video-generation).
"""

from __future__ import annotations

import re
from dataclasses import replace

from tokenmeter.providers.anthropic_usage import label
from tokenmeter.providers.base import Api, Call, Json, Reading, Request, State, text
from tokenmeter.providers.google_content import objects
from tokenmeter.providers.media import VIDEO, resolution, said, seconds, settle_job, whole
from tokenmeter.providers.openai_wire import error_type, moment
from tokenmeter.usage import NOTHING, Number, Usage

_PATH = re.compile(r"/video/generations/jobs(?:/(?P<id>[^/]+))?/?$")
_OBJECT = "video.generation.job"
_STATES: dict[str, State] = {"succeeded": "success", "failed": "failed", "cancelled": "failed"}


def describe_azure_video(request: Request) -> Call | None:
    """Describe a submit, a poll or a page of jobs; None for any other request."""
    found = _PATH.search(request.path)
    if found is None:
        return None
    job_id = label(found["id"])
    if request.method == "GET":
        return Call("azure", JOBS, repeated=True, job_id=job_id)
    if request.method != "POST" or job_id is not None:
        return None
    body = request.body
    model = text(body.get("model"))
    return Call("azure", JOBS, model, dimensions=_frame(body), usage=_length(body))


def _length(fields: Json) -> Usage:
    length = seconds(fields.get("n_seconds"))
    return NOTHING if length is None else Usage(video_seconds=length)


def _frame(fields: Json) -> dict[str, str]:
    width, height = whole(fields.get("width")), whole(fields.get("height"))
    size = f"{width}x{height}" if width and height else None
    return said(size=size, resolution=resolution(size))


def read_job(payload: Json) -> Reading:
    """Read a job, or a page of them."""
    page = payload.get("data")
    if isinstance(page, list):
        return Reading(state="pending", jobs=tuple(map(_read_one, objects(page))))
    failure = error_type(payload)
    return Reading(state="failed", error_type=failure) if failure else _read_one(payload)


def _read_one(payload: Json) -> Reading:
    if payload.get("object") != _OBJECT:
        return Reading()
    stage = text(payload.get("status")) or ""
    reading = Reading(
        response_id=label(payload.get("id")),
        model=text(payload.get("model")),
        created=moment(payload.get("finished_at")),
        state=_STATES.get(stage, "pending"),
        dimensions=_frame(payload),
    )
    if reading.state == "failed":
        return replace(reading, error_type=label(payload.get("failure_reason")) or stage)
    return _with_videos(reading, payload) if reading.state == "success" else reading


def _with_videos(reading: Reading, payload: Json) -> Reading:
    made = list(objects(payload.get("generations")))
    if not made:
        return replace(reading, state="failed", error_type="no_output")
    numbers: dict[str, Number] = {"video_count": len(made), "output_count": len(made)}
    lengths = [seconds(each.get("n_seconds", payload.get("n_seconds"))) for each in made]
    known = [length for length in lengths if length is not None]
    if len(known) == len(made):
        numbers["video_seconds"] = sum(known)
    usage = Usage({**numbers, "video_jobs": 1})
    return replace(reading, usage=usage, flags=frozenset({"counted"}))


def settle(reading: Reading, call: Call) -> Reading:
    """Settle the job; those of a page are settled by themselves."""
    return reading if reading.jobs else settle_job(reading, call)


JOBS = Api("video.generations", VIDEO, read_job, settle, owns_ids=True)
