"""From the counts of an OpenAI-like API to ours: totals that include their disjoint parts."""

from __future__ import annotations

from dataclasses import replace

from tokenmeter.providers.base import Call, Part, Reading
from tokenmeter.providers.openai_wire import Dialect
from tokenmeter.usage import Number, Usage

_TOTALS = ("input_tokens", "output_tokens", "total_tokens")


def settle_text(dialect: Dialect, reading: Reading, call: Call) -> Reading:
    """Turn counts of tokens into totals that include their parts, and say what does not add up."""
    usage = _with_outside(reading.usage, dialect)
    flags = _contradictions(usage)
    uncached = _uncached(usage)
    if uncached is not None:
        usage = usage | {"uncached_input_tokens": uncached}
    return settle_rest(dialect, replace(reading, usage=usage, flags=reading.flags | flags), call)


def settle_rest(dialect: Dialect, reading: Reading, call: Call) -> Reading:
    """Add the reported cost, the job's id, and what only the request knows."""
    usage = call.usage | reading.usage if reading.state == "success" else reading.usage
    cost = None
    if dialect.cost is not None and reading.state in ("success", "failed"):
        cost = dialect.cost(reading.raw)
    return replace(
        reading,
        usage=usage,
        cost=None if cost is None else f"{cost:f}",
        response_id=reading.response_id or call.job_id,
        parts=tuple(settled_part(part) for part in reading.parts),
        raw={},
    )


def settled_part(part: Part) -> Part:
    """Settle a sub-call's own tokens."""
    uncached = _uncached(part.usage)
    if uncached is None:
        return part
    return replace(part, usage=part.usage | {"uncached_input_tokens": uncached})


def _with_outside(usage: Usage, dialect: Dialect) -> Usage:
    """Add to input and output what the provider counts outside of them; the total tells."""
    prompt, completion, total = usage.input_tokens, usage.output_tokens, usage.total_tokens
    if prompt is None or completion is None:
        return usage
    cited = usage.tool_use_input_tokens or 0
    beyond = None if total is None else total - prompt - completion
    reasoning = _reasoning_outside(usage, dialect, beyond)
    audio = usage.input_audio_tokens or 0
    outside_audio = audio if audio and not reasoning and beyond == audio else 0
    changed = Usage(
        input_tokens=prompt + cited + outside_audio, output_tokens=completion + reasoning
    )
    if reasoning:
        changed = changed | {"reasoning_tokens": reasoning}
    if total is None or cited or (reasoning and beyond == 0):
        changed = changed | {"total_tokens": prompt + cited + completion + reasoning}
    return usage | changed


def _reasoning_outside(usage: Usage, dialect: Dialect, beyond: Number | None) -> Number:
    """Return the reasoning tokens that completion_tokens leaves out."""
    reasoning = usage.reasoning_tokens or 0
    if reasoning and beyond == reasoning:
        return reasoning
    more_than_all = reasoning > (usage.output_tokens or 0)
    if dialect.reasoning_outside and (beyond is None or more_than_all):
        return reasoning
    if dialect.hidden_reasoning and beyond and beyond > 0 and not reasoning:
        return beyond
    return 0


def _uncached(usage: Usage) -> Number | None:
    if usage.input_tokens is None:
        return None
    uncached = (
        usage.input_tokens - (usage.cache_read_tokens or 0) - (usage.cache_write_tokens or 0)
    )
    return uncached if uncached >= 0 else None


def _contradictions(usage: Usage) -> frozenset[str]:
    """Flag counts that cannot all be right; none of them is changed."""
    sums = (
        ("input_tokens", ("cache_read_tokens", "cache_write_tokens")),
        ("output_tokens", ("reasoning_tokens",)),
        ("cache_write_tokens", ("cache_write_30m_tokens", "cache_write_12h_tokens")),
    )
    flags = {
        f"suspect:{whole}"
        for whole, parts in sums
        if whole in usage and sum(usage.get(part, 0) for part in parts) > usage[whole]
    }
    if all(metric in usage for metric in _TOTALS) and _missing_in_total(usage):
        flags.add("suspect:total_tokens")
    return frozenset(flags)


def _missing_in_total(usage: Usage) -> bool:
    return usage["total_tokens"] != usage["input_tokens"] + usage["output_tokens"]
