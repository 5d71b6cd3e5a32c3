"""
MiniMax: H3 videos by the second (V2), Hailuo videos (V1), images, speech, music.

V2 wraps a task in ``task`` and reports seconds; V1 says ``Success`` and no more than the frame,
so the length is kept from the submit. A refusal of V1 is an HTTP 200 with a code in
`base_resp`; of a poll only 1026 and 1027 (filtered) are the end of the job.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import lru_cache
from urllib.parse import unquote

from tokenmeter.providers.anthropic import describe_messages
from tokenmeter.providers.base import Adapter, Api, Call, Json, Reading, Request, State, text
from tokenmeter.providers.compatible import ASKS
from tokenmeter.providers.google_usage import label
from tokenmeter.providers.media import IMAGE, VIDEO, must_have, settle_job
from tokenmeter.providers.media_kinds import AUDIO
from tokenmeter.providers.minimax_requests import describe_image, describe_speech, describe_video
from tokenmeter.providers.minimax_tasks import STATES, named, read_answer
from tokenmeter.providers.openai_routes import describe_as
from tokenmeter.providers.openai_wire import PLAIN
from tokenmeter.usage import NOTHING

__all__ = ["ADAPTER", "describe"]

PROVIDER = "minimax"
HOSTS = ("api.minimax.io", "api.minimaxi.com", "api.minimaxi.chat", "api.minimax.chat")
_CHINA = frozenset({"api.minimaxi.com", "api.minimax.chat"})  # bills in CNY
# Recognised under any host.
PATHS = re.compile(
    r"/v(?P<version>[12])/(?:(?P<video>video_generation|video_regeneration)"
    r"|(?P<query>query/video_generation)(?:/(?P<id>[^/]+))?)/?$"
)
_OWN = re.compile(r"/v1/(?P<what>image_generation|t2a_v2|t2a_async_v2|music_generation)/?$")
_ID = re.compile(r"(?:^|&)task_id=([^&]+)")
_CLAUDE_PATH, _CHAT_PATH = "/v1/messages", "/v1/text/chatcompletion_v2"


def describe(request: Request) -> Call | None:
    """Say what a request to MiniMax, or to a gateway with its paths, asks for."""
    known = request.host in HOSTS
    provider = PROVIDER if known else request.host
    found = PATHS.search(request.path)
    call = _describe_video(request, provider, found) if found else None
    if known and found is None:
        call = _describe_own(request)
    if call is None or not known:
        return call
    region = "cn" if request.host in _CHINA else "global"
    return replace(call, dimensions={**call.dimensions, "region": region})


def _describe_video(request: Request, provider: str, found: re.Match[str]) -> Call | None:
    if found["query"]:
        return _describe_poll(request, provider, found["id"])
    if request.method != "POST":
        return None
    model = label(request.body.get("model"))
    usage, dimensions = describe_video(request.body, model or "", version=int(found["version"]))
    operation = found["video"] if found["version"] == "1" else f"v2.{found['video']}"
    api = _api(operation, VIDEO)
    return Call(provider, api, request_model=model, usage=usage, dimensions=dimensions)


def _describe_poll(request: Request, provider: str, in_path: str | None) -> Call | None:
    """V2 names the task in its path, V1 in the query; without either it is a list (V2)."""
    if request.method != "GET":
        return None
    queried = _ID.search(request.query)
    job_id = in_path or (queried[1] if queried else None)
    return _poll(provider, None if job_id is None else label(unquote(job_id)))


def _poll(provider: str, job_id: str | None) -> Call:
    return Call(provider, _api("video_generation", VIDEO), repeated=True, job_id=job_id)


def _describe_own(request: Request) -> Call | None:
    """Images and sounds, which come at once; chat in OpenAI's or Anthropic's format."""
    found = _OWN.search(request.path)
    if found is None and request.path.endswith(_CLAUDE_PATH):
        return describe_messages(request, PROVIDER)
    if found is None and request.path.endswith(_CHAT_PATH):
        return describe_as(replace(request, path="/v1/chat/completions"), PROVIDER, PLAIN)
    if found is None:
        return describe_as(request, PROVIDER, ASKS)
    if request.method != "POST":
        return None
    draws = found["what"] == "image_generation"
    usage, facts = (
        (NOTHING, describe_image(request.body)) if draws else describe_speech(request.body)
    )
    return Call(
        PROVIDER,
        _api(found["what"], IMAGE if draws else AUDIO),
        request_model=label(request.body.get("model")),
        streamed=request.body.get("stream") is True,
        usage=usage,
        dimensions=facts,
    )


def settle(reading: Reading, call: Call) -> Reading:
    """Settle the task; a poll that was refused for another reason says nothing of it."""
    refused = reading.raw.get("refused")
    if refused is not None:
        state: State | None = "pending" if call.repeated and refused != "filtered" else "failed"
        reading = replace(reading, state=state, raw={})
    if reading.jobs:
        return reading
    settled = settle_job(reading, call)
    made = settled.event_name or call.api.event_name
    return must_have(settled, "video_seconds") if made == VIDEO else settled


_NEEDLES = (b'"extra_info"', b'"base_resp"', b'"error"')


@lru_cache(maxsize=16)
def _api(operation: str, kind: str) -> Api:
    return Api(operation, kind, read_answer, settle, needles=_NEEDLES, owns_ids=kind == VIDEO)


def webhook(payload: Json) -> Call | None:
    """Recognise a callback of either version: a task, or its id and a word for its state."""
    job_id, stage = named(payload)
    if job_id is None or (stage or "").lower() not in STATES:
        return None
    return _poll(PROVIDER, job_id) if _is_callback(payload) else None


def _is_callback(payload: Json) -> bool:
    return "task" in payload or text(payload.get("task_id")) is not None


ADAPTER = Adapter(PROVIDER, describe, hosts=HOSTS, paths=PATHS, webhook=webhook)
