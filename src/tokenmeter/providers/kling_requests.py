"""
What a request to Kling asks for: endpoints, their defaults, and the facts that a price needs.

Two surfaces. The old one names the model in the body and the quality by `mode`; on the new
one the model stands in the path and the quality is a resolution. Events carry both words:
``std`` is 720p, ``pro`` is 1080p (klingai.com/document-api, billing).
"""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from tokenmeter.providers.base import Json, mapping, text
from tokenmeter.providers.google_content import objects
from tokenmeter.providers.google_usage import label, labels
from tokenmeter.providers.media import IMAGE, OTHER, VIDEO, plain, seconds, whole
from tokenmeter.usage import NOTHING, Usage

AUDIO = "audio_generated"
SECONDS_DEFAULT = 5
SERIES_MAX = 9  # images
NEAR = Decimal("0.25")  # a length this close to a whole second is billed as that second
_RESOLUTIONS = {"std": "720p", "pro": "1080p", "4k": "4k"}
_MODES = {resolution: mode for mode, resolution in _RESOLUTIONS.items()}
_SPEAKS = "kling-3.0-turbo"  # always with sound; it has no parameter for it


class Endpoint(NamedTuple):
    """One place of the old surface: ``/v1/`` and its key in ENDPOINTS."""

    event_name: str
    model: str | None = None  # of a request that names none
    timed: bool = False  # the request says how long the video will be
    input_type: str = "text"


ENDPOINTS: dict[str, Endpoint] = {
    "videos/text2video": Endpoint(VIDEO, "kling-v1", timed=True),
    "videos/image2video": Endpoint(VIDEO, "kling-v1", timed=True, input_type="image"),
    "videos/multi-image2video": Endpoint(VIDEO, "kling-v1-6", timed=True, input_type="image"),
    "videos/omni-video": Endpoint(VIDEO, "kling-video-o1", timed=True),
    "videos/multi-elements": Endpoint(VIDEO, "kling-v1-6", timed=True, input_type="video"),
    "videos/effects": Endpoint(VIDEO, None, timed=True, input_type="image"),
    "videos/motion-control": Endpoint(VIDEO, "kling-v2-6", input_type="video"),
    "videos/video-extend": Endpoint(VIDEO, None, input_type="video"),
    "videos/lip-sync": Endpoint(VIDEO, None, input_type="video"),
    "videos/advanced-lip-sync": Endpoint(VIDEO, None, input_type="video"),
    "videos/avatar/image2video": Endpoint(VIDEO, None, input_type="image"),
    "images/generations": Endpoint(IMAGE, "kling-v3"),
    "images/omni-image": Endpoint(IMAGE, "kling-image-o1"),
    "images/multi-image2image": Endpoint(IMAGE, "kling-v2", input_type="image"),
    "images/editing/expand": Endpoint(IMAGE, None, input_type="image"),
    "images/kolors-virtual-try-on": Endpoint(
        IMAGE, "kolors-virtual-try-on-v1", input_type="image"
    ),
    "general/ai-multi-shot": Endpoint(IMAGE, None, input_type="image"),
    "audio/text-to-audio": Endpoint(AUDIO, None, timed=True),
    "audio/video-to-audio": Endpoint(AUDIO, None, input_type="video"),
    "audio/tts": Endpoint(AUDIO),
    "general/custom-elements": Endpoint(OTHER),
    "general/advanced-custom-elements": Endpoint(OTHER),
    "general/custom-voices": Endpoint(OTHER),
    "videos/image-recognize": Endpoint(OTHER),
    "videos/identify-face": Endpoint(OTHER),
    "videos/multi-elements/init-selection": Endpoint(OTHER),
    "videos/multi-elements/add-selection": Endpoint(OTHER),
    "videos/multi-elements/delete-selection": Endpoint(OTHER),
    "videos/multi-elements/clear-selection": Endpoint(OTHER),
    "videos/multi-elements/preview-selection": Endpoint(OTHER),
}


class Asked(NamedTuple):
    """What one submit asks for; usage is that of one output."""

    model: str | None
    dimensions: dict[str, str]
    usage: Usage = NOTHING


def describe_old(endpoint: Endpoint, body: Json) -> Asked:
    """Describe a submit on the old surface."""
    fields = {**mapping(body.get("input")), **body}  # effects and lip-sync nest theirs
    model = label(fields.get("model_name")) or endpoint.model
    if endpoint.event_name == VIDEO:
        return _old_video(endpoint, fields, model)
    if endpoint.event_name == IMAGE:
        return Asked(model, _image(endpoint, fields))
    if endpoint.event_name == AUDIO:
        return Asked(model, {"input_type": endpoint.input_type}, _sound(fields))
    return Asked(model, {})


