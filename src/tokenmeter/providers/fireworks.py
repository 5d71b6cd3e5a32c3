"""
Fireworks' images: a workflow of a model's own, whose answer is the image, or JSON that holds some.

https://docs.fireworks.ai/api-reference/generate-a-new-image-from-a-text-prompt (2026-11-30)
"""

from __future__ import annotations

import re

from tokenmeter.providers.anthropic_usage import label
from tokenmeter.providers.base import Api, Call, Json, Reading, Request, settled_as_read
from tokenmeter.providers.openai_wire import error_type
from tokenmeter.usage import Usage

_PATH = re.compile(r"/workflows/(?P<model>accounts/[^/]+/models/[^/]+)/text_to_image/?$")
_COUNTED = frozenset({"counted"})  # flag: the answer was counted, it reports nothing


def describe_fireworks(request: Request) -> Call | None:
    """Describe a request for an image; None for any other."""
    found = _PATH.search(request.path)
    if found is None or request.method != "POST":
        return None
    return Call("fireworks", IMAGES, label(found["model"]))


def read(payload: Json) -> Reading:
    """Count the images of an answer in JSON; one that was filtered is none."""
    failure = error_type(payload)
    images = payload.get("base64")
    if failure is not None or not isinstance(images, list):
        return Reading(state="failed" if failure else None, error_type=failure)
    made = sum(isinstance(image, str) and bool(image) for image in images)
    return _made(made) if made else Reading(state="failed", error_type="filtered")


def read_bytes(_body: bytes, content_type: str) -> Reading:
    """Take the image as it is delivered."""
    return _made(1) if content_type.startswith("image/") else Reading()


def _made(images: int) -> Reading:
    made = Usage(image_count=images, output_count=images)
    return Reading(made, state="success", flags=_COUNTED)


IMAGES = Api("text_to_image", "image_generated", read, settled_as_read, read_bytes=read_bytes)
