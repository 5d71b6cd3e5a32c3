"""
Anthropic's dreams: jobs that rewrite a memory store, and state what their model used.

The counts of a dream are those of all of its work, cached tokens beside the input as in Messages.
Source: the types of the anthropic SDK 2.14 (`BetaDream`), 2026-11-30.
"""

from __future__ import annotations

import re
from dataclasses import replace

from tokenmeter.providers.anthropic_messages import read_error
from tokenmeter.providers.anthropic_usage import label, read_usage, with_totals
from tokenmeter.providers.base import Api, Call, Json, Reading, Request, State, mapping
from tokenmeter.usage import NOTHING

_PATH = re.compile(r"/v1/dreams(?:/(?P<id>[^/]+)(?P<cancel>/cancel)?)?/?$")
_STATES: dict[str, State] = {"completed": "success", "failed": "failed", "canceled": "failed"}


def describe_dream(request: Request, provider: str) -> Call | None:
    """Describe a dream that is asked for, a look at it, or its cancel."""
    found = _PATH.search(request.path)
    if found is None:
        return None
    if found["id"] is None:
        asked = request.body.get("model")
        model = label(asked) or label(mapping(asked).get("id"))
        return Call(provider, DREAM, request_model=model) if request.method == "POST" else None
    if request.method != ("POST" if found["cancel"] else "GET"):
        return None
    return Call(provider, DREAM, repeated=True, job_id=label(found["id"]))


def read_dream(payload: Json) -> Reading:
    """Read a dream: until it has ended its counts go on, and say nothing yet."""
    if payload.get("type") != "dream":
        return read_error(payload) if payload.get("type") == "error" else Reading()
    stage = label(payload.get("status")) or ""
    reading = replace(
        read_usage(payload.get("usage")),
        model=label(mapping(payload.get("model")).get("id")),
        response_id=label(payload.get("id")),
        created=label(payload.get("ended_at")),
        state=_STATES.get(stage, "pending"),
    )
    if reading.state != "failed":
        return reading
    why = label(mapping(payload.get("error")).get("type"))
    return replace(reading, error_type=why or stage)


def settle_dream(reading: Reading, call: Call) -> Reading:
    """Make totals; one that was cancelled is billed for what it had done: a success in part."""
    named = replace(reading, response_id=reading.response_id or call.job_id)
    if reading.state not in ("success", "failed"):
        return replace(named, usage=NOTHING, raw={})
    settled = replace(with_totals(named), raw={})
    if reading.error_type != "canceled" or not any(settled.usage.values()):
        return settled
    flags = settled.flags | {"canceled"}
    return replace(settled, state="success", error_type=None, flags=flags)


DREAM = Api("dreams", "text_generated", read_dream, settle_dream, owns_ids=True)
