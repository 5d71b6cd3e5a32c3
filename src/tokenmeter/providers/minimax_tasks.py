"""MiniMax's answers: a task of either version of the API, images, sounds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from tokenmeter.providers.base import NO_READING, Json, Reading, State, mapping, text
from tokenmeter.providers.google_content import objects
from tokenmeter.providers.google_usage import label, labels
from tokenmeter.providers.media import (
    IMAGE,
    VIDEO,
    error_code,
    plain,
    resolution,
    said,
    seconds,
    size,
    whole,
)
from tokenmeter.providers.media_kinds import AUDIO
from tokenmeter.providers.openai_numbers import decimal
from tokenmeter.usage import Number, Usage

STATES: dict[str, State] = {
    **dict.fromkeys(("preparing", "queueing", "queued", "processing", "running"), "pending"),
    **dict.fromkeys(("success", "succeeded"), "success"),
    **dict.fromkeys(("fail", "failed", "cancelled", "canceled", "expired"), "failed"),
}
ID_MAX = 10**30  # a larger number is a mistake of the wire
_FILTERED = frozenset({"1026", "1027"})
_CHARACTERS = "usage_characters"
_DURATIONS = ("audio_length", "music_duration")
_MILLISECONDS = 1000
# Wire name in a task's usage -> metric. `total_seconds` is what is billed.
_LENGTHS = ("total_seconds", "output_seconds")
_TEXTS = frozenset({"h3_context_ir"})  # a task that only rewrites the prompt


def named(payload: Json) -> tuple[str | None, str | None]:
    """Return id and state of a task of either version; ids may be numbers."""
    task = mapping(payload.get("task")) or payload
    value = task.get("id") if "task" in payload else task.get("task_id")
    job_id = str(value) if type(value) is int and 0 < value < ID_MAX else label(value)
    return job_id, text(task.get("status"))


def read_answer(payload: Json) -> Reading:
    """Read a submit, a poll, a page of tasks, or what came at once."""
    items = payload.get("items")
    if isinstance(items, list):
        tasks = tuple(_read_task({"task": item}) for item in objects(items))
        return Reading(state="pending", jobs=tasks)
    code = _refusal(payload)
    job_id, stage = named(payload)
    if code is not None and STATES.get((stage or "").lower()) != "failed":
        kind = "filtered" if code in _FILTERED else "refused"
        return Reading(response_id=job_id, error_type=code, raw={"refused": kind})
    if _CHARACTERS in payload:  # a long text: what it costs is said before it is spoken
        return replace(_read_sound(payload), response_id=job_id)
    if job_id is not None or stage is not None:
        return _read_task(payload)
    return _read_at_once(payload)


def _refusal(payload: Json) -> str | None:
    """Return the code of a refusal within HTTP 200; 0 is none."""
    code = error_code(mapping(payload.get("base_resp")).get("status_code"))
    return None if code in (None, "0") else code


def _read_task(payload: Json) -> Reading:
    job_id, stage = named(payload)
    task = mapping(payload.get("task")) or payload
    reading = Reading(
        response_id=job_id,
        model=label(task.get("model")),
        state=STATES.get((stage or "").lower(), "pending"),
        created=_moment(task),
    )
    match reading.state:
        case "failed":
            code = error_code(mapping(task.get("error")).get("code")) or _refusal(payload)
            return replace(reading, error_type=code or (stage or "").lower())
        case "success":
            return _with_video(reading, task)
        case _:
            return reading


def _moment(task: Json) -> int | None:
    return whole(task.get("updated_at")) or whole(task.get("created_at"))


def _with_video(reading: Reading, task: Json) -> Reading:
    content = mapping(task.get("content"))
    if text(content.get("prompt")) and not text(content.get("url")):
        return replace(reading, usage=Usage(output_count=1), event_name="text_generated")
    if not (text(content.get("url")) or _is_file(task.get("file_id")) or text(task.get("url"))):
        return replace(reading, state="failed", error_type="no_output")
    numbers: dict[str, Number] = {"video_count": 1, "output_count": 1, "video_jobs": 1}
    usage, flags = mapping(task.get("usage")), set[str]()
    said_length = next((usage[n] for n in _LENGTHS if usage.get(n) is not None), None)
    said_length = task.get("duration") if said_length is None else said_length
    length = seconds(said_length)
    if length is not None:
        numbers["video_seconds"] = length
    elif said_length is not None:
        flags.add("invalid:duration")
    pictures = whole(usage.get("input_image_count"))
    if pictures:
        numbers["input_image_count"] = pictures
    return replace(
        reading,
        usage=Usage(numbers),
        flags=frozenset(flags),
        dimensions=_frame(task),
        event_name=VIDEO,
    )


def _is_file(value: object) -> bool:
    """Files are named by a number, which some answers write as a text."""
    return bool(text(value) or decimal(value))


def _frame(task: Json) -> dict[str, str]:
    width, height = whole(task.get("video_width")), whole(task.get("video_height"))
    given = seconds(mapping(task.get("usage")).get("input_seconds"))
    return {
        **said(
            resolution=resolution(task.get("resolution")),
            size=size(f"{width}x{height}") if width and height else None,
            input_video_seconds=None if given is None else str(given),
        ),
        **labels(aspect_ratio=task.get("ratio")),
    }


def _read_at_once(payload: Json) -> Reading:
    """Read images, which are counted by the answer itself, or speech."""
    found = mapping(payload.get("data"))
    made = _delivered(found, mapping(payload.get("metadata")))
    if made is not None:
        reading = Reading(response_id=label(payload.get("id")), state="success")
        if not made:
            return replace(reading, state="failed", error_type="no_output")
        return replace(reading, usage=Usage(image_count=made, output_count=made), event_name=IMAGE)
    told = mapping(payload.get("extra_info"))
    return _read_sound(told) if told else NO_READING


def _delivered(found: Json, metadata: Json) -> int | None:
    """Return how many images there are; None where the answer is not of images."""
    lists = [found.get(name) for name in ("image_urls", "image_base64")]
    items = [item for listed in lists if isinstance(listed, list) for item in listed]
    told = whole(metadata.get("success_count"))
    if told is not None:
        return told
    known = any(isinstance(listed, list) for listed in lists)
    return sum(isinstance(item, str) for item in items) if known else None


def _read_sound(told: Mapping[str, Any]) -> Reading:
    """Read what was spoken, or how long the music is."""
    numbers: dict[str, Number] = {"output_count": 1}
    characters = whole(told.get(_CHARACTERS))
    length = next(filter(None, (decimal(told.get(name)) for name in _DURATIONS)), None)
    if characters is not None:
        numbers["characters"] = characters
    if length is not None:
        numbers["audio_seconds"] = plain(length / Decimal(_MILLISECONDS))
    return Reading(state="success", usage=Usage(numbers), event_name=AUDIO)
