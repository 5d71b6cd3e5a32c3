"""Claude's Messages API, served by hosts that also speak OpenAI's, and what they charge."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import lru_cache, partial

from tokenmeter.providers.anthropic import GATEWAY_MESSAGES, describe_messages
from tokenmeter.providers.base import Api, Call, Json, Reading, Request, mapping
from tokenmeter.providers.openai_wire import CostRule

# Azure, OpenRouter, DeepSeek, Z.ai, Vercel and Bedrock serve it.
_PATH = re.compile(r"/v1/messages/?$")
_COSTS = ("cost", "is_byok", "cost_details")  # beside the tokens, in OpenRouter's usage


def describe_claude(request: Request, provider: str, cost: CostRule | None) -> Call | None:
    """Describe a message to Claude; `cost` reads what the host says it charged."""
    if not _PATH.search(request.path):
        return None
    return describe_messages(request, provider, _api(cost))


@lru_cache(maxsize=64)
def _api(cost: CostRule | None) -> Api:
    if cost is None:
        return GATEWAY_MESSAGES
    settle = partial(_settle, cost)
    return replace(GATEWAY_MESSAGES, read=_read, settle=settle, plain=None)


def _read(payload: Json) -> Reading:
    reading = GATEWAY_MESSAGES.read(payload)
    usage = mapping(payload.get("usage", mapping(payload.get("message")).get("usage")))
    costs = {name: usage[name] for name in _COSTS if name in usage}
    known = frozenset(f"unknown:{name}" for name in costs)
    return replace(reading, raw={**reading.raw, **costs}, flags=reading.flags - known)


def _settle(cost: CostRule, reading: Reading, call: Call) -> Reading:
    charged = cost(reading.raw) if reading.state in ("success", "failed") else None
    settled = GATEWAY_MESSAGES.settle(reading, call)
    return settled if charged is None else replace(settled, cost=f"{charged:f}")
