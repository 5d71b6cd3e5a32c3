"""
Seedance: videos made by tasks on Ark (BytePlus and Volcengine).

A finished task repeats what was asked and reports its tokens, which already hold every
discount of a draft. A task that was made from a draft inherits sound, length and ratio, so
these are read from the answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

from tokenmeter.providers.base import (
    COUNT_MAX,
    NO_READING,
    Api,
    Call,
    Json,
    Reading,
    State,
    mapping,
    text,
    unknown,
)
from tokenmeter.providers.byteplus_frames import FPS, Clip, estimated_tokens, is_plausible
from tokenmeter.providers.google_content import objects
from tokenmeter.providers.google_usage import label
from tokenmeter.providers.media import (
    VIDEO,
    resolution,
    said,
    seconds,
    settle_job,
    truth,
    whole,
)
from tokenmeter.providers.openai_numbers import decimal
from tokenmeter.usage import NOTHING, Number, Usage

SECONDS_DEFAULT = 5
STATES: dict[str, State] = {
    "queued": "pending",
    "running": "pending",
    "succeeded": "success",
    "failed": "failed",
    "cancelled": "failed",
    "canceled": "failed",
    "expired": "failed",  # not in the SDK's own list of states
}
_KNOWN_USAGE = frozenset({"completion_tokens", "total_tokens", "tool_usage"})
# The old way to ask: words at the end of the prompt. Only these are read.
_WORDS = re.compile(
    r"--(resolution|rs|ratio|rt|duration|dur|frames|framespersecond|fps)[ =]+([\w:.-]{1,12})"
)
_SHORT = {"rs": "resolution", "rt": "ratio", "dur": "duration", "fps": "framespersecond"}
_CODE = re.compile(r"[A-Za-z][\w.\-]{0,79}", re.ASCII)


def describe_task(body: Json) -> tuple[Usage, dict[str, str]]:
    """Return the seconds of the video and the facts that a price needs, by Ark's defaults."""
    content = list(objects(body.get("content")))
    given = {name: value for name, value in body.items() if value is not None}
    asked = {**_words(content), **given}
    kinds = {text(item.get("type")) for item in content}
    inputs = {"service_tier": "default", "draft": "false", **_inputs(kinds)}
    if "draft_task" in kinds:  # the rest is inherited
        length = _asked_length(asked) if "duration" in asked else NOTHING
        return length, {**inputs, **_facts(asked)}
    model = (text(body.get("model")) or "").lower()
    return _asked_length(asked), {**inputs, **_defaults(asked, model), **_facts(asked)}


def _inputs(kinds: set[str | None]) -> dict[str, str]:
    if "video_url" in kinds:
        return {"input_type": "video", "input_has_video": "true"}
    kind = "image" if "image_url" in kinds else "text"
    return {"input_type": kind, "input_has_video": "false"}


def _defaults(asked: Json, model: str) -> dict[str, str]:
    """Ark's own defaults: sound since 1.5, 1080p for 1.0-pro, 480p for drafts."""
    early = "seedance-1-0" in model
    resolution = "1080p" if "seedance-1-0-pro" in model else "720p"
    return {
        "resolution": "480p" if asked.get("draft") is True else resolution,
        "generate_audio": str(not early).lower(),
        "aspect_ratio": "16:9" if early else "adaptive",
        "fps": str(FPS),
    }


def _words(content: list[Json]) -> Json:
    """Read the parameters that stand in the prompt."""
    prompts = (text(item.get("text")) or "" for item in content)
    found = (word for prompt in prompts for word in _WORDS.finditer(prompt))
    return {_SHORT.get(word[1], word[1]): word[2] for word in found}


def _asked_length(asked: Json) -> Usage:
    """Return the length asked for; nothing for -1 (the model chooses) and for junk."""
    length = seconds(asked["duration"]) if "duration" in asked else SECONDS_DEFAULT
    frames = whole(asked.get("frames"))
    length = _of_frames(frames, FPS) if frames else length
    return NOTHING if length is None else Usage(video_seconds=length)


def _facts(fields: Json) -> dict[str, str]:
    """Return what a request or an answer says of the video, in our words."""
    rate = whole(fields.get("framespersecond"))
    return said(
        resolution=resolution(fields.get("resolution")),
        aspect_ratio=label(fields.get("ratio")),
        service_tier=label(fields.get("service_tier")),
        generate_audio=truth(fields.get("generate_audio")),
        draft=truth(fields.get("draft")),
        fps=str(rate) if rate else None,
    )


def read_tasks(payload: Json) -> Reading:
    """Read the answer to create, get or list, or a callback's body."""
    items = payload.get("items")
    if isinstance(items, list):
        tasks = tuple(_read_task(item) for item in items if isinstance(item, dict))
        return Reading(state="pending", jobs=tasks)
    return _read_task(payload)


