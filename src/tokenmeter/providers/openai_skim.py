"""A whole chat completion, as OpenAI writes it: its usage without a look at its text."""

from __future__ import annotations

import json
import re

from tokenmeter.providers.base import Json

_HEAD = re.compile(
    rb'\s*\{\s*"id":\s*"([!#-\[\]-~]{1,256})",\s*"object":\s*"chat\.completion",'
    rb'\s*"created":\s*(\d{1,12}),\s*"model":\s*"([!#-\[\]-~]{1,256})",\s*"choices":\s*\[\s*\{'
)
# What stands behind the choices. Only this may follow: so `usage` is a field of the answer itself
# and no part of a text or of a tool's arguments.
_TAIL = re.compile(
    rb'"usage":\s*(\{[^{}]{1,1000}(?:\{[^{}]{0,400}\}[^{}]{0,400}){0,8}\})'
    rb'(?:,\s*"service_tier":\s*(?:"([a-z_]{1,32})"|null))?'
    rb'(?:,\s*"system_fingerprint":\s*(?:"[^"\\]{0,64}"|null))?\s*\}\s*\Z'
)
_decode = json.JSONDecoder().raw_decode


def skim_chat(body: bytes) -> Json | None:
    """
    Return the fields of a completion with one choice and a usage; None if it is not like that.

    Quotes within texts are escaped, so a quoted name followed by a colon is a name.
    """
    head = _HEAD.match(body)
    at = body.rfind(b'"usage"')
    if head is None or at < 0:
        return None
    tail = _TAIL.match(body, at)
    begin = head.end()
    if tail is None or body.count(b'"finish_reason"', begin, at) != 1:
        return None
    if body.find(b'"error"', begin, at) >= 0 or not _is_text(body):
        return None
    usage, tier = tail.groups()
    try:
        numbers, _ = _decode(usage.decode("ascii"))
    except (ValueError, RecursionError):
        return None
    answer_id, created, model = head.groups()
    return {
        "id": answer_id.decode("ascii"),
        "object": "chat.completion",
        "created": int(created),
        "model": model.decode("ascii"),
        "choices": [{}],
        "usage": numbers,
        "service_tier": None if tier is None else tier.decode("ascii"),
    }


def _is_text(body: bytes) -> bool:
    """Whether the body is UTF-8, as JSON must be."""
    try:
        return body.isascii() or bool(body.decode())
    except UnicodeDecodeError:
        return False
