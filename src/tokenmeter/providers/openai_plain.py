"""
The usual chat completion, read at once: what was asked for, and what an answer reports.

msgspec steps over the texts and takes the few fields that count. Whatever is not exactly of the
usual form (another field in the usage, numbers that do not add up) is left to `read_chat` and
`settle_text`, which are the rule; this is the same, faster.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from tokenmeter.providers.base import (
    COUNT_MAX,
    TEXT_CHARS_MAX,
    Call,
    Plain,
    PlainStream,
    Reading,
)
from tokenmeter.providers.usual import answered_by, asked_by
from tokenmeter.usage import NOTHING, Number

_Count = Annotated[int, msgspec.Meta(ge=0, le=COUNT_MAX)]
_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=TEXT_CHARS_MAX)]
_INPUT = {
    "cached_tokens": "cache_read_tokens",
    "cache_write_tokens": "cache_write_tokens",
    "audio_tokens": "input_audio_tokens",
    "image_tokens": "input_image_tokens",
    "text_tokens": "input_text_tokens",
}
_OUTPUT = {
    "reasoning_tokens": "reasoning_tokens",
    "audio_tokens": "output_audio_tokens",
    "image_tokens": "output_image_tokens",
    "text_tokens": "output_text_tokens",
    "accepted_prediction_tokens": "accepted_prediction_tokens",
    "rejected_prediction_tokens": "rejected_prediction_tokens",
}


class _Options(msgspec.Struct, frozen=True, gc=False):
    include_usage: bool | None = None


class _Asked(msgspec.Struct, frozen=True, gc=False):
    """The fields of a chat's request that its description depends on."""

    model: _Name | None = None
    stream: bool | None = None
    stream_options: _Options | None = None
    service_tier: _Name | None = None
    deferred: Literal[False] | None = None
    data_sources: msgspec.UnsetType = msgspec.UNSET  # Azure's; there may be none


_InputDetail = Literal[
    "cached_tokens", "cache_write_tokens", "audio_tokens", "image_tokens", "text_tokens"
]
_OutputDetail = Literal[
    "reasoning_tokens",
    "audio_tokens",
    "image_tokens",
    "text_tokens",
    "accepted_prediction_tokens",
    "rejected_prediction_tokens",
]


class _Usage(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    prompt_tokens: _Count
    completion_tokens: _Count
    total_tokens: _Count
    prompt_tokens_details: dict[_InputDetail, _Count | None] | None = None
    completion_tokens_details: dict[_OutputDetail, _Count | None] | None = None


class _Message(msgspec.Struct, gc=False):
    images: None = None


class _Choice(msgspec.Struct, gc=False):
    error: None = None
    message: _Message | None = None


class _Completion(msgspec.Struct, gc=False):
    object: Literal["chat.completion"]
    id: _Name
    created: Annotated[int, msgspec.Meta(gt=0, lt=10**12)]
    model: _Name
    choices: Annotated[list[_Choice], msgspec.Meta(min_length=1)]
    usage: _Usage
    service_tier: _Name | None = None
    error: None = None
    base_resp: None = None


class _Delta(msgspec.Struct, gc=False):
    images: None = None


class _Piece(msgspec.Struct, gc=False):
    delta: _Delta
    error: None = None
    usage: None = None


class _First(msgspec.Struct, gc=False):
    """The first chunk of a stream; Azure's has no choices."""

    object: Literal["chat.completion.chunk"]
    id: _Name
    created: Annotated[int, msgspec.Meta(gt=0, lt=10**12)]
    model: _Name
    choices: list[_Piece]
    service_tier: _Name | None = None
    usage: None = None
    error: None = None
    x_groq: None = None
    timings: None = None
    base_resp: None = None


class _Last(msgspec.Struct, gc=False):
    """The chunk that brings the usage, behind the one that ended the text."""

    choices: Annotated[list[None], msgspec.Meta(max_length=0)]
    usage: _Usage
    object: Literal["chat.completion.chunk"] | None = None
    id: _Name | None = None
    created: Annotated[int, msgspec.Meta(gt=0, lt=10**12)] | None = None
    model: _Name | None = None
    service_tier: _Name | None = None
    error: None = None
    base_resp: None = None


asked_chat = asked_by(_Asked)
_read_completion = answered_by(_Completion)
_read_first, _read_last = answered_by(_First), answered_by(_Last)


def always_searches(model: str) -> bool:
    """Say whether this is a model of OpenAI's that searches the web before each answer."""
    return "-search-preview" in model or "-search-api" in model


def plain_chat(body: bytes, _call: Call) -> Plain | None:
    """Return what a whole completion reports, settled; None if it is not of the usual form."""
    found = _read_completion(body)
    if found is None or not (found.id.isprintable() and found.model.isprintable()):
        return None
    if "-search-" in found.model:
        return None
    tier = found.service_tier
    numbers = _settled(found.usage)
    if numbers is None or (tier is not None and not tier.isprintable()):
        return None
    numbers["output_count"] = len(found.choices)
    return Plain(
        numbers, found.model, found.id, found.created, {"service_tier": tier} if tier else {}
    )


def _first_chunk(payload: bytes) -> Reading | None:
    """Return what the first chunk of a stream reports; None if it is not of the usual form."""
    found = _read_first(payload)
    if found is None or not _is_plain(found.id, found.model, found.service_tier):
        return None
    served = _served(found.service_tier)
    return Reading(NOTHING, found.model, found.id, found.created, dimensions=served)


def _last_chunk(payload: bytes, first: Reading) -> Plain | None:
    """Return what a stream reports, settled, by the chunk that has its usage; None as above."""
    found = _read_last(payload)
    if found is None or (found.id or first.response_id) != first.response_id:
        return None
    name, model, tier = (
        first.response_id or "",
        found.model or first.model or "",
        found.service_tier,
    )
    numbers = _settled(found.usage)
    if numbers is None or not _is_plain(name, model, tier):
        return None
    served = _served(tier) or first.dimensions
    return Plain(numbers, model, name, found.created or first.created, served)


def _is_plain(name: str, model: str, tier: str | None) -> bool:
    """Whether the names are clean, and nothing is billed that no answer tells."""
    if not (name.isprintable() and model.isprintable() and (tier is None or tier.isprintable())):
        return False
    return "-search-" not in model


def _served(tier: str | None) -> dict[str, str]:
    return {"service_tier": tier} if tier else {}


plain_chunks = PlainStream(_first_chunk, _last_chunk)


def _settled(usage: _Usage) -> dict[str, Number] | None:
    """Return the numbers with their totals; None if they contradict each other."""
    prompt, completion, total = usage.prompt_tokens, usage.completion_tokens, usage.total_tokens
    if prompt + completion != total:
        return None
    numbers: dict[str, Number] = {
        "input_tokens": prompt,
        "output_tokens": completion,
        "total_tokens": total,
    }
    read, written = usage.prompt_tokens_details, usage.completion_tokens_details
    if not read and not written:
        numbers["uncached_input_tokens"] = prompt
        return numbers
    for details, names in ((read, _INPUT), (written, _OUTPUT)):
        for name, number in (details or {}).items():
            if number is not None:
                numbers[names[name]] = number
    cached = numbers.get("cache_read_tokens", 0) + numbers.get("cache_write_tokens", 0)
    if cached > prompt or numbers.get("reasoning_tokens", 0) > completion:
        return None
    numbers["uncached_input_tokens"] = prompt - cached
    return numbers
