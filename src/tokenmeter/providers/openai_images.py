"""Images: generations, edits, variations; tokens for gpt-image, a count for the others."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from tokenmeter.providers.base import Api, Call, Json, Part, Reading, mapping, text
from tokenmeter.providers.openai_chat import DONE
from tokenmeter.providers.openai_settle import settle_text
from tokenmeter.providers.openai_usage import walked
from tokenmeter.providers.openai_wire import Dialect, answer
from tokenmeter.usage import NOTHING, Usage

# What a request that does not say gets; the first match of the model's beginning.
_DEFAULTS = (
    ("dall-e-2", {"size": "1024x1024", "quality": "standard"}),
    ("dall-e-3", {"size": "1024x1024", "quality": "standard"}),
    ("gpt-image", {"size": "auto", "quality": "auto"}),
    ("chatgpt-image", {"size": "auto", "quality": "auto"}),
)
_INPUT_PARTS = ("input_text_tokens", "input_image_tokens")
COUNTED = frozenset({"counted"})  # seen in the answer, not reported as usage


def images_api(dialect: Dialect, operation: str) -> Api:
    """Return the Api of an images endpoint; each event of a stream is another image."""
    return Api(
        operation=operation,
        event_name="image_generated",
        read=read_images,
        settle=partial(settle_images, dialect),
        adds=True,
        done=DONE,  # or an image that is completed; a stream that ends before was cut short
    )


def image_dimensions(model: str | None, body: Json) -> dict[str, str]:
    """Return size and quality as asked for, else the model's documented defaults."""
    beginning = model or ""
    defaults = next((facts for name, facts in _DEFAULTS if beginning.startswith(name)), {})
    return {**defaults, **_sizes(body)}


def _sizes(body: Json) -> dict[str, str]:
    return {name: value for name in ("size", "quality") if (value := text(body.get(name)))}


def read_images(payload: Json) -> Reading:
    """Read a whole answer, or the event of one finished image; partial images count nothing."""
    kind = text(payload.get("type"))
    if kind is not None and not kind.endswith(".completed"):
        return replace(answer(payload, None, None), response_id=None)
    images = 1 if kind else _delivered(payload.get("data"))
    reading = answer(payload, payload.get("usage"), None if images is None else "success")
    made = {} if images is None else {"image_count": images, "output_count": images}
    return replace(
        reading,
        usage=reading.usage | made,
        response_id=None,
        dimensions={**reading.dimensions, **_sizes(payload)},
        parts=svg_parts(payload),
        flags=reading.flags | COUNTED if made and not reading.usage else reading.flags,
    )


def _delivered(items: object) -> int | None:
    """Count the images that are there; None if the answer has no list of them."""
    if not isinstance(items, list):
        return None
    images = [mapping(item) for item in items]
    return sum(
        isinstance(image.get("b64_json"), str) or isinstance(image.get("url"), str)
        for image in images
    )


def svg_parts(*images: Json) -> tuple[Part, ...]:
    """SVG output is written by a text model, billed apart from the images' own usage."""
    written = [svg for image in images if (svg := mapping(image.get("svg_usage")))]
    usage = sum((Usage(walked(svg).numbers) for svg in written), NOTHING)
    if not usage:
        return ()
    return (Part("svg", usage, text(written[0].get("model")), "text_generated"),)


def settle_images(dialect: Dialect, reading: Reading, call: Call) -> Reading:
    """
    Settle tokens; output tokens that no detail explains are image tokens.

    Microsoft's models tell the input's parts alone: 40 of text and 600 of images are 640.
    """
    usage = reading.usage
    parts = [usage[name] for name in _INPUT_PARTS if name in usage]
    if parts and "input_tokens" not in usage:
        usage = usage | {"input_tokens": sum(parts)}
    if usage.output_tokens is not None and usage.output_image_tokens is None:
        explained = usage.output_text_tokens or 0
        usage = usage | {"output_image_tokens": usage.output_tokens - explained}
    return settle_text(dialect, replace(reading, usage=usage), call)
