"""
Kling: videos, images and sounds, by both of its API surfaces.

``POST /v1/videos/text2video`` with `model_name`, polled under the same path; and
``POST /omni-video/kling-3.0-omni``, polled by ``GET /tasks?task_ids=``, which finds the tasks
of both. A poll says nothing of the model: that is kept from the submit.
"""

from __future__ import annotations

import re
from functools import lru_cache

from tokenmeter.providers.base import Adapter, Api, Call, Json, Request
from tokenmeter.providers.google_usage import label
from tokenmeter.providers.kling_requests import (
    AUDIO,
    ENDPOINTS,
    Asked,
    describe_image,
    describe_old,
    describe_video,
)
from tokenmeter.providers.kling_tasks import STATES, named, only_task, read_answer, settle
from tokenmeter.providers.media import IMAGE, VIDEO

__all__ = ["ADAPTER", "describe", "webhook"]

NAME = "kling"
_HOST = re.compile(r"api(?:-([a-z]+))?\.(?:klingai\.com|kling\.ai)")
_OLD = re.compile(r"/v1/((?:videos|images|audio|general)/.+?)/?$")
_NEW = re.compile(
    r"/(?P<operation>[a-z]+(?:-[a-z]+)+)/(?P<model>kling-[^/]+)/?$"
    r"|/(?P<tasks>tasks|solutions)/?$"
    r"|/solutions/(?:[^/]+/)?(?P<solution>[^/]+)/?$"
)
# Recognised under any host. /v1/images/generations is OpenAI's there.
PATHS = re.compile(
    r"/v1/(?:"
    + "|".join(re.escape(name) for name in ENDPOINTS if name != "images/generations")
    + r")(?:/[^/]+)?/?$"
    r"|/(?:text-to-video|image-to-video|omni-video|motion-control)/kling-[^/]+/?$"
    r"|(?:^|/kling)/tasks/?$"
)
_ONE_TASK = re.compile(r"(?:^|&)task_ids=([^&,%]+)(?:&|$)")


def describe(request: Request) -> Call | None:
    """Say what a request to Kling, or to a gateway with its paths, asks for."""
    old = _OLD.search(request.path)
    if old is not None:
        return _describe_old(request, old[1])
    new = _NEW.search(request.path)
    if new is None:
        return None
    if new["tasks"]:
        return _tasks(request)
    if request.method != "POST":
        return None
    operation = new["operation"] or new["solution"]
    event_name = _event_name(operation)
    describe_body = describe_image if event_name == IMAGE else describe_video
    asked = describe_body(operation, label(new["model"]), request.body)
    return _submit(request, _api(operation, event_name), asked)


def _describe_old(request: Request, place: str) -> Call | None:
    """``videos/text2video`` creates or lists, ``videos/text2video/123`` polls."""
    job_id = None
    if place not in ENDPOINTS:
        place, _, job_id = place.rpartition("/")
    endpoint = ENDPOINTS.get(place)
    if endpoint is None:
        return None
    api = _api(place.partition("/")[2], endpoint.event_name)
    if request.method == "GET":
        provider, region = _place(request.host)
        return Call(provider, api, dimensions=region, repeated=True, job_id=label(job_id))
    if request.method != "POST" or job_id is not None:
        return None
    return _submit(request, api, describe_old(endpoint, request.body))


def _tasks(request: Request) -> Call | None:
    """Polls of the new surface: by id, or a page of tasks by ``POST /tasks``."""
    foreign = _HOST.fullmatch(request.host) is None
    wanted = "task_ids=" in request.query or (not foreign and request.method == "POST")
    if not wanted:
        return None
    provider, region = _place(request.host)
    one = _ONE_TASK.search(request.query)
    job_id = label(one[1]) if one else None
    api = _api("tasks", VIDEO)
    return Call(provider, api, dimensions=region, repeated=True, job_id=job_id)


def _submit(request: Request, api: Api, asked: Asked) -> Call:
    provider, region = _place(request.host)
    return Call(
        provider,
        api,
        request_model=asked.model,
        dimensions={**region, **asked.dimensions},
        usage=asked.usage,
    )


@lru_cache(maxsize=256)
def _place(host: str) -> tuple[str, dict[str, str]]:
    """Return the provider's name and, as a dimension, the region: tasks do not leave theirs."""
    known = _HOST.fullmatch(host)
    return (host, {}) if known is None else (NAME, {"region": known[1] or "global"})


def _event_name(operation: str) -> str:
    if "image" in operation.rpartition("to-")[2] or "try" in operation:
        return IMAGE
    return AUDIO if operation.endswith(("audio", "speech", "music")) else VIDEO


@lru_cache(maxsize=256)
def _api(operation: str, event_name: str) -> Api:
    return Api(operation, event_name, read_answer, settle, owns_ids=True)


def webhook(payload: Json) -> Call | None:
    """Recognise a callback of either surface, which is a bare task, or the body of a poll."""
    job_id, stage = named(only_task(payload))
    if job_id is None or stage not in STATES:
        return None
    return Call(NAME, _api("tasks", VIDEO), repeated=True, job_id=job_id)


ADAPTER = Adapter(NAME, describe, host_pattern=_HOST, webhook=webhook, paths=PATHS)
