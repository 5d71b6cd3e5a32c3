"""
Kling's tasks: how they stand, what they delivered, what was deducted for them.

Kling writes 5.041 for the 5 seconds that it bills (121 frames at 24 a second). The old
surface says ``succeed``, the new one ``succeeded``; a task that failed is an HTTP 200.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any, NamedTuple

from tokenmeter.providers.base import NO_READING, Call, Json, Reading, State, mapping, text
from tokenmeter.providers.google_content import objects
from tokenmeter.providers.google_usage import label
from tokenmeter.providers.kling_requests import AUDIO, billed_seconds
from tokenmeter.providers.media import IMAGE, OTHER, VIDEO, plain, said, seconds, settle_job
from tokenmeter.providers.openai_numbers import decimal
from tokenmeter.usage import Number, Usage

STATES: dict[str, State] = {
    "submitted": "pending",
    "processing": "pending",
    "succeed": "success",
    "succeeded": "success",
    "failed": "failed",
}
_LISTS = {"videos": VIDEO, "images": IMAGE, "series_images": IMAGE, "audios": AUDIO}
_KINDS = (("video", VIDEO), ("image", IMAGE), ("audio", AUDIO))
_FILES = ("url", "watermark_url", "mp3_url", "wav_url", "url_mp3", "url_wav", "id", "name")
_MOMENTS = ("updated_at", "update_time", "created_at", "create_time")
_LENGTHS = ("duration", "mp3_duration", "duration_mp3", "wav_duration", "duration_wav")
_UNSAFE = re.compile(r"risk|sensitiv|polic|moderat|violat|风控|敏感|违规|审核", re.IGNORECASE)
_BEIJING = "beijing"  # bills in CNY
_QUOTA, _MONEY = "quota", "money"  # in `raw`
_UNITS, _PACKAGE = "provider_units", "unit_package"  # dimensions
_TRY_ON = "kolors-virtual-try-on"  # has a package of its own


class Output(NamedTuple):
    """One thing that a task delivered."""

    kind: str  # the name of its event
    fields: Json


def read_answer(payload: Json) -> Reading:
    """Read the answer to a submit, a poll or a list of either surface, or a callback's body."""
    code = _code(payload.get("code"))
    if code is not None:
        return Reading(state="failed", error_type=code)
    data = _enveloped(payload)
    listed = mapping(data).get("result", data)
    if not isinstance(listed, list):
        return _read_task(mapping(data))
    tasks = tuple(_read_task(task) for task in listed if isinstance(task, dict))
    return tasks[0] if len(tasks) == 1 else Reading(state="pending", jobs=tasks)


def _code(value: object) -> str | None:
    """Return the code of a request that was refused: 1102; 0 means that it was not."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    code = str(value)[:20]
    return code if code.isascii() and code.isdigit() and int(code) else None


def _read_task(task: Json) -> Reading:
    job_id, stage = named(task)
    if job_id is None and stage is None:
        return _read_done(task)
    reading = replace(
        _charges(task),
        response_id=job_id,
        state=STATES.get(stage or "", "pending"),
        created=_changed_at(task),
    )
    if reading.state == "failed":
        return replace(reading, error_type=_why(task))
    return _with_outputs(reading, task) if reading.state == "success" else reading


def _enveloped(payload: Json) -> object:
    """Return what a body holds: in an envelope, or bare as in a callback."""
    data = payload.get("data")
    return payload if data is None else data


def only_task(payload: Json) -> Json:
    """Return the task that a body holds, in an envelope or bare; {} if they are several."""
    data = _enveloped(payload)
    if isinstance(data, list):
        return mapping(data[0]) if len(data) == 1 else {}
    return mapping(data)


def named(task: Json) -> tuple[str | None, str | None]:
    """Return id and state of a task of either surface."""
    job_id = label(task.get("task_id")) or label(task.get("id"))
    return job_id, text(task.get("task_status")) or text(task.get("status"))


def _changed_at(task: Json) -> float | None:
    return next(filter(None, (_moment(task.get(name)) for name in _MOMENTS)), None)


def _read_done(task: Json) -> Reading:
    """Read an answer that is no task: a picture was looked at, a selection made."""
    known = ("session_id", "task_result", "final_unit_deduction", "final_balance_deduction")
    if not any(name in task for name in known):
        return NO_READING
    return replace(_charges(task), state="success")


def _why(task: Json) -> str:
    """Return a word for a failure; the message itself may repeat the prompt."""
    told = text(task.get("task_status_msg")) or text(task.get("message")) or ""
    return _code(task.get("code")) or ("filtered" if _UNSAFE.search(told) else "task_failed")


# -- what was deducted ----------------------------------------------------------------------


def _charges(task: Json) -> Reading:
    """Read what was deducted: units of a package, or money. A failed task's 0 has no type."""
    lines = list(objects(task.get("billing")))
    units = _amounts(lines, "charge_type", "unit")
    units += _amounts([line for line in lines if "currency" not in line], "charge_type", None)
    units.append(decimal(task.get("final_unit_deduction")))
    known = [units_used for units_used in units if units_used is not None]
    money = {name: _amounts(lines, "currency", name)[:1] for name in ("USD", "CNY")}
    paid = {name: sums[0] for name, sums in money.items() if sums and sums[0] is not None}
    dimensions = {f"provider_cost_{name.lower()}": f"{sum_:f}" for name, sum_ in paid.items()}
    if known:
        dimensions[_UNITS] = f"{sum(known):f}"
        dimensions |= said(unit_package=_package(lines))
    quota = decimal(mapping(task.get("final_balance_deduction")).get("quota"))
    return Reading(dimensions=dimensions, raw={_MONEY: paid, _QUOTA: quota})


