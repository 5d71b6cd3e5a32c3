"""
Luma's Dream Machine: videos and images; a generation repeats its request, and has no usage.

Lengths are written ``5s``. A picture may be made at once, with ``sync``.
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
from tokenmeter.providers.google_content import objects
from tokenmeter.providers.google_usage import label, labels
from tokenmeter.providers.media import IMAGE, VIDEO, resolution, said, seconds, settle_job
from tokenmeter.usage import NOTHING, Number, Usage

__all__ = ["ADAPTER", "describe"]

PROVIDER = "luma"
HOSTS = ("api.lumalabs.ai",)
# Recognised under any host.
PATHS = re.compile(
    r"/dream-machine/v1(?:alpha)?/generations(?:/(?P<what>image|video)(?:/(?P<edit>reframe|modify))?"
    r"|/(?P<id>[^/]+)(?P<more>/upscale|/audio)?)?/?$"
)
_MODELS = {VIDEO: "ray-2", IMAGE: "photon-1"}
_SECONDS_DEFAULT = 5  # of a video; https://docs.lumalabs.ai/docs/video-generation
_RESOLUTION_DEFAULT = "720p"
_STATES: dict[str, State] = {"completed": "success", "failed": "failed"}
_UNSAFE = re.compile(r"moderat|polic|safety|nsfw|blocked|content", re.IGNORECASE)
_KINDS = {"image": IMAGE, "reframe_image": IMAGE}
_PICTURES = ("keyframes", "image_ref", "style_ref", "character_ref", "modify_image_ref")
# As long as what they are made from.
_AS_LONG = frozenset(
    {"modify", "reframe", "upscale", "audio", "upscale_video", "add_audio"}
    | {"modify_video", "reframe_video", "reframe_image"}
)


def describe(request: Request) -> Call | None:
    """Say what a request to Luma, or to a gateway with its paths, asks for."""
    known = request.host in HOSTS
    found = PATHS.search(request.path)
    if found is None:
        return None
    provider = PROVIDER if known else request.host
    job_id = None if found["more"] else label(found["id"])
    if request.method == "GET":
        return _poll(provider, job_id) if found["what"] is None else None
    if request.method != "POST" or job_id is not None:
        return None
    edit = found["edit"] or (found["more"] or "").strip("/")
    return _submit(provider, found["what"], edit, request.body)


def _submit(provider: str, what: str | None, edit: str, body: Json) -> Call:
    asked = text(body.get("generation_type")) or ""
    kind = IMAGE if what == "image" else _KINDS.get(asked, VIDEO)
    model = label(body.get("model")) or (None if edit else _MODELS[kind])
    usage, dimensions = _asked(kind, edit or asked, body)
    api = _api("generations" + (f".{edit}" if edit else ""), kind)
    return Call(provider, api, request_model=model, usage=usage, dimensions=dimensions)


def _asked(kind: str, operation: str, body: Json) -> tuple[Usage, dict[str, str]]:
    """Return what one output will be, and the facts that a price needs."""
    edited = operation in _AS_LONG
    given = "image" if kind == IMAGE else "video"
    pictured = any(body.get(name) for name in _PICTURES)
    facts = {
        "input_type": given if edited else "image" if pictured else "text",
        **({} if kind == IMAGE else {"resolution": _RESOLUTION_DEFAULT}),
        **said(resolution=resolution(body.get("resolution"))),
        **labels(aspect_ratio=body.get("aspect_ratio"), mode=body.get("mode")),
    }
    if kind == IMAGE:
        return Usage(image_count=1), facts
    length = None if edited else _length(body)
    return NOTHING if length is None else Usage(video_seconds=length), facts


def _length(body: Json) -> Number | None:
    value = body.get("duration")
    return _SECONDS_DEFAULT if value is None else seconds(value)


def _poll(provider: str, job_id: str | None) -> Call:
    return Call(provider, _api("generations", VIDEO), repeated=True, job_id=job_id)


def read_generation(payload: Json) -> Reading:
    """Read a generation, or a page of them."""
    listed = payload.get("generations")
    if isinstance(listed, list):
        return Reading(state="pending", jobs=tuple(_read_one(job) for job in objects(listed)))
    return _read_one(payload)


def _read_one(payload: Json) -> Reading:
    job_id, stage = label(payload.get("id")), text(payload.get("state"))
    if job_id is None:
        return Reading(error_type="refused" if "detail" in payload else None)
    reading = Reading(
        response_id=job_id,
        model=label(payload.get("model")),
        state=_STATES.get((stage or "").lower(), "pending"),
        created=text(payload.get("created_at")),
    )
    if reading.state == "failed":
        why = text(payload.get("failure_reason")) or ""
        return replace(reading, error_type="filtered" if _UNSAFE.search(why) else "failed")
    return _with_assets(reading, payload) if reading.state == "success" else reading


def _with_assets(reading: Reading, payload: Json) -> Reading:
    """Count what is there; the request that is repeated says how long and how large."""
    kind = _made(payload)
    if kind is None:
        return replace(reading, state="failed", error_type="no_output")
    asked = mapping(payload.get("request"))
    operation = text(asked.get("generation_type")) or ""
    usage, facts = _asked(kind, operation, asked) if asked else (NOTHING, {})
    numbers: dict[str, Number] = {"output_count": 1, **usage}
    numbers |= {"image_count": 1} if kind == IMAGE else {"video_count": 1, "video_jobs": 1}
    unsaid = kind == VIDEO and "video_seconds" not in usage  # until the submit tells
    return replace(
        reading,
        usage=Usage(numbers),
        event_name=kind,
        dimensions=facts,
        flags=frozenset({"counted", "missing:video_seconds"} if unsaid else {"counted"}),
    )


def _made(payload: Json) -> str | None:
    assets = mapping(payload.get("assets"))
    named = ((VIDEO, "video"), (IMAGE, "image"))
    return next((kind for kind, name in named if text(assets.get(name))), None)


def settle(reading: Reading, call: Call) -> Reading:
    """Settle the generation; what it does not repeat, the submit knows."""
    if call.repeated and reading.jobs:
        return reading
    settled = settle_job(reading, call)
    known = {f"missing:{metric}" for metric in settled.usage}
    return replace(settled, flags=settled.flags - known)


@lru_cache(maxsize=16)
def _api(operation: str, kind: str) -> Api:
    return Api(operation, kind, read_generation, settle, owns_ids=True)


def webhook(payload: Json) -> Call | None:
    """Recognise a callback of Luma's: the generation as it is by then."""
    job_id = label(payload.get("id"))
    known = text(payload.get("state")) is not None and "assets" in payload
    failed = payload.get("state") == "failed"
    return _poll(PROVIDER, job_id) if job_id is not None and (known or failed) else None


ADAPTER = Adapter(PROVIDER, describe, hosts=HOSTS, paths=PATHS, webhook=webhook)
