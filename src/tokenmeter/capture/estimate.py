"""Token estimates for streams that were aborted before the provider reported usage."""

from __future__ import annotations

from dataclasses import replace

from tokenmeter.providers.base import Json, Reading
from tokenmeter.usage import Number, Usage

BYTES_PER_TOKEN = 4  # English text; OpenAI's own rule of thumb (help.openai.com, 2026)
DEPTH_MAX = 32  # of nesting that is looked at in a request
ATTACHMENT_BYTES = 4_096  # a longer text without a space is an image or a file, not a prompt

PROMPT_FIELDS = (
    *("messages", "input", "prompt", "instructions", "system", "contents", "tools"),
    *("systemInstruction", "system_instruction"),
)
PLACEHOLDER = "output_placeholder"  # the adapter's flag: the output reported is not final


def estimated(reading: Reading, body: Json, text_bytes: int) -> tuple[Reading, bool]:
    """
    Fill in what an aborted stream did not report; say whether anything was filled in.

    Numbers that the provider reported stay. The output is never estimated below them. Of a
    request that could not be read nothing is known: its input stays missing; so does the
    output of a stream that delivered images or videos, of whose tokens the text says nothing.
    """
    usage = reading.usage
    found: dict[str, Number] = {}
    if "input_tokens" not in usage and body:
        prompt = sum(_text_bytes(body.get(name), 0) for name in PROMPT_FIELDS)
        found["input_tokens"] = _tokens(prompt)
    if ("output_tokens" not in usage or PLACEHOLDER in reading.flags) and not _shown(usage):
        found["output_tokens"] = max(usage.get("output_tokens", 0), _tokens(text_bytes))
    if not found:
        return reading, False
    filled = Usage({**usage, **found})
    if {"total_tokens", "input_tokens", "output_tokens"} <= filled.keys():
        found["total_tokens"] = filled["input_tokens"] + filled["output_tokens"]
    flags = reading.flags | {f"estimated:{metric}" for metric in found}
    return replace(reading, usage=usage | found, flags=flags - {PLACEHOLDER}), True


def _shown(usage: Usage) -> bool:
    """Whether images or videos came."""
    return any(usage.get(metric) for metric in ("image_count", "video_count"))


def _tokens(text_bytes: int) -> int:
    return -(-text_bytes // BYTES_PER_TOKEN)


def _text_bytes(value: object, depth: int) -> int:
    """Count the bytes of text in a part of a request, without attachments."""
    if isinstance(value, str):
        attached = len(value) > ATTACHMENT_BYTES and " " not in value[:ATTACHMENT_BYTES]
        return 0 if attached or value.startswith("data:") else len(value.encode(errors="replace"))
    if depth >= DEPTH_MAX:
        return 0
    if isinstance(value, dict):
        return sum(_text_bytes(inner, depth + 1) for inner in value.values())
    if isinstance(value, list):
        return sum(_text_bytes(inner, depth + 1) for inner in value)
    return 0
