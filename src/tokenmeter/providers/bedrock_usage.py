"""
Bedrock's token counts: in a body, in the stream's last frame, in the answer's headers.

AWS counts every call itself (headers, ``amazon-bedrock-invocationMetrics``), and bills by that;
most models report in their own body as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from tokenmeter.providers.anthropic_usage import label
from tokenmeter.providers.base import (
    NO_READING,
    Call,
    Json,
    Reading,
    count,
    counts,
    mapping,
    text,
    unknown,
)
from tokenmeter.providers.bedrock_models import counts_gross, has_family
from tokenmeter.usage import Number, Usage

METRICS = "amazon-bedrock-invocationMetrics"
AWS = "aws"  # in `raw`: what AWS itself counted, by the names below
GROSS = "gross"  # in `raw`: the body counts as OpenAI does, cached tokens within its input

# `input_tokens` as it was sent: with or without the cached ones, which `settle` decides.
_NAMES = {
    "inputTokenCount": "input_tokens",
    "inputTokens": "input_tokens",
    "outputTokenCount": "output_tokens",
    "outputTokens": "output_tokens",
    "totalTokens": "total_tokens",
    "cacheReadInputTokenCount": "cache_read_tokens",
    "cacheReadInputTokens": "cache_read_tokens",
    "cacheWriteInputTokenCount": "cache_write_tokens",
    "cacheWriteInputTokens": "cache_write_tokens",
}
_NOT_TOKENS = ("cacheDetails", "serverToolUsage", "invocationLatency", "firstByteLatency")
_KNOWN = frozenset((*_NAMES, *_NOT_TOKENS))
_LIFETIMES = {"5m": "cache_write_5m_tokens", "1h": "cache_write_1h_tokens"}
_HEADERS = {
    "x-amzn-bedrock-input-token-count": "input_tokens",
    "x-amzn-bedrock-output-token-count": "output_tokens",
    "x-amzn-bedrock-cache-read-input-token-count": "cache_read_tokens",
    "x-amzn-bedrock-cache-write-input-token-count": "cache_write_tokens",
}
_TIER = "x-amzn-bedrock-service-tier"
_LATENCY = "x-amzn-bedrock-performanceconfig-latency"
_ERROR = "x-amzn-errortype"
_DIGITS_MAX = 13


def read_usage(value: object) -> Reading:
    """Read one usage object of Converse or Nova; counts are as sent, not totals yet."""
    if value is None:
        return NO_READING
    if not isinstance(value, dict):
        return Reading(flags=frozenset({"invalid:usage"}))
    usage: Json = value
    numbers, flags = counts(usage, _NAMES)
    flags |= unknown(usage, _KNOWN) | unknown(mapping(usage.get("serverToolUsage")), frozenset())
    split = _split(usage.get("cacheDetails"), numbers.get("cache_write_tokens"))
    if split is None:
        return Reading(usage=numbers, flags=flags | {"suspect:cacheDetails"})
    return Reading(usage=numbers | split, flags=flags)


def _split(details: object, total: Number | None) -> Usage | None:
    """Read cache writes by lifetime; None if they are not what was written in all."""
    if details is None or details == []:
        return Usage()
    found: dict[str, Number] = {}
    for entry in details if isinstance(details, list) else [details]:
        metric = _LIFETIMES.get(str(mapping(entry).get("ttl")))
        number = count(mapping(entry).get("inputTokens"))
        if metric is None or number is None:
            return None
        found[metric] = found.get(metric, 0) + number
    return Usage(found) if sum(found.values()) == total else None


def read_metrics(payload: Json) -> Reading:
    """Read what AWS counted, in the last frame of a stream."""
    if METRICS not in payload:
        return NO_READING
    metrics = payload[METRICS]
    if not isinstance(metrics, dict):
        return Reading(state="success", flags=frozenset({f"invalid:{METRICS}"}))
    numbers, flags = counts(metrics, _NAMES)
    flags |= unknown(metrics, _KNOWN)
    return Reading(state="success", flags=flags, raw={AWS: numbers})


def read_headers(headers: Mapping[str, str]) -> Reading:
    """Read an answer's headers: AWS's token counts, the tier that served, the kind of error."""
    numbers: dict[str, Number] = {}
    for name, metric in _HEADERS.items():
        value = headers.get(name) or ""
        if value.isdecimal() and len(value) < _DIGITS_MAX:
            numbers[metric] = int(value)
    failed = label((headers.get(_ERROR) or "").partition(":")[0])
    return Reading(
        state="failed" if failed else None,
        error_type=failed,
        dimensions=dimensions(headers.get(_TIER), headers.get(_LATENCY)),
        raw={AWS: Usage(numbers)} if numbers else {},
    )


def dimensions(tier: object, latency: object) -> dict[str, str]:
    """Return what changes the price of a call, where it is not the standard."""
    found = {"service_tier": label(tier), "latency": label(latency)}
    return {k: v for k, v in found.items() if v is not None and (k, v) != ("latency", "standard")}


def read_failure(payload: Json) -> Reading | None:
    """Read an exception frame or an error's body; None for an answer. Never its message."""
    named = text(payload.get("__exception"))
    if named is None:
        if not isinstance(payload.get("message"), str) or set(payload) - _OF_AN_ERROR:
            return None
        named = (text(payload.get("__type")) or "").rpartition("#")[2]
    return Reading(state="failed", error_type=label(named))


