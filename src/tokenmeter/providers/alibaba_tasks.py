"""
DashScope's tasks: how they stand, and what they delivered.

One address serves all tasks, so what a finished one has made tells what it was. Videos are
billed by `usage.duration`, which holds the seconds of the videos that were given too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tokenmeter.providers.base import (
    NO_READING,
    Api,
    Call,
    Json,
    Reading,
    State,
    counts,
    mapping,
    text,
    unknown,
)
from tokenmeter.providers.google_usage import label, labels
from tokenmeter.providers.media import (
    IMAGE,
    OTHER,
    VIDEO,
    error_code,
    must_have,
    resolution,
    said,
    seconds,
    settle_job,
    size,
    whole,
)
from tokenmeter.usage import Number, Usage

_STATES: dict[str, State] = {
    "SUCCEEDED": "success",
    "FAILED": "failed",
    "CANCELED": "failed",
    "CANCELLED": "failed",
    "UNKNOWN": "failed",  # there is no such task, or none any more: after 24 hours
}
# The length that is billed comes first.
_LENGTHS = ("duration", "video_duration", "output_video_duration")
_MARKS = frozenset(  # of a video, in usage
    {"video_duration", "input_video_duration", "output_video_duration"}
    | {"video_count", "video_ratio", "SR"}
)
_TOKENS = {name: name for name in ("input_tokens", "output_tokens", "total_tokens")}
_KNOWN = _MARKS | {
    *_TOKENS,
    *("duration", "ratio", "size", "fps", "width", "height", "image_count"),
    *("output_width", "output_height", "output_image_count", "output_image_type"),
    *("input_image_count", "input_image_type", "input_tokens_details", "output_tokens_details"),
}
# Times have no zone; in these regions they are China's (as the expiry of results shows).
_ZONE = "+08:00"
_IN_ZONE = ("cn-beijing", "ap-southeast-1")
_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d{1,6})?", re.ASCII)
_ENDED = "ended"  # key of `raw`
_NO_ERROR = frozenset({None, "0", "200", "Success"})


def read_task(payload: Json) -> Reading:
    """Read the answer to a submit or a poll, or one that came at once."""
    output, usage = mapping(payload.get("output")), mapping(payload.get("usage"))
    stage = (text(output.get("task_status")) or "").upper()
    reading = Reading(
        response_id=label(output.get("task_id")),
        state=_STATES.get(stage, "pending"),
        raw=_times(output),
    )
    if not stage:
        return _read_at_once(payload, output, usage)
    if reading.state == "failed":
        return replace(reading, error_type=_why(output, payload) or stage.lower())
    return _with_output(reading, output, usage) if reading.state == "success" else reading


def _times(output: Json) -> dict[str, str]:
    ended = text(output.get("end_time"))
    return {_ENDED: ended} if ended is not None and _TIME.fullmatch(ended) else {}


def _why(*places: Json) -> str | None:
    codes = (error_code(place.get("code")) for place in places)
    return next((code for code in codes if code not in _NO_ERROR), None)


def _read_at_once(payload: Json, output: Json, usage: Json) -> Reading:
    failure = _why(payload)
    if failure is not None:
        return Reading(state="failed", error_type=failure)
    if not _images(output):
        return NO_READING
    reading = Reading(response_id=label(payload.get("request_id")), state="success")
    return _with_output(reading, output, usage)


def _with_output(reading: Reading, output: Json, usage: Json) -> Reading:
    if _is_video(output, usage):
        return _with_video(reading, usage)
    made = _images(output)
    reported = usage.get("image_count", usage.get("output_image_count"))
    if not made and reported is None:
        return replace(reading, usage=Usage(output_count=1), event_name=OTHER)
    return _with_images(reading, usage, made if whole(reported) is None else whole(reported))


def _is_video(output: Json, usage: Json) -> bool:
    """A transcription has a duration too, but no other mark of a video."""
    if text(output.get("video_url")) or text(mapping(output.get("results")).get("video_url")):
        return True
    return not _MARKS.isdisjoint(usage)


def _with_video(reading: Reading, usage: Json) -> Reading:
    flags = set(unknown(usage, _KNOWN))
    made = whole(usage.get("video_count", 1))
    if made is None:
        flags.add("invalid:video_count")
    numbers: dict[str, Number] = {"video_jobs": 1}
    numbers |= dict.fromkeys(("video_count", "output_count"), 1 if made is None else made)
    if not numbers["output_count"]:
        return replace(reading, state="failed", error_type="no_output")
    said_length = next((usage[name] for name in _LENGTHS if usage.get(name) is not None), None)
    length = seconds(said_length)
    if length is not None:
        numbers["video_seconds"] = length
    elif said_length is not None:
        flags.add("invalid:duration")
    return replace(
        reading,
        usage=Usage(numbers),
        flags=frozenset(flags),
        dimensions=_frame(usage),
        event_name=VIDEO,
    )


def _frame(usage: Json) -> dict[str, str]:
    """Return what the answer says of the frame: SR is its short side, 720 or 1080."""
    measured = next((v for n in ("size", "video_ratio") if size(v := usage.get(n))), None)
    return {
        **said(
            resolution=resolution(usage.get("SR")) or resolution(measured), size=size(measured)
        ),
        **labels(aspect_ratio=usage.get("ratio")),
    }


def _images(output: Json) -> int:
    """Count the images that are there; a part of the task that failed has a code instead."""
    found = [item.get("url") for item in _objects(output.get("results"))]
    for choice in _objects(output.get("choices")):
        parts = _objects(mapping(choice.get("message")).get("content"))
        found += [part.get("image") for part in parts]
    return sum(text(link) is not None for link in found)


def _with_images(reading: Reading, usage: Json, made: int | None) -> Reading:
    if not made:
        return replace(reading, state="failed", error_type="no_output")
    tokens, flags = counts(usage, _TOKENS)
    return replace(
        reading,
        usage=tokens | {"image_count": made, "output_count": made},
        flags=flags | unknown(usage, _KNOWN),
        dimensions=said(size=size(usage.get("size")) or _measured(usage)),
        event_name=IMAGE,
    )


def _measured(usage: Mapping[str, Any]) -> str | None:
    for prefix in ("", "output_"):
        width, height = (whole(usage.get(f"{prefix}{side}")) for side in ("width", "height"))
        if width and height:
            return f"{width}x{height}"
    return None


def _objects(value: object) -> list[Json]:
    return [mapping(item) for item in value] if isinstance(value, list) else []


def settle_task(reading: Reading, call: Call) -> Reading:
    """Settle the job; date it where the zone of its times is known."""
    ended = reading.raw.get(_ENDED)
    if ended is not None and call.dimensions.get("region") in _IN_ZONE:
        reading = replace(reading, created=f"{ended}{_ZONE}")
    reading = settle_job(replace(reading, raw={}), call)
    return must_have(reading, "video_seconds") if reading.event_name == VIDEO else reading


TASKS = Api("tasks", VIDEO, read_task, settle_task, owns_ids=True)
IMAGES = Api("multimodal-generation", IMAGE, read_task, settle_task, owns_ids=True)
