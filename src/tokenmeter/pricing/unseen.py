"""Text of a request that no rule counts: the provider may put it before the model all the same."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tokenmeter.pricing.documents import is_packed
from tokenmeter.pricing.prompt import read_prompt
from tokenmeter.providers.base import Json

BYTES_A_TOKEN = 3  # of text in any language, at the most tokens that are usual
SMALL_BYTES = 2_000  # of names, ids and settings, which are in every request
KEY_CHARS = 64  # a longer key is a text
_TEXT_URL = re.compile(r"data:(?:text/|application/(?:json|xml))")
_OF_TEXT = ("text/", "application/json", "application/xml")
_MIMES = ("mimeType", "mime_type", "media_type")
# Where a text is one, however it looks.
_AS_TEXT = ("text", "content", "input", "prompt", "instructions", "system", "output")
# What the provider made, and takes back unchanged or not at all.
_SEALED = frozenset({"signature", "thoughtSignature", "thought_signature", "encrypted_content"})


def unseen_tokens(body: Json) -> int:
    """Return the most tokens that the texts of a request may be beside those that are counted."""
    whole = _bytes(body)
    if whole <= SMALL_BYTES:
        return 0
    prompt = read_prompt(body)
    seen = 0
    if prompt is not None:
        seen = _bytes([prompt.texts, prompt.tools, prompt.schema])
    return max(0, whole - seen - SMALL_BYTES) // BYTES_A_TOKEN


def _bytes(value: object) -> int:
    return sum(map(_size, _texts(value)))


def _texts(value: object) -> Iterator[str]:
    """Yield the texts of a JSON value, and keys that are long enough to be some."""
    left = [value]
    while left:
        found = left.pop()
        if isinstance(found, str):
            yield found
        elif isinstance(found, list):
            left.extend(found)
        elif isinstance(found, dict):
            left.extend(found[name] for name in found if name not in _SEALED)
            yield from (name for name in found if len(name) > KEY_CHARS)
            yield from _text_within(found)


def _text_within(fields: Json) -> Iterator[str]:
    """Yield what looks like a file and is a text: a prompt without a space, a text in base64."""
    found = [fields.get(name) for name in _AS_TEXT]
    mime = next((fields[name] for name in _MIMES if isinstance(fields.get(name), str)), "")
    if str(mime).startswith(_OF_TEXT):
        found.append(fields.get("data"))
    for text in found:
        if isinstance(text, str) and is_packed(text):
            yield f"{text} "  # with a space it is none any more


def _size(text: str) -> int:
    if is_packed(text) and not _TEXT_URL.match(text):
        return 0
    return len(text) if text.isascii() else len(text.encode(errors="replace"))
