"""
happyhorse.app: videos by the job, in mode ``std`` or ``pro``.

Not Alibaba's Model Studio, which bills HappyHorse models by the second (alibaba.py). How long
a video is stands in its request alone (https://happyhorse.app/docs).
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
    VIDEO,
    amount,
    body_of,
    error_code,
    links,
    must_have,
    said,
    seconds,
    settle_job,
    truth,
)
from tokenmeter.usage import NOTHING, Number, Usage

__all__ = ["ADAPTER", "describe"]

PROVIDER = "happyhorse"
HOSTS = ("happyhorse.app", "www.happyhorse.app")
MODEL_DEFAULT = "happyhorse-1.0/video"
SECONDS_DEFAULT = 5
_DEFAULTS = {"mode": "std", "aspect_ratio": "16:9", "generate_audio": "true"}
_ID = re.compile(r"(?:^|&)task_id=([^&]+)")
_STATES: dict[str, State] = {
    "SUCCESS": "success",
    "COMPLETED": "success",
    "FAILED": "failed",
    "CANCELLED": "failed",
    "CANCELED": "failed",
}
_ACCEPTED = ("200", "0")


def describe(request: Request) -> Call | None:
    """Say what a request to happyhorse.app asks for."""
    asked = (request.method, request.path.rstrip("/"))
    if asked == ("GET", "/api/status"):
        job = _ID.search(request.query)
        return None if job is None else _poll(unquote(job[1]))
    if asked != ("POST", "/api/generate"):
        return None
    body = request.body
    length = _asked_seconds(body)
    return Call(
        PROVIDER,
        VIDEOS,
        request_model=label(body.get("model")) or MODEL_DEFAULT,
        dimensions=_facts(body),
        usage=NOTHING if length is None else Usage(video_seconds=length),
    )


def _facts(body: Json) -> dict[str, str]:
    return {
        **_DEFAULTS,
        "input_type": "image" if body.get("image_urls") else "text",
        **labels(mode=body.get("mode"), aspect_ratio=body.get("aspect_ratio")),
        **said(generate_audio=truth(body.get("sound"))),
    }


def _asked_seconds(body: Json) -> Number | None:
    """Return the length of the video; the shots of one that has several add up to it."""
    shots = body.get("multi_prompt") if body.get("multi_shots") is True else None
    if isinstance(shots, list) and shots:
        lengths = [seconds(mapping(shot).get("duration")) for shot in shots]
        return None if None in lengths else sum(length for length in lengths if length)
    return seconds(body["duration"]) if "duration" in body else SECONDS_DEFAULT


def _poll(job_id: str) -> Call:
    return Call(PROVIDER, VIDEOS, repeated=True, job_id=job_id)


def describe_webhook(payload: Json) -> Call | None:
    """Recognise the body of a poll."""
    job_id = label(body_of(payload, "data").get("task_id"))
    return None if job_id is None else _poll(job_id)


def read_task(payload: Json) -> Reading:
    """Read the answer to a submit or a poll; a refusal may come with HTTP 200."""
    task = body_of(payload, "data")
    stage = (text(task.get("status")) or "").upper()
    job_id = label(task.get("task_id"))
    if job_id is None and not stage:
        code = error_code(payload.get("code"))
        refused = code not in (None, *_ACCEPTED)
        return Reading(state="failed", error_type=code) if refused else Reading()
    reading = Reading(
        response_id=job_id,
        model=label(task.get("model")),
        state=_STATES.get(stage, "pending"),
        dimensions=said(provider_credits=amount(task.get("consumed_credits"))),
    )
    if reading.state == "failed":
        return replace(reading, error_type=error_code(task.get("error_code")) or stage.lower())
    return _with_videos(reading, task) if reading.state == "success" else reading


def _with_videos(reading: Reading, task: Json) -> Reading:
    response = task.get("response")
    made = links(mapping(response).get("resultUrls") if isinstance(response, dict) else response)
    if not made:
        return replace(reading, state="failed", error_type="no_output")
    return replace(reading, usage=Usage(video_jobs=1, video_count=made, output_count=made))


def settle_video(reading: Reading, call: Call) -> Reading:
    """Settle the job; its seconds come from the request."""
    return must_have(settle_job(reading, call), "video_seconds")


VIDEOS = Api("generate", VIDEO, read_task, settle_video, owns_ids=True)
ADAPTER = Adapter(PROVIDER, describe, hosts=HOSTS, webhook=describe_webhook)
