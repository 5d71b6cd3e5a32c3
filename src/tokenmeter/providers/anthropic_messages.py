"""
Anthropic's messages, as a body and as stream events, wherever Claude is served.

`read` takes one JSON body or one stream event, `settle` makes the totals. Bedrock and Vertex
hand through the same payloads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tokenmeter.providers.anthropic_iterations import (
    BILLED_REFUSALS,
    REFUSED,
    UNBILLED,
    with_iterations,
)
from tokenmeter.providers.anthropic_usage import label, read_usage, with_totals
from tokenmeter.providers.base import NO_READING, Call, Json, Reading, mapping, text
from tokenmeter.usage import Usage

PLACEHOLDER = "output_placeholder"  # flag: the output is message_start's, no count
NEEDLES = (b'"usage"', b'"error"', b'"message_stop"', b'"fallback"')


def read(payload: Json) -> Reading:
    """Read one body or one stream event of the Messages API."""
    kind = payload.get("type")
    if isinstance(kind, str):
        reader = _READERS.get(kind)
        return reader(payload) if reader else NO_READING
    if "error" in payload:
        return read_error(payload)
    return _read_body(payload) if kind is None and "usage" in payload else NO_READING


def _read_body(message: Json) -> Reading:
    content = message.get("content")
    reading = NO_READING
    for block in content if isinstance(content, list) else ():
        reading |= _handover(mapping(block))
    reading |= _read_message(message) | _stop(message) | Reading(state="success")
    return reading | Reading(raw={"empty": content == []})


def _read_message(message: Json) -> Reading:
    named = Reading(model=label(message.get("model")), response_id=label(message.get("id")))
    return named | read_usage(message.get("usage")) | _container(message)


def _read_start(event: Json) -> Reading:
    return _read_message(mapping(event.get("message"))) | Reading(raw={PLACEHOLDER: True})


def _read_delta(event: Json) -> Reading:
    delta = mapping(event.get("delta"))
    reading = read_usage(event.get("usage")) | _container(delta) | _stop(delta)
    if "output_tokens" in reading.usage:
        reading |= Reading(raw={PLACEHOLDER: False})
    return reading


def _read_block_start(event: Json) -> Reading:
    return _handover(mapping(event.get("content_block")))


def _read_stop(_: Json) -> Reading:
    return Reading(state="success")


def read_error(payload: Json) -> Reading:
    """Read an error body or event: its type, never its message."""
    error = mapping(payload.get("error"))
    named = label(error.get("type")) or label(error.get("status"))
    return Reading(state="failed", error_type=named or "error")


_READERS: dict[str, Callable[[Json], Reading]] = {
    "message": _read_body,
    "message_start": _read_start,
    "message_delta": _read_delta,
    "message_stop": _read_stop,
    "content_block_start": _read_block_start,
    "error": read_error,
}


def _container(message: Json) -> Reading:
    """Code ran in a container: billed by time, which the answer does not state."""
    container = mapping(message.get("container"))
    if not container:
        return NO_READING
    name = label(container.get("id"))
    named = {"container_id": name} if name else {}
    return Reading(dimensions={"code_execution": "true", **named})


def _stop(message: Json) -> Reading:
    if message.get("stop_reason") != "refusal":
        return NO_READING
    category = label(mapping(message.get("stop_details")).get("category"))
    return Reading(dimensions={"refusal": category or "unnamed"})


def _handover(block: Json) -> Reading:
    """One model declined and another goes on: who, to whom, and for what reason."""
    if block.get("type") != "fallback":
        return NO_READING
    declined = label(mapping(block.get("from")).get("model"))
    category = label(mapping(block.get("trigger")).get("category"))
    raw = {f"{REFUSED}{declined}": category} if declined else {}
    return Reading(model=label(mapping(block.get("to")).get("model")), raw=raw)


def settle(reading: Reading, call: Call) -> Reading:
    """Make totals, sub-calls and flags of what one message reported."""
    return settled(reading, call.request_model, call.usage)


def settled(
    reading: Reading, request_model: str | None = None, request_usage: Usage | None = None
) -> Reading:
    """Settle without a call: a line of batch results, a body out of another envelope."""
    reading = with_iterations(with_totals(reading), request_model)
    flags = set(reading.flags)
    if reading.raw.get(PLACEHOLDER):
        flags.add(PLACEHOLDER)
    if _is_free_refusal(reading):
        flags.add(UNBILLED)
    usage = (request_usage or Usage()) | reading.usage
    if reading.state == "success" and reading.usage:
        usage = usage | Usage(output_count=1)
    return replace(reading, usage=usage, flags=frozenset(flags), raw={})


def _is_free_refusal(reading: Reading) -> bool:
    """A refusal before any output: its tokens are reported but not charged."""
    category = reading.dimensions.get("refusal")
    if category is None or category in BILLED_REFUSALS:
        return False
    return bool(reading.raw.get("empty")) or reading.usage.get("output_tokens") == 0


def delivered_text(event: Json) -> str:
    """Return the text that one stream event delivers: answer, thinking, tool arguments."""
    delta = mapping(event.get("delta"))
    for name in ("text", "thinking", "partial_json"):
        found = text(delta.get(name))
        if found is not None:
            return found
    return ""
