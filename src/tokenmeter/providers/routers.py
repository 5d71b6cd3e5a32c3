"""
What Voyage and Hugging Face serve beside the usual: embeddings at paths of their own, and a host.

Hugging Face hands each call to a host, which its path names or the answer's header, and bills
that host's price: https://huggingface.co/docs/inference-providers/pricing (2026-11-30).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache

from tokenmeter.providers.anthropic_usage import label
from tokenmeter.providers.base import NO_READING, Api, Call, Reading, Request
from tokenmeter.providers.compatible import describe_compatible

_ROUTER = "router.huggingface.co"
HOST = "inference_provider"  # the dimension that names the host
_EMBEDS = re.compile(r"/(?:multimodal|contextualized)embeddings/?$")
# /fireworks-ai/inference/v1/chat/completions; without a host the router chooses one.
_NAMED = re.compile(r"/(?P<host>[a-z][\w-]*)(?:/.+)?/v\d")


def describe_voyage(request: Request) -> Call | None:
    """Describe embeddings of more than texts; they report their tokens as those of texts do."""
    if not _EMBEDS.search(request.path):
        return None
    return describe_compatible(replace(request, path="/v1/embeddings"), "voyage")


def describe_routed(request: Request) -> Call | None:
    """Describe a call that Hugging Face hands on; its host decides the price."""
    call = describe_compatible(request, "huggingface")
    if call is None or request.host != _ROUTER:
        return call
    named = _NAMED.match(request.path)
    told = {HOST: named["host"]} if named else {}
    return replace(call, api=_headed(call.api), dimensions={**call.dimensions, **told})


@lru_cache(maxsize=64)
def _headed(api: Api) -> Api:
    """Return the Api with the header that names the host; it may differ from call to call."""
    return replace(api, read_headers=_told, asked=None, plain=None, stream=None)


def _told(headers: Mapping[str, str]) -> Reading:
    host = label(headers.get("x-inference-provider"))
    return Reading(dimensions={HOST: host}) if host else NO_READING
