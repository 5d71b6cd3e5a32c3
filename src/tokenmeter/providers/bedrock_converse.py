"""Bedrock's Converse: one form for all models, as a body and as frames of an event stream."""

from __future__ import annotations

from dataclasses import replace

from tokenmeter.providers.base import Api, Json, Reading, counts, mapping, text
from tokenmeter.providers.bedrock_models import model_name
from tokenmeter.providers.bedrock_usage import (
    dimensions,
    read_failure,
    read_headers,
    read_usage,
    settle,
)

EVENT_TYPE = ":event-type"  # the key under which a frame's own type comes with its payload
NEEDLES = (b'"usage"', b'"__exception"', b'"additionalModelResponseFields"')

# Where reasoning is told, if the request asked for this pointer.
_DETAILS = "/usage/output_tokens_details"
_REASONING = {"thinking_tokens": "reasoning_tokens", "reasoning_tokens": "reasoning_tokens"}


def read(payload: Json) -> Reading:
    """
    Read a whole answer, or one frame of a stream, whose last one reports the usage.

    Frames come bare with their type, or as SDKs give them: ``{"metadata": {…}}``.
    """
    failure = read_failure(payload)
    if failure is not None:
        return failure
    frame = mapping(payload.get("metadata")) or mapping(payload.get("messageStop")) or payload
    reading = _read_answer(frame)
    whole = EVENT_TYPE not in payload and "output" in payload
    if whole or "usage" in frame:
        reading = replace(reading, state="success")
    return reading


def _read_answer(frame: Json) -> Reading:
    reading = read_usage(frame.get("usage"))
    reasoning, flags = counts(_details(frame), _REASONING)
    routed = mapping(mapping(frame.get("trace")).get("promptRouter")).get("invokedModelId")
    tier = mapping(frame.get("serviceTier")).get("type")
    latency = mapping(frame.get("performanceConfig")).get("latency")
    return replace(
        reading,
        usage=reading.usage | reasoning,
        model=model_name(routed) if isinstance(routed, str) else None,
        dimensions=dimensions(tier, latency),
        flags=reading.flags | flags,
    )


def _details(frame: Json) -> Json:
    fields = mapping(frame.get("additionalModelResponseFields"))
    nested = mapping(mapping(fields.get("usage")).get("output_tokens_details"))
    return mapping(fields.get(_DETAILS)) or nested


def delivered_text(frame: Json) -> str:
    """Return what one frame delivers: the answer's text, reasoning, arguments of tools."""
    bare = mapping(frame.get("contentBlockDelta")) or frame
    delta = mapping(bare.get("delta"))
    reasoning = mapping(delta.get("reasoningContent"))
    tool = mapping(delta.get("toolUse"))
    pieces = (delta.get("text"), reasoning.get("text"), tool.get("input"))
    return "".join(piece for piece in map(text, pieces) if piece)


CONVERSE = Api(
    "converse",
    "text_generated",
    read,
    settle,
    NEEDLES,
    delivered_text,
    read_headers=read_headers,
)
