"""
BytePlus ModelArk and Volcengine Ark: Seedance's videos, Seedream's images, and text.

Both clouds speak one API under hosts of their own; the host's region is a dimension, because
their price lists differ. Text is OpenAI's format.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import lru_cache

from tokenmeter.providers.base import Adapter, Call, Json, Request, text
from tokenmeter.providers.byteplus_images import IMAGES, describe_images
from tokenmeter.providers.byteplus_video import STATES, TASKS, describe_task
from tokenmeter.providers.google_usage import label
from tokenmeter.providers.openai_routes import describe_as
from tokenmeter.providers.openai_wire import Dialect

__all__ = ["ADAPTER", "describe", "webhook"]

NAME = "byteplus"
# ark.ap-southeast.bytepluses.com, ark.cn-beijing.volces.com
_HOST = re.compile(r"ark(?:-[a-z]+)*\.([a-z]+-[a-z0-9-]+)\.(?:bytepluses|volces)\.com")
_PATH = re.compile(
    r"/(?:contents/generations/(?P<tasks>tasks)(?:/(?P<id>[^/]+))?"
    r"|(?P<images>images/generations)"
    r"|(?P<batch>batch/)?(?P<embed>embeddings)(?:/multimodal)?"
    r"|(?P<batched>batch/)?(?:chat/completions|responses(?:/[^/]+)?))/?$"
)
PATHS = re.compile(r"/contents/generations/tasks(?:/[^/]+)?/?$")  # under any host
_DIALECT = Dialect(asks_usage=True, owns_ids=True)


def describe(request: Request) -> Call | None:
    """Say what a request to Ark, or to a gateway with its tasks, asks for."""
    found = _PATH.search(request.path)
    if found is None:
        return None
    provider, place = _place(request.host)
    if found["tasks"]:
        return _task(request, provider, place, found["id"])
    if found["images"]:
        return _images(request, provider, place)
    return _text(request, provider, found)


@lru_cache(maxsize=256)
def _place(host: str) -> tuple[str, dict[str, str]]:
    """Return the provider's name and, as a dimension, the region that the host names."""
    known = _HOST.fullmatch(host)
    return (host, {}) if known is None else (NAME, {"region": known[1]})


def _task(
    request: Request, provider: str, place: dict[str, str], job_id: str | None
) -> Call | None:
    if request.method == "GET":
        return Call(provider, TASKS, dimensions=place, repeated=True, job_id=job_id)
    if request.method != "POST" or job_id is not None:
        return None
    usage, dimensions = describe_task(request.body)
    model = label(request.body.get("model"))
    facts = {**place, **dimensions}
    return Call(provider, TASKS, request_model=model, dimensions=facts, usage=usage)


def _images(request: Request, provider: str, place: dict[str, str]) -> Call | None:
    if request.method != "POST":
        return None
    return Call(
        provider,
        IMAGES,
        request_model=label(request.body.get("model")),
        streamed=request.body.get("stream") is True,
        dimensions={**place, **describe_images(request.body)},
    )


def _text(request: Request, provider: str, found: re.Match[str]) -> Call | None:
    path = "/embeddings" if found["embed"] else request.path
    call = describe_as(replace(request, path=path), provider, _DIALECT)
    if call is None or not (found["batch"] or found["batched"]):
        return call
    return replace(call, dimensions={**call.dimensions, "service_tier": "batch"})


def webhook(payload: Json) -> Call | None:
    """Recognise a callback of Ark's: it is the task, as a poll would have it."""
    job_id, stage = label(payload.get("id")), text(payload.get("status"))
    if job_id is None or stage not in STATES:
        return None
    return Call(NAME, TASKS, repeated=True, job_id=job_id)


ADAPTER = Adapter(NAME, describe, host_pattern=_HOST, webhook=webhook, paths=PATHS)
