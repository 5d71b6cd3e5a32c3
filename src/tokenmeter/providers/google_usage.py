"""
Google's usage objects, old and new names, turned into our metrics.

`usageMetadata` (generateContent, embeddings, Live) and `usage` (interactions) count the same
way: the prompt includes cached tokens, but thoughts lie outside the candidates, and what tools
put into the prompt lies outside the prompt. Our totals include both.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from tokenmeter.providers.base import Json, count, counts, mapping, text, unknown
from tokenmeter.usage import NOTHING, Number, Usage

# What the wire counts and we only have as a part of a total.
_PROMPT = "prompt"
_CANDIDATES = "candidates"
_TOOL_USE = "tool_use_input_tokens"
_CACHED = "cache_read_tokens"
_THOUGHTS = "reasoning_tokens"
_TOTAL = "total_tokens"
_AS_REPORTED = (_TOOL_USE, _CACHED, _THOUGHTS, _TOTAL)
_INPUT = (_PROMPT, _TOOL_USE)
_OUTPUT = (_CANDIDATES, _THOUGHTS)

_TEXT = "text"
_MEDIA = (_TEXT, "audio", "image", "video")
_PARTS = {
    f"{side}_tokens": tuple(f"{side}_{medium}_tokens" for medium in _MEDIA)
    for side in ("input", "output", "cache_read")
}
# Pages of a document are counted in the totals alone: no price list has a rate of their own.
_NO_METRIC = frozenset({"document"})
_UNSPECIFIED = "modality_unspecified"  # is text, says Google
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9 @._:/+-]{0,299}")


@dataclass(frozen=True, slots=True)
class Wire:
    """The names that one API has for its counts."""

    counts: Mapping[str, str]  # wire name -> metric or part
    splits: Mapping[str, str]  # wire name -> side: "input", "output", "cache_read"
    known: frozenset[str]  # further names, read elsewhere or meant for people


def _wire(counts: Mapping[str, str], splits: Mapping[str, str], *more: str) -> Wire:
    return Wire(counts, splits, frozenset((*counts, *splits, *more)))


METADATA = _wire(
    {
        "promptTokenCount": _PROMPT,
        "toolUsePromptTokenCount": _TOOL_USE,
        "cachedContentTokenCount": _CACHED,
        "candidatesTokenCount": _CANDIDATES,
        "responseTokenCount": _CANDIDATES,  # the Live API's word
        "thoughtsTokenCount": _THOUGHTS,
        "totalTokenCount": _TOTAL,
    },
    {
        "promptTokensDetails": "input",
        "promptTokenDetails": "input",  # as embeddings spell it
        "toolUsePromptTokensDetails": "input",
        "candidatesTokensDetails": "output",
        "responseTokensDetails": "output",
        "cacheTokensDetails": "cache_read",
    },
    "serviceTier",
    "trafficType",
)
INTERACTION = _wire(
    {
        "total_input_tokens": _PROMPT,
        "total_tool_use_tokens": _TOOL_USE,
        "total_cached_tokens": _CACHED,
        "total_output_tokens": _CANDIDATES,
        "total_thought_tokens": _THOUGHTS,
        "total_tokens": _TOTAL,
    },
    {
        "input_tokens_by_modality": "input",
        "tool_use_tokens_by_modality": "input",
        "output_tokens_by_modality": "output",
        "cached_tokens_by_modality": "cache_read",
    },
    "initial_input_tokens",
    "grounding_tool_count",
    # What each call of the model within was given; the totals hold what is billed of it.
    "raw_prompt_token",
    "model_invocation_token_counts",
    "non_grounding_model_invocation_token_counts",
)


class Counted(NamedTuple):
    """One whole report, and what was odd about it. A later report takes its place."""

    usage: Usage = NOTHING
    flags: frozenset[str] = frozenset()


def read_usage(value: object, wire: Wire = METADATA) -> Counted:
    """
    Read one usage object.

    272 prompt + 360 tool-use tokens are 632 input tokens; 108 candidate + 168 thought tokens
    are 276 output tokens. A total of which a part is no number is left out.
    """
    if value is None:
        return Counted()
    if not isinstance(value, dict):
        return Counted(flags=frozenset({"invalid:usage"}))
    fields: Json = value
    found, flags = counts(fields, wire.counts)
    broken = {part for name, part in wire.counts.items() if f"invalid:{name}" in flags}
    numbers = _totals(found, broken)
    splits, odd = _splits(fields, wire)
    flags |= odd | unknown(fields, wire.known) | _contradictions(numbers, splits)
    return Counted(Usage({**numbers, **_within(splits)}), flags)


def is_report(metadata: Json) -> bool:
    """Whether a `usageMetadata` counts anything; if not, it takes no earlier report's place."""
    there = METADATA.counts.keys() & metadata.keys()
    return any(count(metadata[name]) is not None for name in there) or (
        bool(metadata) and bool(read_usage(metadata).usage)
    )


