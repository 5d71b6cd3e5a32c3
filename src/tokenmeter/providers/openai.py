"""OpenAI, Azure OpenAI, every host that speaks the same, and the same paths under any host."""

from __future__ import annotations

import re

from tokenmeter.providers.anthropic import describe_messages
from tokenmeter.providers.base import Adapter, Call, Request
from tokenmeter.providers.compatible import HOSTS, SUFFIXES, describe_compatible, known_as
from tokenmeter.providers.openai_routes import PATHS

# Azure, OpenRouter, DeepSeek, Z.ai, Vercel and Bedrock serve the Messages API as well.
_CLAUDE = re.compile(r"/v1/messages/?$")
# Words that other services use for paths of their own: there a model must be named.
_COMMON_WORD = re.compile(r"(?<!chat)/(?:completions|responses|embeddings)(?:/compact)?/?$")


def describe(request: Request) -> Call | None:
    """Describe a request to OpenAI, to a compatible host, or to a host that nobody knows."""
    name = known_as(request.host)
    if name is not None:
        call = describe_compatible(request, name)
        return call or (describe_messages(request, name) if _CLAUDE.search(request.path) else None)
    if not PATHS.search(request.path):
        return None
    call = describe_compatible(request, request.host)
    if call is None or call.request_model is not None or not _COMMON_WORD.search(request.path):
        return call
    return None


ADAPTER = Adapter(
    "openai",
    describe,
    hosts=tuple(HOSTS),
    host_suffixes=tuple(SUFFIXES),
    paths=PATHS,
)
