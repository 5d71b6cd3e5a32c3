"""
The sub-calls of one Anthropic message: `usage.iterations`.

Each entry is one sampling, billed at its own model's rates. The top-level usage leaves out
compactions and the advisor, and after a fallback it speaks of the attempt that answered only:
https://platform.claude.com/docs/en/build-with-claude/refusals-and-fallback (2026-11).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from tokenmeter.providers.anthropic_usage import (
    GROWTH,
    SERVED,
    SHORT,
    label,
    read_usage,
    with_totals,
)
from tokenmeter.providers.base import Part, Reading, mapping
from tokenmeter.providers.models import model_type
from tokenmeter.usage import Usage

ITERATIONS_MAX = 256  # more entries than this are not looked at, and flagged
REFUSED = "refused:"  # raw key: the category for which a model declined

# A refusal before any output is billed in these categories alone, since 2026-09-24; of the
# others the token counts are reported, but not charged (same page).
BILLED_REFUSALS = frozenset({"bio", "frontier_llm", "reasoning_extraction"})
UNBILLED = "unbilled_refusal"

_NEVER_INCLUDED = frozenset({"compaction", "advisor_message"})
_KINDS = _NEVER_INCLUDED | {"message", "fallback_message"}
_COMPARED = (
    "uncached_input_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "output_tokens",
)


@dataclass(frozen=True, slots=True)
class Iteration:
    """One entry: its type, its place in the list, and what it used."""

    kind: str
    place: int
    model: str | None
    usage: Usage
    flags: frozenset[str]


def with_iterations(reading: Reading, request_model: str | None) -> Reading:
    """Add a Part for each sub-call that the top-level usage leaves out."""
    listed = reading.raw.get("iterations")
    if listed is None:
        return reading
    if not isinstance(listed, list):
        return replace(reading, flags=reading.flags | {"invalid:iterations"})
    entries = [_read(entry, place) for place, entry in enumerate(listed[:ITERATIONS_MAX])]
    flags = reading.flags.union(*(entry.flags for entry in entries))
    if len(listed) > ITERATIONS_MAX:
        flags |= {"iterations_cut"}
    return _with_parts(replace(reading, flags=flags), entries, request_model)


def _with_parts(reading: Reading, entries: list[Iteration], request_model: str | None) -> Reading:
    apart, served = _apart(entries, reading.usage, reading.model or request_model)
    included = [entry for entry in entries if entry not in apart]
    charged = [entry for entry in apart if _is_charged(entry, reading.raw)]
    flags = reading.flags if len(charged) == len(apart) else reading.flags | {UNBILLED}
    reading = _with_lifetimes(replace(reading, model=served, flags=flags), included)
    return replace(reading, parts=tuple(_part(entry, reading) for entry in charged))


def _read(value: object, place: int) -> Iteration:
    entry = mapping(value)
    kind = label(entry.get("type")) or ""
    reading = with_totals(read_usage(entry))
    flags = reading.flags if kind in _KINDS else reading.flags | {"unknown:iterations.type"}
    return Iteration(kind, place, label(entry.get("model")), reading.usage, flags)


def _apart(
    entries: list[Iteration], usage: Usage, model: str | None
) -> tuple[list[Iteration], str | None]:
    """Return the entries that the top-level usage leaves out, and the model it speaks of."""
    beside = [entry for entry in entries if entry.kind in _NEVER_INCLUDED]
    attempts = [entry for entry in entries if entry.kind not in _NEVER_INCLUDED]
    left_out, served = _attempts_apart(attempts, usage, model)
    return [entry for entry in (*beside, *left_out) if any(entry.usage.values())], served


def _attempts_apart(
    attempts: list[Iteration], usage: Usage, model: str | None
) -> tuple[list[Iteration], str | None]:
    """
    Tell the attempts that the top-level usage leaves out.

    The numbers decide where they add up; else it is what another model than the serving one
    used.
    """
    if _add_up(attempts, usage):
        return [], model
    messages = [entry for entry in attempts if entry.kind == "message"]
    if messages and _add_up(messages, usage):
        return [entry for entry in attempts if entry.kind != "message"], model
    served = _fallback(attempts) or model
    return [entry for entry in attempts if _is_of_another(entry, served)], served


def _fallback(attempts: list[Iteration]) -> str | None:
    """Return the fallback model that answered in the end, if one did."""
    named = [entry.model for entry in attempts if entry.kind == "fallback_message"]
    return named[-1] if named else None


def _is_of_another(entry: Iteration, served: str | None) -> bool:
    if entry.model is None:
        return False
    return served is None or model_type(entry.model) != model_type(served)


def _add_up(entries: list[Iteration], usage: Usage) -> bool:
    """Say whether the entries together are what `usage` counts."""
    return all(
        sum(entry.usage.get(metric, 0) for entry in entries) == usage.get(metric, 0)
        for metric in _COMPARED
    )


def _with_lifetimes(reading: Reading, included: list[Iteration]) -> Reading:
    """Split cache writes of which the top-level split has a part, if the iterations' have all."""
    unsplit = reading.flags & {GROWTH, SHORT}
    if not unsplit or any(SHORT in entry.flags for entry in included):
        return reading
    split = {
        metric: sum(entry.usage.get(metric, 0) for entry in included)
        for metric in ("cache_write_5m_tokens", "cache_write_1h_tokens")
    }
    if sum(split.values()) != reading.usage.get("cache_write_tokens"):
        return reading
    return replace(reading, usage=reading.usage | split, flags=reading.flags - unsplit)


def _is_charged(entry: Iteration, raw: Mapping[str, Any]) -> bool:
    """An attempt that was declined before any output is charged in some categories only."""
    if entry.kind != "message" or entry.usage.get("output_tokens", 0):
        return True
    return raw.get(f"{REFUSED}{entry.model}") in BILLED_REFUSALS


def _part(entry: Iteration, reading: Reading) -> Part:
    own = entry.model is None or entry.model == reading.model
    shared = SERVED if own else ("service_tier", "inference_geo")  # each attempt has its `speed`
    dimensions = {name: value for name, value in reading.dimensions.items() if name in shared}
    kind = entry.kind if entry.kind in _KINDS else "iteration"
    return Part(f"{kind}-{entry.place}", entry.usage, entry.model, dimensions=dimensions)