def _totals(found: Usage, broken: set[str]) -> dict[str, Number]:
    numbers = {metric: found[metric] for metric in _AS_REPORTED if metric in found}
    prompt = _sum(found, _INPUT, broken) if _PROMPT in found else None
    if prompt is not None:
        numbers["input_tokens"] = prompt
        if _CACHED not in broken and found.get(_CACHED, 0) <= prompt:
            numbers["uncached_input_tokens"] = prompt - found.get(_CACHED, 0)
    output = _sum(found, _OUTPUT, broken)
    if output is not None:
        numbers["output_tokens"] = output
    return numbers


def _sum(found: Usage, parts: tuple[str, ...], broken: set[str]) -> Number | None:
    """Add up what is there; None if nothing is, or if something cannot be read."""
    there = [found[part] for part in parts if part in found]
    return sum(there) if there and broken.isdisjoint(parts) else None


def _splits(fields: Json, wire: Wire) -> tuple[dict[str, int], frozenset[str]]:
    """Read the counts by modality; those of the tools' prompt add to those of the prompt."""
    found: dict[str, int] = {}
    flags: set[str] = set()
    broken: set[str] = set()
    for name, side in wire.splits.items():
        if name not in fields:
            continue
        for modality, number in _entries(fields[name]):
            metric = f"{side}_{modality}_tokens"
            if modality in _NO_METRIC:
                continue
            if number is None or not modality:
                flags.add(f"invalid:{name}")
                broken.add(metric)
            elif modality in _MEDIA:
                found[metric] = found.get(metric, 0) + number
            else:
                flags.add(f"unknown:{modality}"[:80])
    for metric in broken:
        found.pop(metric, None)
    return found, frozenset(flags)


def _entries(value: object) -> Iterable[tuple[str, int | None]]:
    """Yield modality ('' if it is none) and count (None if it is none) of a split's entries."""
    if value is None:
        return
    for item in value if isinstance(value, list) else [value]:
        if not isinstance(item, dict):
            yield "", None
            continue
        entry: Json = item
        amount = entry.get("tokenCount", entry.get("tokens"))
        named = (label(entry.get("modality", _UNSPECIFIED)) or "").lower()
        if amount is not None:
            yield (_TEXT if named == _UNSPECIFIED else named), count(amount)


def _within(splits: Mapping[str, int]) -> dict[str, int]:
    """
    Leave out cached parts that are larger than their part of the input.

    Google counts the cached pages of a document as images, and the document as a document.
    """
    return {
        metric: number
        for metric, number in splits.items()
        if not metric.startswith("cache_read_")
        or number <= splits.get(metric.replace("cache_read_", "input_"), 0)
    }


def _contradictions(numbers: Mapping[str, Number], splits: Mapping[str, int]) -> frozenset[str]:
    """Flag counts that cannot all be right; none of them is changed."""
    flags = {
        f"suspect:{total}"
        for total, parts in _PARTS.items()
        if total in numbers and sum(splits.get(part, 0) for part in parts) > numbers[total]
    }
    spent = numbers.get("input_tokens")
    if spent is not None:
        if numbers.get(_CACHED, 0) > spent:
            flags.add(f"suspect:{_CACHED}")
        known = spent + numbers.get("output_tokens", 0)
        if numbers.get(_TOTAL, known) != known:
            flags.add(f"suspect:{_TOTAL}")
    return frozenset(flags)


def label(value: object) -> str | None:
    """Return a name (a model, a tier, a reason), or None if `value` is not one."""
    name = text(value)
    return name if name is not None and _LABEL.fullmatch(name) else None


def labels(**values: object) -> dict[str, str]:
    """Return those of `values` that are names, as dimensions."""
    found = {name: label(value) for name, value in values.items()}
    return {name: value for name, value in found.items() if value is not None}


def served_tier(metadata: Json) -> dict[str, str]:
    """Return the tier that served, as a dimension: ``standard``, ``on_demand_flex``."""
    tier = label(metadata.get("serviceTier")) or label(metadata.get("trafficType"))
    return {"service_tier": tier.lower()} if tier else {}


def error_type(payload: Json) -> str | None:
    """Return the short name of the error that a payload reports; None if it reports none."""
    error: Any = payload.get("error")
    if not error:
        return None
    fields = mapping(error)
    code = count(fields.get("code"))
    return label(fields.get("status")) or label(fields.get("code")) or str(code or "error")