def _package(lines: list[Json]) -> str | None:
    """Return the package that units were taken from, if a line names it."""
    packages = {label(line.get("package_type")) for line in lines} - {None}
    return packages.pop() if len(packages) == 1 else None


def _amounts(lines: list[Json], name: str, value: str | None) -> list[Decimal | None]:
    return [decimal(line.get("amount")) for line in lines if line.get(name) == value]


def _cost(raw: Mapping[str, Any], call: Call) -> Decimal | None:
    """Return the dollars deducted; the old surface does not name the currency, its host does."""
    money: Mapping[str, Decimal] = raw.get(_MONEY, {})
    region = call.dimensions.get("region")
    if money or region in (None, _BEIJING):
        return money.get("USD")
    quota: Decimal | None = raw.get(_QUOTA)
    return quota


# -- what was delivered ---------------------------------------------------------------------


def _outputs(task: Json) -> list[Output]:
    """Return what is there, of either surface."""
    if isinstance(task.get("outputs"), list):
        found = [Output(_kind(item.get("type")), item) for item in objects(task["outputs"])]
    else:
        found = _of_lists(mapping(task.get("task_result")))
    return [output for output in found if _is_there(output.fields)]


def _of_lists(result: Json) -> list[Output]:
    """Read the old surface's lists; of single images and a series, one is the result."""
    left_out = None
    if result.get("images") and result.get("series_images"):
        left_out = "images" if result.get("result_type") == "series" else "series_images"
    return [
        Output(_LISTS.get(name, OTHER), item)
        for name, items in result.items()
        if name != left_out
        for item in objects(items)
    ]


def _is_there(item: Json) -> bool:
    return any(text(item.get(name)) for name in _FILES)


def _kind(value: object) -> str:
    """``product_video``, ``subbed_video`` are videos."""
    named = text(value) or ""
    return next((kind for word, kind in _KINDS if word in named), OTHER)


def _with_outputs(reading: Reading, task: Json) -> Reading:
    outputs = _outputs(task)
    if not outputs:
        return replace(reading, state="failed", error_type="no_output")
    made: dict[str, list[Json]] = {VIDEO: [], IMAGE: [], AUDIO: [], OTHER: []}
    for output in outputs:
        made[output.kind].append(output.fields)
    videos, images = made[VIDEO], made[IMAGE]
    numbers: dict[str, Number] = {"output_count": len(outputs)}
    if images:
        numbers["image_count"] = len(images)
    if videos:
        numbers |= {"video_count": len(videos), "video_jobs": 1}
    most = next(kind for kind, items in made.items() if items)
    reading = replace(_from_package(reading, most), usage=Usage(numbers), event_name=most)
    before = mapping(mapping(task.get("task_info")).get("parent_video")).get("duration")
    return _with_sound(_with_video_length(reading, videos, _length(before)), made[AUDIO])


def _from_package(reading: Reading, kind: str) -> Reading:
    """Say that units were those of the images' package, where no billing line names one."""
    if kind != IMAGE or _UNITS not in reading.dimensions:
        return reading
    return replace(reading, dimensions={_PACKAGE: "image", **reading.dimensions})


def _with_video_length(reading: Reading, videos: list[Json], before: Decimal | None) -> Reading:
    """Add the seconds billed, and as a dimension the seconds that there are."""
    lengths = [_length(video.get("duration")) for video in videos]
    if not videos or None in lengths:
        odd = any(video.get("duration") is not None for video in videos)
        return replace(reading, flags=reading.flags | ({"invalid:duration"} if odd else set()))
    actual = [length for length in lengths if length is not None]
    billed = sum((_billed(length, before) for length in actual), Decimal(0))
    return replace(
        reading,
        usage=reading.usage | {"video_seconds": plain(billed)},
        dimensions={**reading.dimensions, "video_seconds_actual": f"{sum(actual):f}"},
    )


def _billed(length: Decimal, before: Decimal | None) -> Decimal:
    """
    Return the seconds that are billed for a video.

    5.041 is 5. A video of 10.1 that continues one of 5.1 is 5: only what was added.
    """
    added = length - before if before is not None and length >= before + 1 else length
    return billed_seconds(added)


def _with_sound(reading: Reading, sounds: list[Json]) -> Reading:
    found = [next(filter(None, (_length(s.get(name)) for name in _LENGTHS)), None) for s in sounds]
    lengths = [length for length in found if length is not None]
    if not lengths or None in found:
        return reading
    return replace(reading, usage=reading.usage | {"audio_seconds": plain(sum(lengths))})


def _length(value: object) -> Decimal | None:
    length = seconds(value)
    return None if length is None else Decimal(length)


def _moment(value: object) -> float | None:
    """Return epoch seconds of a time in milliseconds."""
    number = decimal(value)
    return None if number is None or not number else float(number / 1000)


def settle(reading: Reading, call: Call) -> Reading:
    """Name the task by its own id (a path may hold the user's), and say what it cost."""
    cost = _cost(reading.raw, call)
    reading = replace(reading, raw={}, cost=None if cost is None else f"{cost:f}")
    if call.api.operation == _TRY_ON and _PACKAGE in reading.dimensions:
        reading = replace(reading, dimensions={**reading.dimensions, _PACKAGE: "try_on"})
    if reading.response_id is not None:
        return settle_job(reading, replace(call, job_id=reading.response_id))
    if reading.state == "success" or (call.repeated and call.job_id is None):
        return replace(reading, usage=call.usage | reading.usage)  # no task, or a list of them
    return settle_job(reading, call)
