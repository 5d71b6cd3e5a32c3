"""
What a model on fal made: files, by the names that most models give them.

An answer has no state: it is there, so the request has succeeded. A file is an object with a
`url`, which is a ``data:`` address if the caller asked for the file itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import NamedTuple

from tokenmeter.providers.base import NO_READING, Json, Reading, mapping, text
from tokenmeter.providers.media import IMAGE, OTHER, VIDEO, plain, said, seconds, whole
from tokenmeter.providers.media_kinds import AUDIO, TEXT, kind_of_file, kind_of_type
from tokenmeter.usage import Number, Usage

MEGAPIXEL = 1024 * 1024  # as fal counts them; each image is rounded up to whole ones
# What files are under these names; under others, by their type.
_NAMES = {
    **dict.fromkeys(("images", "image"), IMAGE),
    **dict.fromkeys(("videos", "video"), VIDEO),
    **dict.fromkeys(("audios", "audio", "audio_file", "audio_url"), AUDIO),
}
_TEXTS = ("output", "text", "response")
_COUNTS = {IMAGE: "image_count", VIDEO: "video_count"}


class File(NamedTuple):
    """One file of an answer."""

    kind: str  # the name of its event
    fields: Json


def read_result(payload: Json) -> Reading:
    """Read a finished answer: what was made, how much of it, how large and how long."""
    files = list(_files(payload))
    if not files:
        wrote = any(text(payload.get(name)) for name in _TEXTS)
        return Reading(state="success", event_name=TEXT) if wrote else NO_READING
    kinds = [file.kind for file in files]
    main = next(kind for kind in (VIDEO, IMAGE, AUDIO, OTHER) if kind in kinds)
    numbers: dict[str, Number] = {"output_count": kinds.count(main)}
    numbers |= {m: kinds.count(kind) for kind, m in _COUNTS.items() if kind in kinds}
    flags = {"counted"}
    if main == VIDEO:
        numbers["video_jobs"] = 1
    numbers |= _lengths(main, [file.fields for file in files if file.kind == main], payload)
    if main == VIDEO and "video_seconds" not in numbers:
        flags.add("missing:video_seconds")  # until the submit tells
    return Reading(
        usage=Usage(numbers),
        state="success",
        event_name=main,
        dimensions=_measured([file.fields for file in files if file.kind == IMAGE]),
        flags=frozenset(flags),
    )


def _files(payload: Json) -> Iterator[File]:
    for name, value in payload.items():
        for item in value if isinstance(value, list) else [value]:
            place = item if isinstance(item, str) else mapping(item).get("url")
            if not isinstance(place, str) or not _is_place(name, item):
                continue
            fields = mapping(item)
            typed = kind_of_type(text(fields.get("content_type")) or "")
            yield File(typed or _NAMES.get(name) or kind_of_file(place) or OTHER, fields)


def _is_place(name: str, item: object) -> bool:
    """An object with a `url` is a file; a mere text is, where files are named so."""
    return isinstance(item, dict) or (name in _NAMES and bool(text(item)))


def _lengths(main: str, files: list[Json], payload: Json) -> dict[str, Number]:
    metric = {VIDEO: "video_seconds", AUDIO: "audio_seconds"}.get(main)
    if metric is None:
        return {}
    found = [seconds(file.get("duration")) for file in files]
    if len(found) == 1 and found[0] is None:
        found = [seconds(payload.get("duration"))]
    known = [Decimal(length) for length in found if length is not None]
    return {metric: plain(sum(known, Decimal(0)))} if known and len(known) == len(files) else {}


def _measured(images: list[Json]) -> dict[str, str]:
    """Return the size of the images, and how many megapixels are billed for all of them."""
    sides = [(whole(image.get("width")), whole(image.get("height"))) for image in images]
    areas = [width * height for width, height in sides if width and height]
    if not areas or len(areas) != len(sides):
        return {}
    width, height = sides[0]
    return said(
        size=f"{width}x{height}", megapixels=str(sum(-(-area // MEGAPIXEL) for area in areas))
    )
