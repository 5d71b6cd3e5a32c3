"""The wire format that OpenAI's APIs and all compatible hosts share: usage, errors, costs."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from tokenmeter.providers.base import Json, Reading, State, counts, text, unknown
from tokenmeter.usage import NOTHING, Number, Usage

CostRule = Callable[[Mapping[str, Any]], Decimal | None]


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a host departs from OpenAI's own way; the default is a host nobody knows."""

    # The endpoint takes `stream_options` and does not report usage on a stream without it.
    asks_usage: bool = False
    # Ids of answers are the provider's own for all time.
    owns_ids: bool = False
    # reasoning_tokens lie outside completion_tokens, where the total does not tell.
    reasoning_outside: bool = False
    # What the total holds beyond prompt and completion is reasoning that is not named.
    hidden_reasoning: bool = False
    # What the host says it charged, in USD, from the fields of `COST_FIELDS`.
    cost: CostRule | None = None
    # The model of an image request that names none.
    image_model: str | None = None


PLAIN = Dialect()

# Every spelling that OpenAI and the compatible hosts use; none of them means two things.
_TOKENS = {
    "prompt_tokens": "input_tokens",
    "input_tokens": "input_tokens",
    "completion_tokens": "output_tokens",
    "output_tokens": "output_tokens",
    "total_tokens": "total_tokens",
    "cached_tokens": "cache_read_tokens",
    "prompt_cache_hit_tokens": "cache_read_tokens",
    "cache_read_input_tokens": "cache_read_tokens",
    "cache_creation_input_tokens": "cache_write_tokens",
    "reasoning_tokens": "reasoning_tokens",
    "citation_tokens": "tool_use_input_tokens",
    "num_search_queries": "web_search_count",
}
_INPUT_DETAILS = {
    "cached_tokens": "cache_read_tokens",
    "cache_write_tokens": "cache_write_tokens",
    "audio_tokens": "input_audio_tokens",
    "image_tokens": "input_image_tokens",
    "text_tokens": "input_text_tokens",
    "video_tokens": "input_video_tokens",
}
_OUTPUT_DETAILS = {
    "reasoning_tokens": "reasoning_tokens",
    "audio_tokens": "output_audio_tokens",
    "image_tokens": "output_image_tokens",
    "text_tokens": "output_text_tokens",
    "video_tokens": "output_video_tokens",
    "accepted_prediction_tokens": "accepted_prediction_tokens",
    "rejected_prediction_tokens": "rejected_prediction_tokens",
}
_CACHED_DETAILS = {
    "audio_tokens": "cache_read_audio_tokens",
    "image_tokens": "cache_read_image_tokens",
    "text_tokens": "cache_read_text_tokens",
    "cached_image_tokens": "cache_read_image_tokens",
    "cached_text_tokens": "cache_read_text_tokens",
}
_WRITE_DETAILS = {
    "ttl_30m_tokens": "cache_write_30m_tokens",
    "ttl_12h_tokens": "cache_write_12h_tokens",
}
_DETAILS: dict[str, dict[str, str]] = {
    "prompt_tokens_details": _INPUT_DETAILS,
    "prompt_token_details": _INPUT_DETAILS,
    "input_tokens_details": _INPUT_DETAILS,
    "input_token_details": _INPUT_DETAILS,
    "completion_tokens_details": _OUTPUT_DETAILS,
    "output_tokens_details": _OUTPUT_DETAILS,
    "output_token_details": _OUTPUT_DETAILS,
    "cached_tokens_details": _CACHED_DETAILS,
    "cache_write_tokens_details": _WRITE_DETAILS,
    "server_tool_use": {"web_search_requests": "web_search_count"},
    "server_tool_use_details": {"web_search_requests": "web_search_count"},
    "server_side_tool_usage_details": {"web_search_calls": "web_search_count"},
}
_SECONDS = {"seconds": "audio_seconds", "prompt_audio_seconds": "audio_seconds"}
COST_FIELDS = ("cost", "cost_in_usd_ticks", "is_byok", "cost_details")
_TIMES = ("queue_time", "prompt_time", "completion_time", "total_time")
_SAID_ELSEWHERE = ("type", "service_tier", "market_cost", "prompt_cache_miss_tokens")
_FACTS = ("search_context_size", "num_sources_used", "num_server_side_tools_used")
_EMPTY = ("audio_prompt_tokens", "request_count", "context_details")
_NOT_BILLED = (*_TIMES, *_SAID_ELSEWHERE, *_FACTS, *_EMPTY)
_KNOWN = frozenset((*_TOKENS, *_DETAILS, *_SECONDS, *COST_FIELDS, *_NOT_BILLED))
_SECONDS_MAX = 10**9


