"""From the counts of an OpenAI-like API to ours: totals that include their disjoint parts."""

from __future__ import annotations

from dataclasses import replace

from tokenmeter.providers.base import Call, Part, Reading
from tokenmeter.providers.openai_wire import Dialect
from tokenmeter.usage import Number, Usage

_PARTS = (
    ("input_tokens", ("cache_read_tokens", "cache_write_tokens")),
    ("output_tokens", ("reasoning_tokens",)),
    ("cache_write_tokens", ("cache_write_30m_tokens", "cache_write_12h_tokens")),
)


def settle_text(dialect: Dialect, reading: Reading, call: Call) -> Reading:
    """
    Turn counts of tokens into totals that include their parts; flag what does not add up.

    The reported cost, the job's id, and what only the request knows are added.
    """
    numbers = reading.usage.to_dict()
    flags = reading.flags
    if numbers:
        _include_outside(numbers, dialect)
        _add_uncached(numbers)
        flags |= _contradictions(numbers)
    if call.usage and reading.state == "success":
        numbers = {**call.usage, **numbers}
    cost = None
    if dialect.cost is not None and reading.state in ("success", "failed"):
        cost = dialect.cost(reading.raw)
    return Reading(
        Usage(numbers),
        reading.model,
        reading.response_id or call.job_id,
        reading.created,
        reading.state,
        reading.error_type,
        reading.dimensions,
        tuple(map(_settled_part, reading.parts)),
        flags,
        reading.cost if cost is None else f"{cost:f}",
    )


def _settled_part(part: Part) -> Part:
    """Settle a sub-call's own tokens."""
    numbers = dict(part.usage)
    _add_uncached(numbers)
    return replace(part, usage=Usage(numbers))


def _include_outside(numbers: dict[str, Number], dialect: Dialect) -> None:
    """Add to input and output what the provider counts outside of them; the total tells."""
    prompt, completion = numbers.get("input_tokens"), numbers.get("output_tokens")
    if prompt is None or completion is None:
        return
    total = numbers.get("total_tokens")
    beyond = None if total is None else total - prompt - completion
    reasoning = _reasoning_outside(numbers, dialect, beyond)
    if reasoning:
        numbers["output_tokens"] = completion + reasoning
        numbers["reasoning_tokens"] = reasoning
    elif beyond and beyond == numbers.get("input_audio_tokens"):
        numbers["input_tokens"] = prompt + beyond
    numbers["input_tokens"] += numbers.get("tool_use_input_tokens", 0)
    if not beyond:  # there is no total, or it holds no more than prompt and completion
        numbers["total_tokens"] = numbers["input_tokens"] + numbers["output_tokens"]


def _reasoning_outside(
    numbers: dict[str, Number], dialect: Dialect, beyond: Number | None
) -> Number:
    """Return the reasoning tokens that completion_tokens leaves out."""
    reasoning = numbers.get("reasoning_tokens", 0)
    if not reasoning:
        hidden = beyond if dialect.hidden_reasoning and beyond else 0
        return max(hidden, 0)
    if beyond == reasoning:
        return reasoning
    if dialect.reasoning_outside and (beyond is None or reasoning > numbers["output_tokens"]):
        return reasoning
    return 0


def _add_uncached(numbers: dict[str, Number]) -> None:
    total = numbers.get("input_tokens")
    if total is None:
        return
    cached = numbers.get("cache_read_tokens", 0) + numbers.get("cache_write_tokens", 0)
    if cached <= total:
        numbers["uncached_input_tokens"] = total - cached


def _contradictions(numbers: dict[str, Number]) -> frozenset[str]:
    """Flag counts that cannot all be right; none of them is changed."""
    wrong = [
        whole
        for whole, parts in _PARTS
        if whole in numbers and sum(numbers.get(part, 0) for part in parts) > numbers[whole]
    ]
    # Beside the seconds of a sound Mistral's total has its tokens, which nothing else names.
    sounds = "audio_seconds" in numbers
    both = [numbers[m] for m in ("input_tokens", "output_tokens") if m in numbers]
    if both and not sounds and numbers.get("total_tokens", sum(both)) != sum(both):
        wrong.append("total_tokens")
    return frozenset(f"suspect:{whole}" for whole in wrong)
