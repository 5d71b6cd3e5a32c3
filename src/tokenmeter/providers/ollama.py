"""
Ollama's own API beside the one it shares with OpenAI: chat, generate, embed.

It streams unless it is told not to: JSON, an object a line, and the last one counts
(https://docs.ollama.com/api). What runs on the user's own machine has no price but theirs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from tokenmeter.providers.base import Adapter, Api, Call, Json, Reading, Request, counts, text
from tokenmeter.providers.compatible import COMPATIBLE
from tokenmeter.providers.google_usage import label
from tokenmeter.providers.openai import describe as describe_others
from tokenmeter.usage import Usage

__all__ = ["ADAPTER", "describe"]

PROVIDER = "ollama"
_, HOSTS = COMPATIBLE[PROVIDER]
_PATH = re.compile(r"^/api/(?P<place>chat|generate|embed|embeddings)/?$")
_COUNTS = {"prompt_eval_count": "input_tokens", "eval_count": "output_tokens"}


def read(payload: Json) -> Reading:
    """Read a whole answer, or one line of a stream."""
    if "error" in payload:
        return Reading(state="failed", error_type="error")  # all it has is a text
    usage, flags = counts(payload, _COUNTS)
    ended = payload.get("done") is True or "embeddings" in payload or "embedding" in payload
    return Reading(
        usage=usage,
        model=label(payload.get("model")),
        created=text(payload.get("created_at")),
        state="success" if ended else None,
        flags=flags,
    )


def settle(reading: Reading, _call: Call) -> Reading:
    """Add the total; what was read from a cache is counted in the input, or not at all."""
    numbers = dict(reading.usage)
    if "input_tokens" in numbers:
        numbers["total_tokens"] = numbers["input_tokens"] + numbers.get("output_tokens", 0)
    return replace(reading, usage=Usage(numbers))


_APIS: Mapping[str, Api] = {
    "chat": Api("chat", "text_generated", read, settle),
    "generate": Api("generate", "text_generated", read, settle),
    "embed": Api("embed", "embedding_created", read, settle),
    "embeddings": Api("embeddings", "embedding_created", read, settle),
}


def describe(request: Request) -> Call | None:
    """Say what a request to Ollama asks for, in its own form or in OpenAI's."""
    found = _PATH.search(request.path)
    if found is None:
        return describe_others(request)
    model = label(request.body.get("model"))
    if request.method != "POST" or model is None:
        return None
    place = found["place"]
    streamed = not place.startswith("embed") and request.body.get("stream") is not False
    return Call(PROVIDER, _APIS[place], model, streamed)


ADAPTER = Adapter(PROVIDER, describe, hosts=HOSTS)
