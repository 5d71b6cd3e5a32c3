"""
Seedream: images on Ark, one or a sequence, whole or streamed.

What is billed is `usage.generated_images`; the output tokens beside it are information. Of a
sequence some images may fail: they carry an error each, and do not count.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from tokenmeter.providers.base import Api, Call, Json, Reading, mapping, text, unknown
from tokenmeter.providers.byteplus_video import error_code, moment
from tokenmeter.providers.google_content import objects
from tokenmeter.providers.google_usage import label
from tokenmeter.providers.media import IMAGE, whole
from tokenmeter.usage import Number, Usage

SIZE_DEFAULT = "2048x2048"
IMAGES_MAX = 100  # of one answer
# Pixels up to and including which an image is priced as 1K, 2K, 3K; larger ones are 4K.
_TIERS = ((2_360_000, "1K"), (5_000_000, "2K"), (10_500_000, "3K"))
_NAMED = re.compile(r"[1-9]K", re.ASCII)
_PIXELS = re.compile(r"(\d{2,5})[x*](\d{2,5})", re.ASCII)
_KNOWN_USAGE = frozenset(
    {"generated_images", "input_images", "output_tokens", "total_tokens", "tool_usage"}
)
_DONE = "image_generation.completed"
_IMAGE = "image:"  # in `raw`: an image that a stream delivered, by its place
_ERROR = "error"  # in `raw`: why an image is missing


def describe_images(body: Json) -> dict[str, str]:
    """Return size, tier and input of the images asked for, by Ark's defaults."""
    size = label(body.get("size")) or SIZE_DEFAULT
    series = body.get("sequential_image_generation") == "auto"
    found = {
        **sizes(size),
        "input_type": "image" if body.get("image") else "text",
        "sequential": "true" if series else "false",
    }
    images = whole(mapping(body.get("sequential_image_generation_options")).get("max_images"))
    return {**found, "n": str(images)} if series and images else found


def sizes(size: str) -> dict[str, str]:
    """
    Return `size` and the `resolution` by which it is priced.

    2048x1152 has 2.36 million pixels and is 1K; 2048x2048 is 2K, and so is "2K" itself.
    """
    named = size.upper()
    if _NAMED.fullmatch(named):
        return {"size": named, "resolution": named}
    pixels = _PIXELS.fullmatch(size)
    if pixels is None:
        return {"size": size} if size else {}
    area = int(pixels[1]) * int(pixels[2])
    tier = next((tier for up_to, tier in _TIERS if area <= up_to), "4K")
    return {"size": f"{pixels[1]}x{pixels[2]}", "resolution": tier}


def read_images(payload: Json) -> Reading:
    """Read a whole answer, or one event of a stream."""
    kind = text(payload.get("type"))
    if kind is not None and kind.startswith("image_generation.partial"):
        return _read_image(payload)
    reading = Reading(
        model=label(payload.get("model")),
        created=moment(payload.get("created")),
    )
    failure = error_code(payload)
    if kind is None and "data" not in payload and "usage" not in payload:
        return reading if failure is None else _failed(reading, failure)
    reading = _with_usage(reading, mapping(payload.get("usage")))
    if kind is None:
        reading = _with_images(reading, payload.get("data"))
    return _judged(reading, failure)


def _read_image(event: Json) -> Reading:
    """Read the event of one image, made or failed; they are counted when the stream ends."""
    head = Reading(model=label(event.get("model")))
    place = whole(event.get("image_index"))
    failure = error_code(event)
    if failure is not None:
        return replace(head, raw={_ERROR: failure})
    if not _is_made(event) or place is None or place >= IMAGES_MAX:
        return replace(head, flags=frozenset({"invalid:image"}))
    size = label(event.get("size")) or ""
    return replace(head, raw={f"{_IMAGE}{place}": True}, dimensions=sizes(size))


def _with_usage(reading: Reading, reported: Json) -> Reading:
    numbers: dict[str, Number] = {}
    flags = set(unknown(reported, _KNOWN_USAGE))
    tools = mapping(reported.get("tool_usage"))
    for metric, value in (
        ("image_count", reported.get("generated_images")),
        ("output_tokens", reported.get("output_tokens")),
        ("total_tokens", reported.get("total_tokens")),
        ("web_search_count", tools.get("web_search")),
    ):
        number = whole(value)
        if number is not None:
            numbers[metric] = number
        elif value is not None:
            flags.add(f"invalid:{metric}")
    given = whole(reported.get("input_images"))
    dimensions = {} if given is None else {"input_images": str(given)}
    return replace(reading, usage=Usage(numbers), flags=frozenset(flags), dimensions=dimensions)


def _with_images(reading: Reading, items: object) -> Reading:
    """Look at the images themselves: their size, how many there are, why others are not."""
    images = list(objects(items))
    made = [image for image in images if _is_made(image)]
    raw: dict[str, object] = {f"{_IMAGE}{place}": True for place in range(len(made))}
    named = (label(image.get("size")) for image in made)
    dimensions = {**reading.dimensions, **sizes(next(filter(None, named), ""))}
    reading = replace(reading, raw=raw, dimensions=dimensions)
    failures = list(filter(None, map(error_code, images)))
    if not failures:
        return reading
    flags = reading.flags | {f"undelivered:{len(failures)}"}
    return replace(reading, raw={**raw, _ERROR: failures[0]}, flags=flags)


def _is_made(image: Json) -> bool:
    """An image has an address or bytes (which may have been cut out), and no error."""
    there = isinstance(image.get("url"), str) or isinstance(image.get("b64_json"), str)
    return there and not image.get("error")


def _judged(reading: Reading, failure: str | None) -> Reading:
    """An answer with images has succeeded; one that says there are none has failed."""
    count = reading.usage.get("image_count")
    failed = count == 0 or failure is not None or _ERROR in reading.raw
    if count or _delivered(reading.raw) or not failed:
        return replace(reading, state="success")
    return _failed(reading, failure)


def _failed(reading: Reading, failure: str | None) -> Reading:
    return replace(reading, state="failed", error_type=failure)


def _delivered(raw: Mapping[str, object]) -> int:
    return sum(name.startswith(_IMAGE) for name in raw)


def settle_images(reading: Reading, _call: Call) -> Reading:
    """Count the images: what the usage says, else what was delivered until then."""
    usage = reading.usage
    if "image_count" not in usage and reading.state != "failed":
        made = _delivered(reading.raw)
        usage = usage | ({"image_count": made} if made else {})
    if "image_count" in usage:
        usage = usage | {"output_count": usage["image_count"]}
    if reading.state == "failed":
        why = reading.error_type or reading.raw.get(_ERROR) or "no_output"
        reading = replace(reading, error_type=why)
    return replace(reading, usage=usage, raw={})


IMAGES = Api(
    "images.generations",
    IMAGE,
    read_images,
    settle_images,
    needles=(b'"usage"', b'"error"', b"image_generation."),
    done=b"[DONE]",
)