def _old_video(endpoint: Endpoint, fields: Json, model: str | None) -> Asked:
    mode = label(fields.get("mode")) or "std"
    clips = list(objects(fields.get("video_list")))
    spoken = fields.get("sound") == "on" or model == _SPEAKS
    dimensions = {
        "mode": mode,
        "resolution": _RESOLUTIONS.get(mode, "720p"),
        "input_type": "video" if clips else _old_input(endpoint, fields),
        "generate_audio": str(spoken).lower(),
        **labels(aspect_ratio=fields.get("aspect_ratio"), effect=fields.get("effect_scene")),
    }
    edited = any(clip.get("refer_type", "base") == "base" for clip in clips)
    timed = endpoint.timed and not edited  # an edited video is as long as it was
    return Asked(model, dimensions, _seconds(fields) if timed else NOTHING)


def _old_input(endpoint: Endpoint, fields: Json) -> str:
    pictures = fields.get("image_list") or fields.get("element_list")
    return "image" if pictures and endpoint.input_type == "text" else endpoint.input_type


def describe_image(operation: str, model: str | None, body: Json) -> Asked:
    """Describe a submit for images on the new surface."""
    kind = "text" if operation.startswith("text-") else "image"
    endpoint = Endpoint(IMAGE, None, input_type=kind if not _kinds(body) else "image")
    return Asked(model, _image(endpoint, _settings(body)))


def _settings(body: Json) -> Json:
    """Return what is set; some endpoints take it beside the contents, without an envelope."""
    return {**body, **mapping(body.get("settings"))}


def describe_video(operation: str, model: str | None, body: Json) -> Asked:
    """Describe a submit for a video on the new surface: ``POST /omni-video/kling-3.0-omni``."""
    settings, kinds = _settings(body), _kinds(body)
    resolution = (label(settings.get("resolution")) or "720p").lower()
    dimensions = {
        "mode": _MODES.get(resolution, "std"),
        "resolution": resolution,
        "input_type": _input_type(kinds, operation),
        "generate_audio": str(_speaks(settings, model)).lower(),
        **labels(aspect_ratio=settings.get("aspect_ratio")),
    }
    # A video that is edited or moves another is as long as the one it was made from.
    timed = operation != "motion-control" and not kinds & {"base_video", "source_video"}
    return Asked(model, dimensions, _seconds(settings) if timed else NOTHING)


def _speaks(settings: Json, model: str | None) -> bool:
    """`original` keeps the sound of a video that was given; nothing is generated."""
    return settings.get("audio") == "native" or model == _SPEAKS


def _kinds(body: Json) -> set[str]:
    kinds = (text(item.get("type")) for item in objects(body.get("contents")))
    return {kind for kind in kinds if kind is not None} - {"prompt", "text"}


def _input_type(kinds: set[str], operation: str) -> str:
    if any("video" in kind for kind in kinds):
        return "video"
    return "image" if kinds or operation.startswith("image-") else "text"


def _image(endpoint: Endpoint, fields: Json) -> dict[str, str]:
    pictures = (fields.get(name) for name in ("image", "image_list", "subject_image_list"))
    kind = "image" if any(pictures) else endpoint.input_type
    tier = (label(fields.get("resolution")) or "1k").upper()
    return {
        "kind": "image",
        "resolution": tier,
        "input_type": kind,
        **_how_many(fields),
        **labels(aspect_ratio=fields.get("aspect_ratio"), result_type=fields.get("result_type")),
    }


def _how_many(fields: Json) -> dict[str, str]:
    """Return how many images are asked for; of a series the model may choose it."""
    if fields.get("result_type") != "series":
        return {"n": str(whole(fields.get("n")) or 1)}
    amount = whole(fields.get("series_amount"))
    return {"n": str(amount)} if amount else {"n": str(SERIES_MAX), "sequential": "true"}


def _sound(fields: Json) -> Usage:
    spoken = text(fields.get("text"))
    if spoken is not None:
        return Usage(characters=len(spoken))
    length = seconds(fields.get("duration"))
    return NOTHING if length is None else Usage(audio_seconds=length)


def _seconds(fields: Json) -> Usage:
    """Return the length of one video; it is 5, "5", or 5 if nothing is said."""
    value = fields.get("duration")
    length = SECONDS_DEFAULT if value is None else seconds(value)
    if length is None:
        return NOTHING
    return Usage(video_seconds=plain(billed_seconds(Decimal(length))))


def billed_seconds(length: Decimal) -> Decimal:
    """Return the length that is billed: 5.041 is 5, whoever writes it."""
    near = length.to_integral_value()
    return near if near and abs(length - near) <= NEAR else length
