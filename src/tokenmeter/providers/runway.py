"""
Runway: tasks of many models, its own and others'; every task ends with what it cost.

Length, frame and sound are in the request alone. A task that failed may keep a part of its
price: the credits are billed, not the state.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import lru_cache

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
from tokenmeter.providers.google_usage import label
from tokenmeter.providers.media import (
    IMAGE,
    OTHER,
    VIDEO,
    amount,
    error_code,
    links,
    must_have,
    resolution,
    said,
    seconds,
    settle_job,
    size,
)
from tokenmeter.providers.media_kinds import AUDIO, kind_of_file
from tokenmeter.providers.runway_requests import describe_body
from tokenmeter.usage import NOTHING, Number, Usage

__all__ = ["ADAPTER", "describe"]

PROVIDER = "runway"
HOSTS = ("api.dev.runwayml.com", "api.runwayml.com")
KINDS = {
    **dict.fromkeys(("image_to_video", "text_to_video", "video_to_video"), VIDEO),
    **dict.fromkeys(("character_performance", "avatar_videos", "video_upscale"), VIDEO),
    **dict.fromkeys(("video_to_hdr",), VIDEO),
    **dict.fromkeys(("text_to_image", "image_upscale"), IMAGE),
    **dict.fromkeys(("text_to_speech", "sound_effect", "speech_to_speech"), AUDIO),
    **dict.fromkeys(("voice_dubbing", "voice_isolation", "video_to_audio"), AUDIO),
}
_PATH = re.compile(
    r"/v1/(?:(?P<place>[a-z_]+)|recipes/(?P<recipe>[a-z_]+)|workflows/(?P<workflow>[^/]+)"
    r"|generate/(?P<routed>video|image|audio)"
    r"|(?:tasks|workflow_invocations)/(?P<id>[^/]+))/?$"
)
_ROUTED = {"video": VIDEO, "image": IMAGE, "audio": AUDIO}  # by the router, to some model
_STATES: dict[str, State] = {
    "PENDING": "pending",
    "THROTTLED": "pending",
    "RUNNING": "pending",
    "SUCCEEDED": "success",
    "FAILED": "failed",
    "CANCELLED": "failed",
    "CANCELED": "failed",
}


def describe(request: Request) -> Call | None:
    """Say what a request to Runway asks for; None for what makes nothing."""
    found = _PATH.search(request.path)
    if found is None:
        return None
    if found["id"]:
        return _poll(label(found["id"])) if request.method == "GET" else None
    if found["routed"]:
        return _routed(request, found["routed"])
    place = found["place"] or found["recipe"] or "workflows"
    kind = KINDS.get(place) if found["place"] else _kind_of_recipe(found["recipe"])
    if request.method != "POST" or kind is None:
        return None
    usage, dimensions = describe_body(place, kind, request.body)
    return Call(
        PROVIDER,
        _api(place, kind),
        request_model=label(request.body.get("model")),
        usage=usage,
        dimensions=dimensions,
    )


def _routed(request: Request, what: str) -> Call | None:
    """Describe a task whose model the router chooses; the answer names it."""
    if request.method != "POST":
        return None
    place, kind = f"generate.{what}", _ROUTED[what]
    usage, dimensions = describe_body(place, kind, mapping(request.body.get("input")))
    return Call(PROVIDER, _api(place, kind), usage=usage, dimensions=dimensions)


def _kind_of_recipe(recipe: str | None) -> str:
    """``product_campaign_image`` makes images, ``multi_shot_video`` videos; a workflow, any."""
    if recipe is None:
        return OTHER
    return IMAGE if recipe.endswith("image") else VIDEO


def _poll(job_id: str | None) -> Call:
    return Call(PROVIDER, _api("tasks", VIDEO), repeated=True, job_id=job_id)


def read_task(payload: Json) -> Reading:
    """Read the answer to a submit (its id, the most it may cost), or to a poll."""
    job_id, stage = label(payload.get("id")), (text(payload.get("status")) or "").upper()
    if job_id is None and not stage:
        return Reading(error_type="refused" if "error" in payload else None)
    reading = Reading(
        response_id=job_id,
        state=_STATES.get(stage, "pending"),
        created=text(payload.get("createdAt")),
        dimensions=_charges(payload),
    )
    if "routing" in payload:
        reading = _chosen(reading, mapping(payload["routing"]))
    match reading.state:
        case "failed":
            code = error_code(payload.get("failureCode"))
            return replace(reading, error_type=code or stage.lower())
        case "success":
            return _with_outputs(reading, payload.get("output"))
        case _:
            return reading


def _chosen(reading: Reading, routing: Json) -> Reading:
    """Add what the router chose: the model, and what the request had left open."""
    resolved = mapping(routing.get("resolvedInput"))
    length = seconds(resolved.get("duration"))
    frame = said(
        size=size(resolved.get("ratio")), resolution=resolution(resolved.get("resolution"))
    )
    return replace(
        reading,
        model=label(routing.get("model")),
        usage=NOTHING if length is None else Usage(video_seconds=length),
        dimensions={**reading.dimensions, **frame, **_charges(routing)},
    )


def _charges(payload: Json) -> dict[str, str]:
    return said(
        provider_credits=amount(mapping(payload.get("cost")).get("credits")),
        estimated_credits=amount(mapping(payload.get("estimatedCost")).get("credits")),
    )


def _with_outputs(reading: Reading, output: object) -> Reading:
    """Count what was delivered; a workflow's outputs stand under its nodes."""
    found = list(output.values()) if isinstance(output, dict) else [output]
    lists = [places for places in found if isinstance(places, list)]
    made = sum(links(places) for places in lists)
    if not made:
        return replace(reading, state="failed", error_type="no_output")
    kinds = [kind_of_file(place) for places in lists for place in places if text(place)]
    kind = next((kind for kind in (VIDEO, IMAGE, AUDIO) if kind in kinds), None)
    numbers: dict[str, Number] = {"output_count": made}
    if kind == IMAGE:
        numbers["image_count"] = made
    if kind == VIDEO:
        numbers |= {"video_count": made, "video_jobs": 1}
    return replace(reading, usage=Usage(numbers), event_name=kind, flags=frozenset({"counted"}))


def settle(reading: Reading, call: Call) -> Reading:
    """Settle the task; the seconds of a video come from the request."""
    settled = settle_job(reading, call)
    if settled.state == "pending" and call.api.event_name == VIDEO:
        settled = replace(settled, usage=reading.usage | call.usage)
    made = settled.event_name or call.api.event_name
    return must_have(settled, "video_seconds") if made == VIDEO else settled


@lru_cache(maxsize=64)
def _api(operation: str, kind: str) -> Api:
    return Api(operation, kind, read_task, settle, owns_ids=True)


def webhook(payload: Json) -> Call | None:
    """Recognise the body of a task."""
    job_id = label(payload.get("id"))
    known = text(payload.get("status")) in _STATES
    return _poll(job_id) if job_id is not None and known else None


ADAPTER = Adapter(PROVIDER, describe, hosts=HOSTS, webhook=webhook)
