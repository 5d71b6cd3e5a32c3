"""
Z.ai's answers that are fetched later: chats and videos, by one address for both.

The submit names a task, ``GET …/async-result/ID`` tells how it stands; what it holds in the end
says what it was (https://docs.z.ai/api-reference).
"""

from __future__ import annotations

import re
from dataclasses import replace

from tokenmeter.providers.anthropic_usage import label
from tokenmeter.providers.base import Api, Call, Json, Reading, Request, State, text
from tokenmeter.providers.google_content import objects
from tokenmeter.providers.media import VIDEO, resolution, said, seconds, settle_job, size, truth
from tokenmeter.providers.openai_chat import read_chat
from tokenmeter.providers.openai_settle import settle_text
from tokenmeter.providers.openai_wire import PLAIN
from tokenmeter.usage import NOTHING, Usage

_PATH = re.compile(
    r"/paas/v4/(?:(?P<chat>async/chat/completions)|(?P<video>videos/generations)"
    r"|async-result/(?P<id>[^/]+))/?$"
)
_STATES: dict[str, State] = {"SUCCESS": "success", "FAIL": "failed", "FAILED": "failed"}


def describe_zai(request: Request) -> Call | None:
    """Describe a submit of what takes long, or a look at it; None for any other request."""
    found = _PATH.search(request.path)
    if found is None:
        return None
    if found["id"]:
        poll = Call("zai", CHATS, repeated=True, job_id=label(found["id"]))
        return poll if request.method == "GET" else None
    if request.method != "POST":
        return None
    model = text(request.body.get("model"))
    return _video(request.body, model) if found["video"] else Call("zai", CHATS, model)


def _video(body: Json, model: str | None) -> Call:
    measured = text(body.get("size"))
    facts = said(
        size=size(measured),
        resolution=resolution(measured),
        quality=label(body.get("quality")),
        fps=str(body["fps"]) if type(body.get("fps")) is int else None,
        generate_audio=truth(body.get("with_audio")),
        input_type="image" if body.get("image_url") else "text",
    )
    length = seconds(body.get("duration"))
    usage = NOTHING if length is None else Usage(video_seconds=length)
    return Call("zai", VIDEOS, model, dimensions=facts, usage=usage)


def read_task(payload: Json) -> Reading:
    """Read how a task stands, and what it has made."""
    reading = replace(read_chat(payload), response_id=label(payload.get("id")))
    stage = text(payload.get("task_status"))
    if stage is None:
        return reading if reading.state == "failed" else Reading()
    state = _STATES.get(stage, "pending")
    reading = replace(reading, state=state, error_type="failed" if state == "failed" else None)
    made = len(list(objects(payload.get("video_result"))))
    if state != "success" or not made:
        return reading
    usage = Usage(video_count=made, output_count=made, video_jobs=1)
    return replace(reading, usage=usage, event_name=VIDEO, flags=frozenset({"counted"}))


def settle_task(reading: Reading, call: Call) -> Reading:
    """Settle what it was: tokens of a chat, or videos of the length that was asked for."""
    if reading.event_name != VIDEO and reading.state == "success":
        reading = settle_text(PLAIN, reading, call)
    return settle_job(replace(reading, raw={}), call)


CHATS = Api("chat.completions", "text_generated", read_task, settle_task, owns_ids=True)
VIDEOS = replace(CHATS, operation="videos", event_name=VIDEO)
