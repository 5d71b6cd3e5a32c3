"""What a request to a model on fal asks for: models differ, but most name things alike."""

from __future__ import annotations

from tokenmeter.providers.base import Json, mapping, text
from tokenmeter.providers.google_usage import label, labels
from tokenmeter.providers.media import (
    IMAGE,
    VIDEO,
    amount,
    resolution,
    said,
    seconds,
    size,
    truth,
    whole,
)
from tokenmeter.usage import NOTHING, Number, Usage

# https://docs.fal.ai: presets of `image_size`.
SIZES = {
    "square_hd": "1024x1024",
    "square": "512x512",
    "portrait_4_3": "768x1024",
    "portrait_16_9": "576x1024",
    "landscape_4_3": "1024x768",
    "landscape_16_9": "1024x576",
}
_LENGTHS = ("duration", "duration_seconds", "num_seconds", "seconds")
_SOUND = ("generate_audio", "enable_audio", "with_audio", "audio")
_VIDEOS = ("video_url", "video_urls", "input_video_url", "reference_video_urls")
_IMAGES = (
    *("image_url", "image_urls", "input_image_url", "input_image_urls", "reference_image_urls"),
    *("start_image_url", "end_image_url", "first_frame_url", "last_frame_url", "tail_image_url"),
)


def describe_body(kind: str, model: str, body: Json) -> tuple[Usage, dict[str, str]]:
    """Return what one output will be, and the facts that a price needs."""
    sounds = (truth(body.get(name)) for name in _SOUND)
    count = whole(body.get("num_images") or body.get("n"))
    facts = {
        "input_type": _input_type(model, body),
        **labels(
            mode=body.get("mode"),
            quality=body.get("quality"),
            aspect_ratio=body.get("aspect_ratio"),
        ),
        **said(
            size=_size(body.get("image_size")),
            resolution=_resolution(kind, body.get("resolution")),
            generate_audio=next(filter(None, sounds), None),
            fps=amount(body.get("frames_per_second") or body.get("fps")),
            n=str(count) if count else None,
        ),
    }
    return _one_output(kind, body), facts


def _input_type(model: str, body: Json) -> str:
    if any(body.get(name) for name in _VIDEOS) or "video-to-" in model:
        return "video"
    return "image" if "image-to" in model or any(body.get(name) for name in _IMAGES) else "text"


def _size(value: object) -> str | None:
    """A preset, or width and height; a name that is none of them is kept: ``auto``."""
    asked = mapping(value)
    width, height = whole(asked.get("width")), whole(asked.get("height"))
    if width and height:
        return f"{width}x{height}"
    name = text(value)
    return size(name) or SIZES.get(name or "") or label(name)


def _resolution(kind: str, value: object) -> str | None:
    """``4K`` is one thing of a picture and another of a video; both are written ``4k``."""
    if kind == VIDEO:
        return resolution(value)
    name = label(value)
    return None if name is None else name.lower()


def _one_output(kind: str, body: Json) -> Usage:
    if kind == IMAGE:
        return Usage(image_count=1)
    lengths = [seconds(body.get(name)) for name in _LENGTHS if kind == VIDEO]
    known = next((length for length in lengths if length is not None), _framed(kind, body))
    return NOTHING if known is None else Usage(video_seconds=known)


def _framed(kind: str, body: Json) -> Number | None:
    """Return the length of so many frames at so many a second: 121 at 24 are 5.0417."""
    frames = whole(body.get("num_frames")) if kind == VIDEO else None
    rate = whole(body.get("frames_per_second") or body.get("fps"))
    return seconds(round(frames / rate, 4)) if frames and rate else None
