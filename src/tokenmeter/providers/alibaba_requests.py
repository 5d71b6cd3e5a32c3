"""What a request to DashScope asks for: length, resolution, sound, by the documented defaults."""

from __future__ import annotations

import re
from collections.abc import Iterable

from tokenmeter.providers.base import Json, mapping, text
from tokenmeter.providers.google_usage import labels
from tokenmeter.providers.media import resolution, said, seconds, size, truth
from tokenmeter.usage import NOTHING, Number, Usage

SECONDS_DEFAULT = 5
# https://www.alibabacloud.com/help/en/model-studio: 1080P, except for the early models.
_RESOLUTION_DEFAULT = "1080p"
_EARLY = re.compile(r"wanx?2\.1|wan2\.2-\w+-flash")
_RESOLUTION_EARLY = "720p"
# Made to a length of their own; the others (edits, avatars) are as long as what they are given.
_TIMED = re.compile(r"[tirk](?:f)?2v|video(?:-prime)?$")
_VIDEOS = frozenset({"video", "reference_video", "first_clip"})  # types in `input.media`
_VIDEO_FIELDS = ("video_url", "reference_video_urls", "reference_url")
_IMAGE_FIELDS = (
    "img_url",
    "image_url",
    "first_frame_url",
    "last_frame_url",
    "head_frame",
    "tail_frame",
    "reference_urls",
    "ref_images_url",
    "images",
    "base_image_url",
)


def describe_video(body: Json, model: str) -> tuple[Usage, dict[str, str]]:
    """
    Return the seconds of one video, and the facts that a price needs.

    The seconds of a video that is given are billed too, and only the answer knows them.
    """
    asked, given = mapping(body.get("parameters")), mapping(body.get("input"))
    measured = text(asked.get("size"))
    dimensions = {
        "resolution": _RESOLUTION_EARLY if _EARLY.match(model) else _RESOLUTION_DEFAULT,
        "input_type": _input_type(given),
        **said(
            resolution=resolution(asked.get("resolution") or measured),
            size=size(measured),
            generate_audio=truth(asked.get("audio")),
        ),
        **labels(aspect_ratio=asked.get("ratio"), mode=asked.get("mode")),
    }
    length = _asked_seconds(asked, model)
    if length is None or dimensions["input_type"] == "video":
        return NOTHING, dimensions
    return Usage(video_seconds=length), dimensions


def _asked_seconds(asked: Json, model: str) -> Number | None:
    if "duration" in asked:
        return seconds(asked["duration"])
    return SECONDS_DEFAULT if _TIMED.search(model) else None


def _input_type(given: Json) -> str:
    media = given.get("media")
    kinds = {
        text(mapping(item).get("type")) for item in (media if isinstance(media, list) else [])
    }
    if kinds & _VIDEOS or _any(given, _VIDEO_FIELDS):
        return "video"
    return "image" if kinds - {None} or _any(given, _IMAGE_FIELDS) else "text"


def _any(given: Json, names: Iterable[str]) -> bool:
    return any(given.get(name) for name in names)


def describe_image(body: Json) -> dict[str, str]:
    """Return the size of the images and what they are made from."""
    asked, given = mapping(body.get("parameters")), mapping(body.get("input"))
    pictured = _any(given, _IMAGE_FIELDS) or _shows(given)
    return {
        "input_type": "image" if pictured else "text",
        **said(size=size(asked.get("size")) or text(asked.get("size"))),
    }


def _shows(given: Json) -> bool:
    """Say whether a message holds an image."""
    messages = given.get("messages")
    parts = [
        part
        for message in (messages if isinstance(messages, list) else [])
        for part in _parts(mapping(message).get("content"))
    ]
    return any("image" in part for part in parts)


def _parts(content: object) -> list[Json]:
    return [mapping(part) for part in content] if isinstance(content, list) else []
