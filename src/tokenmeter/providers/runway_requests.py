"""What a request to Runway asks for: length, frame, sound, and what it is made from."""

from __future__ import annotations

from tokenmeter.providers.base import Json, mapping, text
from tokenmeter.providers.google_usage import label, labels
from tokenmeter.providers.media import (
    IMAGE,
    VIDEO,
    frame,
    resolution,
    said,
    seconds,
    size,
    truth,
    whole,
)
from tokenmeter.providers.media_kinds import AUDIO
from tokenmeter.usage import NOTHING, Number, Usage

_VIDEOS = ("videoUri", "promptVideo", "referenceVideos", "referenceVideo")
_IMAGES = ("promptImage", "imageUri", "referenceImages", "references")
# As long as the video that they are given.
_AS_LONG = frozenset({"video_upscale", "video_to_hdr", "character_performance"})
# Lengths that the SDK's documentation names for a request that says none; for other models, none.
SECONDS_DEFAULT = {"kling2.5_turbo_pro": 5, "seedance2_5": 5}
# Frames of requests that say none.
_RESOLUTIONS = {"hailuo3": "768p", "h3_max": "768p", "magnific_video_upscaler_creative": "2k"}
_RESOLUTION_DEFAULT = "720p"
_ADAPTIVE = "auto_"  # auto_1080p: a tier, in the ratio of what is given


def describe_body(place: str, kind: str, body: Json) -> tuple[Usage, dict[str, str]]:
    """Return what one output will be, and the facts that a price needs."""
    ratio = text(body.get("ratio"))
    count = whole(body.get("outputCount"))
    dimensions = {
        "input_type": _input_type(place, body),
        **said(
            size=size(ratio),
            aspect_ratio=None if frame(ratio) else label(ratio or body.get("aspectRatio")),
            resolution=_resolution(kind, ratio, body),
            generate_audio=truth(body.get("audio")),
            n=str(count) if count else None,
        ),
        **labels(
            quality=body.get("quality"),
            mode=body.get("mode"),
            output_format=body.get("outputFormat"),
        ),
    }
    return _one_output(place, kind, body), dimensions


def _resolution(kind: str, ratio: str | None, body: Json) -> str | None:
    named = body.get("resolution")
    if named is None and ratio is not None and (frame(ratio) or ratio.startswith(_ADAPTIVE)):
        named = ratio.removeprefix(_ADAPTIVE)
    if kind != VIDEO:
        return resolution(named)
    default = _RESOLUTIONS.get(text(body.get("model")) or "", _RESOLUTION_DEFAULT)
    return resolution(named) or default


def _input_type(place: str, body: Json) -> str:
    if place.startswith(("video_to_", "video_upscale")) or any(body.get(n) for n in _VIDEOS):
        return "video"
    pictured = place.startswith("image_") or any(body.get(name) for name in _IMAGES)
    return "image" if pictured else "text"


def _one_output(place: str, kind: str, body: Json) -> Usage:
    if kind == IMAGE:
        return Usage(image_count=1)
    if kind == VIDEO:
        length = None if place in _AS_LONG else _seconds(body)
        return NOTHING if length is None else Usage(video_seconds=length)
    length = seconds(body.get("duration")) if kind == AUDIO else None
    if length is not None:
        return Usage(audio_seconds=length)
    spoken = text(body.get("promptText")) if place == "text_to_speech" else None
    return NOTHING if spoken is None else Usage(characters=len(spoken))


def _seconds(body: Json) -> Number | None:
    """Return the length of one video; ``auto`` leaves it to the model."""
    if body.get("duration") is not None:
        return seconds(body["duration"])
    shots = mapping(body.get("providerSettings")).get("multiPrompt")
    lengths = [seconds(mapping(shot).get("duration")) for shot in _list(shots)]
    known = [length for length in lengths if length is not None]
    if known and len(known) == len(lengths):
        return sum(known)
    return SECONDS_DEFAULT.get(text(body.get("model")) or "")


def _list(value: object) -> list[object]:
    return list(value) if isinstance(value, list) else []
