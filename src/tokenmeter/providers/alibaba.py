"""
Alibaba Model Studio (DashScope): HappyHorse and Wan videos, Wan and Qwen images.

Whatever takes long is a task: submitted with the header ``X-DashScope-Async``, then asked for
by its id. Texts come in DashScope's own format, or in OpenAI's and Anthropic's, which are read by
the adapters of those formats.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import lru_cache

from tokenmeter.providers.alibaba_requests import describe_image, describe_video
from tokenmeter.providers.alibaba_tasks import IMAGES, TASKS
from tokenmeter.providers.alibaba_text import text_api
from tokenmeter.providers.anthropic import describe_messages
from tokenmeter.providers.base import Adapter, Api, Call, Json, Request, mapping
from tokenmeter.providers.compatible import ASKS
from tokenmeter.providers.google_usage import label
from tokenmeter.providers.media import IMAGE, OTHER, VIDEO
from tokenmeter.providers.openai_routes import describe_as
from tokenmeter.usage import NOTHING

__all__ = ["ADAPTER", "describe"]

PROVIDER = "alibaba"
HOST = re.compile(
    r"(?:(?:vpc-)?(?P<near>[\w-]+)\.)?dashscope(?:-(?P<place>\w+))?\.aliyuncs\.com"
    r"|[\w-]+\.(?P<region>[\w-]+)\.maas\.aliyuncs\.com"
)
_PLACES = {None: "cn-beijing", "intl": "ap-southeast-1", "us": "us-east-1"}
_PATH = re.compile(
    r"/api/v1/(?:services/(?P<service>[\w-]+/[\w-]+/(?P<function>[\w-]+))|tasks/(?P<id>[^/]+))/?$"
)
# Under a host that nobody knows: what no other service serves, and tasks by their kind of id.
PATHS = re.compile(
    r"/api/v1/(?:services/aigc/[\w-]+/(?:video-synthesis|image-synthesis)"
    r"|services/aigc/image-generation/generation"
    r"|tasks/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})/?$"
)
_CLAUDE_PATH = "/v1/messages"
_ASYNC, _STREAMS = "x-dashscope-async", "x-dashscope-sse"
# Services that answer at once with images, if a model that makes them is asked for.
_AT_ONCE = frozenset({"aigc/multimodal-generation/generation", "aigc/image-generation/generation"})
_DRAWS = re.compile(r"image|t2i|-edit")
_KINDS = {"video-synthesis": VIDEO, "image-synthesis": IMAGE}
_TASKS = {kind: replace(TASKS, event_name=kind) for kind in (VIDEO, IMAGE, OTHER)}


def describe(request: Request) -> Call | None:
    """Say what a request to DashScope, or to a gateway with its paths, asks for."""
    found = _PATH.search(request.path)
    known, region = _place(request.host)
    if found is None:
        return _describe_like_others(request) if known else None
    call = _describe_own(request, PROVIDER if known else request.host, found)
    if call is None or region is None:
        return call
    return replace(call, dimensions={**call.dimensions, "region": region})


def _describe_own(request: Request, provider: str, found: re.Match[str]) -> Call | None:
    if found["id"]:
        return _poll(provider, found["id"]) if request.method == "GET" else None
    api = _api(request, found) if request.method == "POST" else None
    if api is None:
        return None
    streamed = request.headers.get(_STREAMS, "").lower() == "enable"
    return _submit(request.body, provider, api, streamed=streamed)


@lru_cache(maxsize=256)
def _place(host: str) -> tuple[bool, str | None]:
    """Say whether the host is Alibaba's, and in which region: each has a price list."""
    found = HOST.fullmatch(host)
    if found is None:
        return False, None
    return True, found["region"] or found["near"] or _PLACES.get(found["place"])


def _describe_like_others(request: Request) -> Call | None:
    """Describe a call in the form of OpenAI's or Anthropic's API."""
    if request.path.endswith(_CLAUDE_PATH):
        return describe_messages(request, PROVIDER)
    return describe_as(request, PROVIDER, ASKS)


def _api(request: Request, found: re.Match[str]) -> Api | None:
    """Say how a service answers: with a task, or at once with images or a text."""
    model = label(request.body.get("model")) or ""
    draws = _DRAWS.search(model) is not None
    if request.headers.get(_ASYNC, "").lower() == "enable":
        return _TASKS[_KINDS.get(found["function"]) or (IMAGE if draws else OTHER)]
    service: str = found["service"]
    return IMAGES if draws and service in _AT_ONCE else text_api(service, model)


def _submit(body: Json, provider: str, api: Api, *, streamed: bool) -> Call:
    model = label(body.get("model"))
    usage, dimensions = NOTHING, dict[str, str]()
    if api.event_name == VIDEO:
        usage, dimensions = describe_video(body, model or "")
    elif api.event_name == IMAGE:
        dimensions = describe_image(body)
    return Call(provider, api, model, streamed, dimensions, usage)


def _poll(provider: str, job_id: str) -> Call:
    return Call(provider, TASKS, repeated=True, job_id=job_id)


def describe_webhook(payload: Json) -> Call | None:
    """Recognise the body of a poll, which a callback has too."""
    job_id = label(mapping(payload.get("output")).get("task_id"))
    return None if job_id is None else _poll(PROVIDER, job_id)


ADAPTER = Adapter(PROVIDER, describe, host_pattern=HOST, paths=PATHS, webhook=describe_webhook)
