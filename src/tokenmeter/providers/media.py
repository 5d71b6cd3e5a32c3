"""What the makers of images, videos and worlds share: their numbers in our words, their jobs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from tokenmeter.providers.base import COUNT_MAX, Call, Json, Reading, mapping, text
from tokenmeter.providers.google_usage import label
from tokenmeter.providers.openai_numbers import decimal
from tokenmeter.usage import NOTHING, Number, Usage

IMAGE, VIDEO, WORLD, OTHER = (
    "image_generated",
    "video_generated",
    "world_generated",
    "api_calls",
)
SECONDS_MAX = 3600  # a longer video is a mistake of the wire
_SIZE = re.compile(r"(\d{2,5})\s*[*xX:]\s*(\d{2,5})", re.ASCII)  # not 16:9, a ratio
_SHORT_SIDE = re.compile(r"(\d{3,4})[pP]?", re.ASCII)
_CODE = re.compile(r"[A-Za-z][\w.\-]{0,79}|\d{1,10}", re.ASCII)
_WORDS = {"2160p": "4k"}
# A frame of at most so many pixels is of this tier.
_TIERS = ((550_000, "480p"), (1_200_000, "720p"), (2_600_000, "1080p"))


def seconds(value: object) -> Number | None:
    """Read a length: 5, "5", "5s", 5.04; None for what no video can be."""
    length = decimal(value.strip().removesuffix("s") if isinstance(value, str) else value)
    if length is None or not 0 < length <= SECONDS_MAX:
        return None
    return plain(length)


def plain(number: Number) -> Number:
    """Return a whole number as an int: 5.0 is 5."""
    return int(number) if number == int(number) else number


def whole(value: object) -> int | None:
    """Read a count, which some write as a string; None if it is none."""
    if type(value) is int:
        return value if 0 <= value <= COUNT_MAX else None
    number = decimal(value)
    if number is None or number != int(number) or number > COUNT_MAX:
        return None
    return int(number)


def amount(value: object) -> str | None:
    """Return an amount of credits or megapixels as it was written: 4.0 is "4"."""
    number = decimal(value)
    return None if number is None else f"{number.normalize():f}"


def frame(value: object) -> tuple[int, int] | None:
    """Read a size in pixels, however it is written: ``1280*720``, ``1280x720``."""
    found = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    return None if found is None else (int(found[1]), int(found[2]))


def size(value: object) -> str | None:
    """Return a size in our words: ``1280x720``."""
    measured = frame(value)
    return None if measured is None else f"{measured[0]}x{measured[1]}"


def resolution(value: object) -> str | None:
    """Return a video's resolution in our words: 720, "720P" and "1280*720" are ``720p``."""
    measured = frame(value)
    if measured is not None:
        return _tier(measured[0] * measured[1])
    number = whole(value) if isinstance(value, float) else value
    name = label(str(number) if type(number) is int else value)
    if name is None:
        return None
    short_side = _SHORT_SIDE.fullmatch(name)
    named = f"{short_side[1]}p" if short_side else name.lower()
    return _WORDS.get(named, named)


def _tier(pixels: int) -> str:
    """A frame is of the same tier in whatever ratio."""
    return next((tier for pixels_max, tier in _TIERS if pixels <= pixels_max), "4k")


def truth(value: object) -> str | None:
    """Return a flag as filters compare it: ``true``, ``false``; None if it is none."""
    return str(value).lower() if isinstance(value, bool) else None


def said(**values: str | None) -> dict[str, str]:
    """Return the dimensions that have a value."""
    return {name: value for name, value in values.items() if value}


def links(values: object) -> int:
    """Count the addresses in a list: what is there was delivered."""
    return sum(text(value) is not None for value in values) if isinstance(values, list) else 0


def error_code(value: object) -> str | None:
    """Return a provider's short word or number for an error; None if there is none."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)[:10]
    return value if isinstance(value, str) and _CODE.fullmatch(value) else None


def asked_of(usage: Mapping[str, Number], outputs: Number) -> Usage:
    """Multiply what was asked for one output: 2 videos of 8 seconds are 16."""
    return Usage({metric: number * outputs for metric, number in usage.items()})


def settle_job(reading: Reading, call: Call) -> Reading:
    """
    Name the job; until its end is seen, keep what only its request knew.

    An answer to a poll that says nothing of the job is no end. A submit that was accepted and
    given no id cannot be followed: it has failed.
    """
    reading = replace(reading, response_id=call.job_id or reading.response_id)
    match reading.state:
        case "failed":
            return replace(reading, usage=NOTHING)
        case "success":
            made = reading.usage.get("output_count", 1)
            return replace(reading, usage=asked_of(call.usage, made) | reading.usage)
        case "pending" if reading.response_id is None:
            return replace(reading, state="failed", error_type="no_job_id")
        case "pending":
            return replace(reading, usage=call.usage)
        case _:
            return replace(reading, state="pending") if call.repeated else reading


def must_have(reading: Reading, metric: str) -> Reading:
    """Flag a metric that a finished job should have and that nobody has reported."""
    if reading.state != "success" or metric in reading.usage:
        return reading
    return replace(reading, flags=reading.flags | {f"missing:{metric}"})


def body_of(payload: Json, name: str) -> Json:
    """Return the object that an answer wraps its job in, else the answer itself."""
    return mapping(payload.get(name)) or payload
