"""
World Labs (Marble): worlds, panoramas and exports, each a long-running operation.

An operation says what it cost in credits once it is done. Draft is a model, not a parameter;
events say it as `quality` too. The API writes ``multi-image`` where events say ``multi_image``.
"""

from __future__ import annotations

import re
from dataclasses import replace

from tokenmeter.providers.base import (
    Adapter,
    Api,
    Call,
    Json,
    Reading,
    Request,
    mapping,
    text,
)
from tokenmeter.providers.google_usage import label
from tokenmeter.providers.media import (
    IMAGE,
    OTHER,
    WORLD,
    amount,
    error_code,
    said,
    settle_job,
)
from tokenmeter.usage import Usage

__all__ = ["ADAPTER", "describe"]

PROVIDER = "marble"
HOSTS = ("api.worldlabs.ai",)
# Recognised under any host.
PATHS = re.compile(
    r"/marble/v1/(?:worlds:(?P<world>generate)|pano:(?P<pano>depth_to_rgb)"
    r"|worlds/[^/:]+:(?P<export>export)|operations/(?P<id>[^/]+))$"
)
MODEL_DEFAULT = "marble-1.1"
_DRAFT = re.compile(r"-draft$|0\.1-mini$")
# What the API calls an input -> our words for it, fine and coarse.
_INPUTS = {
    "text": ("text", "text"),
    "image": ("image", "image"),
    "multi-image": ("multi_image", "image"),
    "video": ("video", "video"),
    "depth-pano": ("pano_image", "image"),
    "inpaint-pano": ("pano_image", "image"),
}


def describe(request: Request) -> Call | None:
    """Say what a request to World Labs, or to a gateway with its paths, asks for."""
    found = PATHS.search(request.path)
    if found is None:
        return None
    provider = PROVIDER if request.host in HOSTS else request.host
    if found["id"]:
        return _poll(provider, found["id"]) if request.method == "GET" else None
    if request.method != "POST":
        return None
    if found["world"]:
        return _world(provider, request.body)
    return Call(provider, PANORAMAS if found["pano"] else EXPORTS)


def _world(provider: str, body: Json) -> Call:
    model = label(body.get("model")) or MODEL_DEFAULT
    dimensions = {**_inputs({"type": "text"}), **_inputs(body.get("world_prompt"))}
    return Call(
        provider,
        WORLDS,
        request_model=model,
        dimensions={"quality": _quality(model), **dimensions},
    )


def _quality(model: str) -> str:
    return "draft" if _DRAFT.search(model) else "standard"


def _inputs(prompt: object) -> dict[str, str]:
    """Return what a world is made from; ``is_pano: "auto"`` is not known before the end."""
    fields = mapping(prompt)
    fine, coarse = _INPUTS.get(text(fields.get("type")) or "", (None, None))
    if fields.get("is_pano") in (True, "true"):
        fine = "pano_image"
    return said(input_mode=fine, input_type=coarse)


def _poll(provider: str, job_id: str) -> Call:
    return Call(provider, WORLDS, repeated=True, job_id=job_id)


def describe_webhook(payload: Json) -> Call | None:
    """Recognise the body of an operation."""
    job_id = label(payload.get("operation_id"))
    return None if job_id is None else _poll(PROVIDER, job_id)


def read_operation(payload: Json) -> Reading:
    """Read an operation: it goes on, it failed, or it made something that cost credits."""
    reading = Reading(
        response_id=label(payload.get("operation_id")),
        created=text(payload.get("updated_at")) or text(payload.get("created_at")),
    )
    error = payload.get("error")
    if error:
        code = error_code(mapping(error).get("code"))
        return replace(reading, state="failed", error_type=code or "error")
    if payload.get("done") is not True:
        return reading if reading.response_id is None else replace(reading, state="pending")
    made = _made(mapping(payload.get("response")))
    if made is None:
        return replace(reading, state="failed", error_type="no_output")
    charged = amount(mapping(payload.get("cost")).get("total_credits"))
    return replace(reading, state="success", dimensions=said(provider_credits=charged)) | made


def _made(response: Json) -> Reading | None:
    """Tell a world from a panorama and from an export; None if nothing is there."""
    if text(response.get("world_id")):
        model = label(response.get("model"))
        quality = {} if model is None else {"quality": _quality(model)}
        return Reading(
            usage=Usage(world_count=1, output_count=1),
            model=model,
            dimensions={**quality, **_inputs(response.get("world_prompt"))},
        )
    if text(response.get("pano_url")):
        return Reading(usage=Usage(image_count=1, output_count=1), event_name=IMAGE)
    if text(response.get("url")):
        return Reading(usage=Usage(output_count=1), event_name=OTHER)
    return None


WORLDS = Api("worlds.generate", WORLD, read_operation, settle_job, owns_ids=True)
PANORAMAS = Api("pano.depth_to_rgb", IMAGE, read_operation, settle_job, owns_ids=True)
EXPORTS = Api("worlds.export", OTHER, read_operation, settle_job, owns_ids=True)
ADAPTER = Adapter(PROVIDER, describe, hosts=HOSTS, paths=PATHS, webhook=describe_webhook)
