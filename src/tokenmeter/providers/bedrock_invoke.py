"""Bedrock's InvokeModel: every family's own body and stream, and what AWS counted beside it."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from itertools import zip_longest

from tokenmeter.providers import anthropic
from tokenmeter.providers.anthropic_messages import NEEDLES as CLAUDE_NEEDLES
from tokenmeter.providers.anthropic_messages import delivered_text as claude_text
from tokenmeter.providers.anthropic_usage import label
from tokenmeter.providers.base import (
    NO_READING,
    Api,
    Call,
    Json,
    Reading,
    count,
    counts,
    mapping,
    text,
)
from tokenmeter.providers.bedrock_converse import EVENT_TYPE
from tokenmeter.providers.bedrock_converse import delivered_text as converse_text
from tokenmeter.providers.bedrock_usage import (
    GROSS,
    METRICS,
    read_failure,
    read_headers,
    read_metrics,
    read_usage,
    settle,
    with_aws,
)
from tokenmeter.providers.openai_chat import chat_text
from tokenmeter.providers.openai_usage import walked
from tokenmeter.providers.openai_wire import error_type
from tokenmeter.usage import Number, Usage

_NEEDLES = (
    *(b'"usage"', b'"error"', b'"__exception"', METRICS.encode()),
    *(b"TokenCount", b"_token_count", b"guardrailAction"),
)
# Counts that stand beside the text: Titan, Llama, Nova's embeddings.
_COUNTS = {
    "inputTextTokenCount": "input_tokens",
    "inputTokenCount": "input_tokens",
    "totalOutputTextTokenCount": "output_tokens",
    "prompt_token_count": "input_tokens",
    "generation_token_count": "output_tokens",
}
_GUARDRAIL = "amazon-bedrock-guardrailAction"
_CONVERSE_USAGE = frozenset({"inputTokens", "outputTokens"})
_FINISHED = (None, "SUCCESS")  # of an image that is there
_TEXTS = ("outputText", "generation", "text", "completion")


def read(payload: Json) -> Reading:
    """Read a body, or one decoded frame of a stream, of any family but Claude's."""
    failure = read_failure(payload)
    if failure is not None:
        return failure
    reading = read_metrics(payload) | _reported(payload) | _named(payload)
    if EVENT_TYPE not in payload:
        reading |= Reading(state="success")
    failed = error_type(payload)
    if failed is not None and not reading.usage.get("image_count"):
        reading |= Reading(state="failed", error_type=failed)
    return reading


def _reported(payload: Json) -> Reading:
    usage = mapping(payload.get("metadata")).get("usage", payload.get("usage"))
    if isinstance(usage, dict) and _CONVERSE_USAGE.isdisjoint(usage):
        found = walked(usage)
        return Reading(usage=Usage(found.numbers), flags=frozenset(found.flags), raw={GROSS: True})
    return read_usage(usage) | _counted(payload) | _images(payload)


def _counted(payload: Json) -> Reading:
    """
    Read the counts beside a text.

    Where a guardrail wrote the text they count its words, and perhaps no model ran at all.
    """
    if payload.get(_GUARDRAIL) == "INTERVENED":
        return Reading(flags=frozenset({"guardrail_intervened"}))
    numbers, flags = counts(payload, _COUNTS)
    results = payload.get("results")
    made = [count(mapping(r).get("tokenCount")) for r in _list(results) if "tokenCount" in r]
    if made and None not in made:
        numbers = numbers | {"output_tokens": sum(filter(None, made))}
    elif made:
        flags |= {"invalid:tokenCount"}
    return Reading(usage=numbers, flags=flags)


def _named(payload: Json) -> Reading:
    tier = label(payload.get("service_tier"))
    return Reading(
        model=label(payload.get("model")),
        response_id=label(payload.get("id")),
        dimensions={"service_tier": tier} if tier else {},
    )


def _images(payload: Json) -> Reading:
    """Count the images that are there: a filtered one is named, but not delivered."""
    images = payload.get("images", payload.get("artifacts"))
    made = [image for image in images if _is_image(image)] if isinstance(images, list) else []
    if not made:
        return NO_READING
    reasons = payload.get("finish_reasons")
    stated = reasons if isinstance(reasons, list) else []
    kept = zip_longest(made, stated[: len(made)])
    delivered = sum(mapping(i).get("finishReason", why) in _FINISHED for i, why in kept)
    if not delivered:
        return Reading(state="failed", error_type="filtered")
    numbers: dict[str, Number] = {"image_count": delivered, "output_count": delivered}
    return Reading(usage=Usage(numbers), flags=frozenset({"counted"}))


def _is_image(value: object) -> bool:
    return isinstance(value, str) or isinstance(mapping(value).get("base64"), str)


def _list(value: object) -> list[Json]:
    return [mapping(item) for item in value] if isinstance(value, list) else []


def delivered_text(frame: Json) -> str:
    """Return the text that one frame delivers, whatever family it is of."""
    for name in _TEXTS:
        found = text(frame.get(name))
        if found is not None:
            return found
    outputs = "".join(text(output.get("text")) or "" for output in _list(frame.get("outputs")))
    return outputs or chat_text(frame) or converse_text(frame)


def read_claude(payload: Json) -> Reading:
    """Read a message of Claude, one event of it, or a legacy completion."""
    failure = read_failure(payload)
    if failure is not None:
        return failure
    reading = anthropic.read(payload) | read_metrics(payload)
    if EVENT_TYPE not in payload and "completion" in payload:
        reading |= Reading(state="success")
    return reading


def settle_claude(reading: Reading, call: Call) -> Reading:
    """Settle a message; what its body does not report, AWS does: cached tokens not within."""
    if "uncached_input_tokens" not in reading.usage:
        counted = dict(with_aws(replace(reading, raw={**reading.raw, GROSS: True})))
        if "input_tokens" in counted:
            counted["uncached_input_tokens"] = counted.pop("input_tokens")
        reading = replace(reading, usage=Usage(counted))
    return anthropic.settle(reading, call)


def claude_delivered(frame: Json) -> str:
    """Return the text that one event of Claude's delivers."""
    return text(frame.get("completion")) or claude_text(frame)


CLAUDE = Api(
    "invoke",
    "text_generated",
    read_claude,
    settle_claude,
    (*CLAUDE_NEEDLES, b'"__exception"', METRICS.encode()),
    claude_delivered,
    owns_ids=True,
    read_headers=read_headers,
)


@lru_cache(maxsize=8)
def invoke_api(event_name: str) -> Api:
    """Return the Api of all other families, by what their models make."""
    return Api(
        "invoke",
        event_name,
        read,
        settle,
        _NEEDLES,
        delivered_text,
        read_headers=read_headers,
    )