def read_usage(usage: object) -> Reading:
    """Read one `usage` object of any OpenAI-like API."""
    if usage is None:
        return Reading()
    if not isinstance(usage, dict):
        return Reading(flags=frozenset({"invalid:usage"}))
    found, flags = counts(usage, _TOKENS)
    for name, value in usage.items():
        if name in _DETAILS:
            more, more_flags = _details(name, value)
            found, flags = found | more, flags | more_flags
        elif name in _SECONDS and value is not None:
            length = seconds(value)
            flags |= frozenset() if length is not None else {f"invalid:{name}"}
            found = found if length is None else found | Usage({_SECONDS[name]: length})
    costs = {name: usage[name] for name in COST_FIELDS if usage.get(name) is not None}
    return Reading(usage=found, flags=flags | unknown(usage, _KNOWN), raw=costs)


def _details(name: str, value: object) -> tuple[Usage, frozenset[str]]:
    """Read one object of details, which may hold further ones."""
    if value is None:
        return NOTHING, frozenset()
    if not isinstance(value, dict):
        return NOTHING, frozenset({f"invalid:{name}"})
    names = _DETAILS[name]
    found, flags = counts(value, names)
    for inner in value.keys() & _DETAILS.keys():
        more, more_flags = _details(inner, value[inner])
        found, flags = found | more, flags | more_flags
    return found, flags | unknown(value, frozenset((*names, *_DETAILS)))


def seconds(value: object) -> Number | None:
    """Return a length in seconds, exactly as it was written, or None if `value` is not one."""
    number = decimal(value)
    if number is None or number > _SECONDS_MAX:
        return None
    return int(number) if number == int(number) else number


_NUMBER = re.compile(r"\d{1,12}(\.\d{1,18})?")


def decimal(value: object) -> Decimal | None:
    """Return a number that is not negative, exactly as the JSON had it; None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return Decimal(value) if 0 <= value <= 10**18 else None
    if isinstance(value, float):
        return Decimal(repr(value)) if math.isfinite(value) and value >= 0 else None
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return Decimal(value)
    return None


_CODE = re.compile(r"[A-Za-z][\w.\-/]{0,79}|\d{1,6}", re.ASCII)


def error_type(payload: Json) -> str | None:
    """Return the provider's short word for an error in this payload; None if there is none."""
    error = payload.get("error")
    if not error:
        return None
    words = (
        [error.get("code"), error.get("type"), error.get("status")]
        if isinstance(error, dict)
        else [payload.get("code"), payload.get("type")]
    )
    codes = [str(word) for word in words if isinstance(word, str | int) and word is not True]
    codes = [code for code in codes if _CODE.fullmatch(code)]
    named = [code for code in codes if not code.isdigit()]
    return next(iter(named or codes), "error")


def head(payload: Json, *, state: State | None = None) -> Reading:
    """Read what every answer carries beside its usage; an error makes it a failure."""
    failure = error_type(payload)
    tier = text(payload.get("service_tier"))
    return Reading(
        model=text(payload.get("model")),
        response_id=text(payload.get("id")),
        created=moment(payload.get("created"), payload.get("created_at")),
        state="failed" if failure else state,
        error_type=failure,
        dimensions={"service_tier": tier} if tier else {},
    )


def moment(*values: object) -> int | float | str | None:
    """Return the first of `values` that can be a time."""
    for value in values:
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            continue
        if isinstance(value, str):
            if value:
                return value
        elif 0 < value < 10**13:
            return value
    return None


def is_true(value: object) -> bool:
    """Tell a true flag, in JSON or in a form."""
    return value is True or value == "true"
