"""
The usual message, read at once: what was asked for, and what an answer reports.

As `openai_plain` does it: what is not exactly of the usual form is left to
`anthropic_messages.read` and `settle`, which are the rule.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from tokenmeter.providers.anthropic_usage import LABEL_CHARS_MAX
from tokenmeter.providers.base import COUNT_MAX, Call, Plain
from tokenmeter.providers.usual import answered_by, asked_by
from tokenmeter.usage import Number

_Count = Annotated[int, msgspec.Meta(ge=0, le=COUNT_MAX)]
_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=LABEL_CHARS_MAX)]


class _Asked(msgspec.Struct, frozen=True, gc=False):
    """The fields of a request that its description depends on."""

    model: _Name | None = None
    stream: bool | None = None
    service_tier: _Name | None = None
    speed: _Name | None = None
    inference_geo: _Name | None = None


class _Split(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    ephemeral_5m_input_tokens: _Count
    ephemeral_1h_input_tokens: _Count


class _Tools(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    web_search_requests: _Count | None = None
    web_fetch_requests: _Count | None = None


class _Details(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    thinking_tokens: _Count | None = None


class _Usage(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    input_tokens: _Count
    output_tokens: _Count
    cache_read_input_tokens: _Count | None = None
    cache_creation_input_tokens: _Count | None = None
    cache_creation: _Split | None = None
    server_tool_use: _Tools | None = None
    output_tokens_details: _Details | None = None
    service_tier: _Name | None = None
    speed: _Name | None = None
    inference_geo: _Name | None = None


class _Block(msgspec.Struct, gc=False):
    type: str


class _Message(msgspec.Struct, gc=False):
    type: Literal["message"]
    id: _Name
    model: _Name
    content: list[_Block]
    usage: _Usage
    stop_reason: str | None = None
    container: None = None


asked_message = asked_by(_Asked)
_read_message = answered_by(_Message)


def plain_message(body: bytes, _call: Call) -> Plain | None:
    """Return what a whole message reports, settled; None if it is not of the usual form."""
    found = _read_message(body)
    if found is None:
        return None
    if found.stop_reason == "refusal" or any(b.type == "fallback" for b in found.content):
        return None
    usage = found.usage
    served = {
        name: value
        for name, value in (
            ("service_tier", usage.service_tier),
            ("speed", usage.speed),
            ("inference_geo", usage.inference_geo),
        )
        if value
    }
    numbers = _settled(usage)
    if numbers is None or not all(map(str.isprintable, (found.id, found.model, *served.values()))):
        return None
    return Plain(numbers, found.model, found.id, None, served)


def _settled(usage: _Usage) -> dict[str, Number] | None:
    """Return the numbers with their totals; None if the split of the cache writes is odd."""
    read, written = usage.cache_read_input_tokens, usage.cache_creation_input_tokens
    total = usage.input_tokens + (read or 0) + (written or 0)
    numbers: dict[str, Number] = {
        "input_tokens": total,
        "output_tokens": usage.output_tokens,
        "total_tokens": total + usage.output_tokens,
        "uncached_input_tokens": usage.input_tokens,
        "output_count": 1,
    }
    split, tools, details = (
        usage.cache_creation,
        usage.server_tool_use,
        usage.output_tokens_details,
    )
    if split is not None:
        short, long = split.ephemeral_5m_input_tokens, split.ephemeral_1h_input_tokens
        if written is None or short + long != written:
            return None
        numbers["cache_write_5m_tokens"] = short
        numbers["cache_write_1h_tokens"] = long
    more = {
        "cache_read_tokens": read,
        "cache_write_tokens": written,
        "web_search_count": None if tools is None else tools.web_search_requests,
        "web_fetch_count": None if tools is None else tools.web_fetch_requests,
        "reasoning_tokens": None if details is None else details.thinking_tokens,
    }
    numbers.update((metric, number) for metric, number in more.items() if number is not None)
    return numbers