_OF_AN_ERROR = frozenset({"message", "__type", "originalMessage", "originalStatusCode"})


def settle(reading: Reading, call: Call) -> Reading:
    """
    Make totals. Claude: 3 sent + 2,074 read + 297 written are 2,374 input tokens.

    OpenAI's family on Bedrock counts them in already: 12,401 with 8,367 read and 4,032 written
    are 12,401, unless that cannot be: 2 tokens do not hold 4,993.
    """
    numbers = dict(with_aws(reading))
    flags = reading.flags | _totals(numbers, reading, reading.model or call.request_model)
    if "input_tokens" in numbers and "output_tokens" in numbers:
        numbers["total_tokens"] = numbers["input_tokens"] + numbers["output_tokens"]
    usage = Usage(numbers)
    if reading.state == "success" and usage:
        usage = Usage(output_count=1) | usage
    return replace(reading, usage=call.usage | usage, flags=flags, raw={})


def with_aws(reading: Reading) -> Usage:
    """Lay AWS's own count, which it bills, over the model's; but OpenAI's form is clearer."""
    counted: Usage = reading.raw.get(AWS, Usage())
    return counted | reading.usage if reading.raw.get(GROSS) else reading.usage | counted


def _totals(numbers: dict[str, Number], reading: Reading, model: str | None) -> set[str]:
    """Make input and total of what was sent; return what is odd about it."""
    stated = numbers.pop("total_tokens", None)
    sent = numbers.pop("input_tokens", None)
    if sent is None or _is_broken(numbers, reading.flags):
        return set()
    cached = numbers.get("cache_read_tokens", 0) + numbers.get("cache_write_tokens", 0)
    beside = 0 if sent >= cached and _is_gross(reading, model) else cached
    numbers["input_tokens"] = sent + beside
    numbers["uncached_input_tokens"] = numbers["input_tokens"] - cached
    odd = {"family_unknown"} if beside and not has_family(model) else set[str]()
    # AWS adds the cached tokens to `totalTokens` whether they were in the input or not.
    both = sent + numbers.get("output_tokens", 0)
    if stated not in (None, both, both + cached):
        odd.add("suspect:total_tokens")
    return odd


def _is_gross(reading: Reading, model: str | None) -> bool:
    return reading.raw.get(GROSS) is True or counts_gross(model)


def _is_broken(numbers: Mapping[str, Number], flags: frozenset[str]) -> bool:
    """Say whether a part of the input was no number, so that there is no total."""
    return any(
        f"invalid:{wire}" in flags and metric not in numbers
        for wire, metric in _NAMES.items()
        if metric.startswith("cache_")
    )
