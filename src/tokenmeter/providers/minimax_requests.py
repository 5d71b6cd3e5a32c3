"""What a request to MiniMax asks for: length, resolution, what it is made from."""

from __future__ import annotations

import re

from tokenmeter.providers.base import Json, text
from tokenmeter.providers.google_content import objects
from tokenmeter.providers.google_usage import labels
from tokenmeter.providers.media import resolution, said, seconds, whole
from tokenmeter.usage import NOTHING, Usage

# Lengths of requests that name none, by the version of the API.
SECONDS_DEFAULT = {1: 6, 2: 5}
_RESOLUTION_DEFAULT = "768p"
_EARLY = re.compile(r"(?:[TIS]2V-01|video-01)", re.IGNORECASE)  # 720p is all that they make
_RESOLUTION_EARLY = "720p"
_PICTURES = ("first_frame_image", "last_frame_image", "subject_reference")


def describe_video(body: Json, model: str, *, version: int) -> tuple[Usage, dict[str, str]]:
    """Return the seconds of one video, and the facts that a price needs."""
    types = {text(item.get("type")) for item in objects(body.get("content"))}
    pictured = "image_url" in types or any(body.get(name) for name in _PICTURES)
    early = _EARLY.match(model) is not None
    facts = {
        "resolution": _RESOLUTION_EARLY if early else _RESOLUTION_DEFAULT,
        "input_type": "video" if "video_url" in types else "image" if pictured else "text",
        **said(resolution=resolution(body.get("resolution"))),
        **labels(aspect_ratio=body.get("ratio") or body.get("aspect_ratio")),
    }
    value = body.get("duration")
    length = SECONDS_DEFAULT[version] if value is None else seconds(value)
    if length is None or body.get("task_id"):  # a regeneration is as long as it was
        return NOTHING, facts
    return Usage(video_seconds=length), facts


def describe_image(body: Json) -> dict[str, str]:
    """Return the facts of a request for images."""
    width, height = whole(body.get("width")), whole(body.get("height"))
    return {
        "input_type": "image" if body.get("subject_reference") else "text",
        **said(
            size=f"{width}x{height}" if width and height else None,
            n=str(whole(body.get("n")) or 1),
        ),
        **labels(aspect_ratio=body.get("aspect_ratio")),
    }


def describe_speech(body: Json) -> tuple[Usage, dict[str, str]]:
    """Return the characters that are to be spoken."""
    spoken = text(body.get("text"))
    return (NOTHING if spoken is None else Usage(characters=len(spoken))), {}