def _read_task(task: Json) -> Reading:
    job_id, stage, failure = label(task.get("id")), text(task.get("status")), error_code(task)
    if job_id is None and stage is None:
        return NO_READING if failure is None else Reading(state="failed", error_type=failure)
    reading = Reading(
        response_id=job_id,
        model=label(task.get("model")),
        created=_changed_at(task),
        state=STATES.get(stage or "", "pending"),
        dimensions=_facts(task),
    )
    if reading.state == "failed":
        return replace(reading, error_type=failure or stage)
    return _with_usage(reading, task) if reading.state == "success" else reading


def _changed_at(task: Json) -> int | float | None:
    return moment(task.get("updated_at")) or moment(task.get("created_at"))


def _with_usage(reading: Reading, task: Json) -> Reading:
    """Add what a finished task delivered and cost."""
    reported = mapping(task.get("usage"))
    numbers: dict[str, Number] = {"output_count": 1}
    flags = set(unknown(reported, _KNOWN_USAGE))
    for metric, value in _reported(reported):
        number = whole(value)
        if number is None:
            flags.add(f"invalid:{metric}")
        else:
            numbers[metric] = number
    if not text(mapping(task.get("content")).get("file_url")):  # a 3D model
        numbers |= {"video_count": 1, "video_jobs": 1}
        length = _delivered_seconds(task)
        if length is not None:
            numbers["video_seconds"] = length
        elif "duration" in task:
            flags.add("invalid:duration")
    return replace(reading, usage=Usage(numbers), flags=frozenset(flags))


def _reported(reported: Json) -> Iterator[tuple[str, object]]:
    tools = mapping(reported.get("tool_usage"))
    for metric, value in (
        ("video_tokens", reported.get("completion_tokens")),
        ("total_tokens", reported.get("total_tokens")),
        ("web_search_count", tools.get("web_search")),
    ):
        if value is not None:
            yield metric, value


def _delivered_seconds(task: Json) -> Number | None:
    length = seconds(task.get("duration"))
    frames, rate = whole(task.get("frames")), whole(task.get("framespersecond"))
    return _of_frames(frames, rate or FPS) if length is None and frames else length


def settle_task(reading: Reading, call: Call) -> Reading:
    """Name the task; doubt tokens that the formula cannot explain, estimate missing ones."""
    if call.repeated and (reading.response_id or call.job_id) is None:
        return reading  # a list
    reading = settle_job(reading, call)
    return _with_doubt(reading, _clip(reading, call)) if _is_video(reading) else reading


def _is_video(reading: Reading) -> bool:
    return reading.state == "success" and "video_count" in reading.usage


def _with_doubt(reading: Reading, clip: Clip | None) -> Reading:
    tokens = reading.usage.get("video_tokens")
    if tokens is None:
        return _estimated(reading, clip)
    if clip is None or is_plausible(tokens, clip):
        return reading
    return replace(reading, flags=reading.flags | {"suspect:video_tokens"})


def _clip(reading: Reading, call: Call) -> Clip | None:
    length = reading.usage.get("video_seconds")
    if length is None:
        return None
    known = {**call.dimensions, **reading.dimensions}
    return Clip(
        model=reading.model or call.request_model or "",
        resolution=known.get("resolution", ""),
        ratio=known.get("aspect_ratio", ""),
        seconds=length,
        draft=known.get("draft") == "true",
        audio=known.get("generate_audio") == "true",
    )


def _estimated(reading: Reading, clip: Clip | None) -> Reading:
    """Usage that is missing is estimated and says so, or stays missing; it is never 0."""
    tokens = None if clip is None else estimated_tokens(clip)
    if tokens is None:
        return replace(reading, flags=reading.flags | {"missing:video_tokens"})
    flags = reading.flags | {"counted", "estimated:video_tokens"}
    return replace(reading, usage=reading.usage | {"video_tokens": tokens}, flags=flags)


def error_code(payload: Json) -> str | None:
    """Return Ark's short word for an error in this payload; None if it reports none."""
    error: Any = payload.get("error")
    if not error:
        return None
    code = text(mapping(error).get("code"))
    return code if code is not None and _CODE.fullmatch(code) else "error"


def moment(value: object) -> int | float | None:
    """Return epoch seconds, or None if `value` cannot be a time."""
    number = decimal(value)
    return None if number is None or not 0 < number < COUNT_MAX else int(number)


def _of_frames(frames: int, rate: int) -> Number | None:
    """
    Return the seconds that a clip of so many frames is called.

    57 are 2.375, as Ark's documents count. Clips of whole seconds have a frame more: 121 are 5.
    """
    over = 1 if frames > rate and frames % rate == 1 else 0
    length = Decimal(frames - over) / rate
    return seconds(f"{length:.3f}")


TASKS = Api("contents.generations.tasks", VIDEO, read_tasks, settle_task, owns_ids=True)
