"""
Anthropic's usage object: what one report says, and the totals at the end.

`input_tokens` on the wire leaves out cached and cache-written tokens; ours includes them. In a
stream, `message_start` and each `message_delta` report cumulative counts: the later one
overwrites. Only `message_start` splits cache writes by lifetime.
"""

from __future__ import annotations

from dataclasses import replace

from tokenmeter.providers.base import Json, Reading, counts, mapping, text, unknown
from tokenmeter.usage import Number, Usage

SHORT = "cache_split_short"  # flag: the split did not cover its total, the rest is taken as 5 m
GROWTH = "cache_growth_ttl_unknown"  # flag: of some cache writes the lifetime is not known

LABEL_CHARS_MAX = 200  # a longer name of a model, tier or category is a mistake of the wire

_COUNTS = {
    "input_tokens": "uncached_input_tokens",
    "cache_read_input_tokens": "cache_read_tokens",
    "cache_creation_input_tokens": "cache_write_tokens",
    "output_tokens": "output_tokens",
}
_INPUT = {wire: metric for wire, metric in _COUNTS.items() if wire != "output_tokens"}
_SPLIT = {
    "ephemeral_5m_input_tokens": "cache_write_5m_tokens",
    "ephemeral_1h_input_tokens": "cache_write_1h_tokens",
}
_NESTED = {
    "cache_creation": _SPLIT,
    "server_tool_use": {
        "web_search_requests": "web_search_count",
        "web_fetch_requests": "web_fetch_count",
    },
    "output_tokens_details": {"thinking_tokens": "reasoning_tokens"},
}
# Billed by container time, of which the answer says nothing: counted as a dimension only.
_CODE = "code_execution_requests"
# What was served. A request asks for it in fields of the same names.
SERVED = ("service_tier", "speed", "inference_geo")
# `type` and `model` stand in the entries of `iterations`.
_KNOWN = frozenset((*_COUNTS, *_NESTED, *SERVED, "iterations", "fallback_credit", "type", "model"))


def label(value: object) -> str | None:
    """Return a name (of a model, a tier, a category), or None if `value` is not one."""
    name = text(value)
    return name if name is not None and len(name) <= LABEL_CHARS_MAX else None


def labels(payload: Json, names: tuple[str, ...] = SERVED) -> dict[str, str]:
    """Return those of `names` that `payload` gives a name for."""
    found = {name: label(payload.get(name)) for name in names}
    return {name: value for name, value in found.items() if value is not None}


def read_usage(value: object) -> Reading:
    """
    Read one usage object: of a body, a stream event or an iteration.

    The counts come under our names but are not totals yet. `raw` keeps the cache writes that
    the split speaks of, and the iterations.
    """
    if value is None:
        return Reading()
    if not isinstance(value, dict):
        return Reading(flags=frozenset({"invalid:usage"}))
    usage: Json = value
    numbers, flags = counts(usage, _COUNTS)
    for name, wire_names in _NESTED.items():
        more, doubts = _nested(usage, name, wire_names)
        numbers, flags = numbers | more, flags | doubts
    raw: Json = {}
    if isinstance(usage.get("cache_creation"), dict) and "cache_write_tokens" in numbers:
        raw["split_of"] = numbers["cache_write_tokens"]
    if usage.get("iterations") is not None:
        raw["iterations"] = usage["iterations"]
    flags |= unknown(usage, _KNOWN) | _odd(usage, (*SERVED, "fallback_credit"))
    return Reading(usage=numbers, dimensions=_dimensions(usage), flags=flags, raw=raw)


def _nested(usage: Json, name: str, wire_names: dict[str, str]) -> tuple[Usage, frozenset[str]]:
    inner = usage.get(name)
    if inner is not None and not isinstance(inner, dict):
        return Usage(), frozenset({f"invalid:{name}"})
    numbers, flags = counts(mapping(inner), wire_names)
    return numbers, flags | unknown(mapping(inner), frozenset((*wire_names, _CODE)))


def _odd(usage: Json, names: tuple[str, ...]) -> frozenset[str]:
    """Flag the fields that are neither a name nor an object."""
    return frozenset(
        f"invalid:{name}"
        for name in names
        if usage.get(name) is not None
        and label(usage[name]) is None
        and not isinstance(usage[name], dict)
    )


def _dimensions(usage: Json) -> dict[str, str]:
    found = labels(usage)
    credit = mapping(usage.get("fallback_credit")).get("status")
    redeemed = label(mapping(credit).get("type")) or label(credit)
    if redeemed is not None:
        found["fallback_credit"] = redeemed
    runs, _ = counts(mapping(usage.get("server_tool_use")), {_CODE: _CODE})
    if _CODE in runs:
        found[_CODE] = str(runs[_CODE])
    return found


def with_totals(reading: Reading) -> Reading:
    """
    Add the totals: 17 + 2,000 cached + 56 cache-written tokens are 2,073 input tokens.

    A total of which a part is no number is left out.
    """
    numbers = dict(reading.usage)
    flags = reading.flags | _settle_split(numbers, reading.raw.get("split_of"))
    parts = [numbers.get(metric) for metric in _INPUT.values()]
    broken = any(
        metric not in numbers and f"invalid:{wire}" in flags for wire, metric in _INPUT.items()
    )
    if parts[0] is not None and not broken:
        numbers["input_tokens"] = sum(part for part in parts if part is not None)
        if "output_tokens" in numbers:
            numbers["total_tokens"] = numbers["input_tokens"] + numbers["output_tokens"]
    return replace(reading, usage=Usage(numbers), flags=flags)


def _settle_split(numbers: dict[str, Number], split_of: Number | None) -> set[str]:
    """
    Bring the split of the cache writes by lifetime in line with their total.

    Short of what it was given for (`split_of`): the rest counts as 5 minutes, flagged. Grown
    since: of the extra writes the lifetime is not known, flagged.
    """
    split = [numbers[metric] for metric in _SPLIT.values() if metric in numbers]
    if not split:
        return set()
    told = sum(split)
    total = numbers.setdefault("cache_write_tokens", told)
    if told > total:
        for metric in _SPLIT.values():
            numbers.pop(metric, None)
        return {"cache_split_excess"}
    flags: set[str] = set()
    described = total if split_of is None else min(split_of, total)
    if told < described:
        short = "cache_write_5m_tokens"
        numbers[short] = numbers.get(short, 0) + described - told
        flags.add(SHORT)
    if max(told, described) < total:
        flags.add(GROWTH)
    return flags
