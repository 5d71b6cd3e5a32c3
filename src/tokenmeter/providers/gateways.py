"""
Hosted gateways: Cloudflare's AI Gateway, Portkey, Helicone.

Their URL or a header names the provider that answers, and bills: the exchange is read as if it
had gone there, and `gateway` says how it went. What a gateway answers from its own cache never
reached the provider: a header of the answer says so, and `served_from_cache` does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import urlsplit

from tokenmeter.providers import adapters, find
from tokenmeter.providers.base import Adapter, Api, Call, Reading, Request, text
from tokenmeter.providers.compatible import describe_compatible

__all__ = ["ADAPTER", "describe"]

SERVED_FROM_CACHE = "served_from_cache"
_CLOUDFLARE = re.compile(r"/v1/[^/]+/[^/]+/(?P<provider>[a-z][a-z0-9-]*)(?P<path>/.+)")
# Cloudflare's and Portkey's names of providers: ours, and the host of their API.
# https://developers.cloudflare.com/ai-gateway/usage/providers (2026-11-30),
# https://github.com/Portkey-AI/gateway/blob/main/src/globals.ts (2026-11-30)
_UPSTREAMS = {
    "anthropic": ("anthropic", "api.anthropic.com"),
    "cerebras": ("cerebras", "api.cerebras.ai"),
    "cerebras-ai": ("cerebras", "api.cerebras.ai"),
    "cohere": ("cohere", "api.cohere.com"),
    "workers-ai": ("cloudflare", "api.cloudflare.com"),
    "deepgram": ("deepgram", "api.deepgram.com"),
    "deepseek": ("deepseek", "api.deepseek.com"),
    "elevenlabs": ("elevenlabs", "api.elevenlabs.io"),
    "fal": ("fal", "fal.run"),
    "fireworks-ai": ("fireworks", "api.fireworks.ai"),
    "google": ("google", "generativelanguage.googleapis.com"),
    "google-ai-studio": ("google", "generativelanguage.googleapis.com"),
    "google-vertex-ai": ("google-vertex", "aiplatform.googleapis.com"),
    "grok": ("xai", "api.x.ai"),
    "groq": ("groq", "api.groq.com"),
    "mistral": ("mistral", "api.mistral.ai"),
    "mistral-ai": ("mistral", "api.mistral.ai"),
    "openai": ("openai", "api.openai.com"),
    "openrouter": ("openrouter", "openrouter.ai"),
    "perplexity-ai": ("perplexity", "api.perplexity.ai"),
    "replicate": ("replicate", "api.replicate.com"),
    "together-ai": ("together", "api.together.xyz"),
    "vertex-ai": ("google-vertex", "aiplatform.googleapis.com"),
    "x-ai": ("xai", "api.x.ai"),
}
_AT_PORTKEY = {
    **_UPSTREAMS,
    "azure-ai": ("azure", "named.services.ai.azure.com"),
    "azure-openai": ("azure", "named.openai.azure.com"),
    "bedrock": ("bedrock", "bedrock-runtime.us-east-1.amazonaws.com"),
    "dashscope": ("alibaba", "dashscope-intl.aliyuncs.com"),
    "deepinfra": ("deepinfra", "api.deepinfra.com"),
    "huggingface": ("huggingface", "router.huggingface.co"),
    "moonshot": ("moonshot", "api.moonshot.ai"),
    "novita-ai": ("api.novita.ai", "api.novita.ai"),
    "voyage": ("voyage", "api.voyageai.com"),
    "z-ai": ("zai", "api.z.ai"),
    "zhipu": ("zai", "open.bigmodel.cn"),
}
# Helicone has a host for each provider.
_HELICONE = {
    "anthropic.helicone.ai": "api.anthropic.com",
    "deepseek.helicone.ai": "api.deepseek.com",
    "groq.helicone.ai": "api.groq.com",
    "oai.helicone.ai": "api.openai.com",
    "openrouter.helicone.ai": "openrouter.ai",
    "perplexity.helicone.ai": "api.perplexity.ai",
    "together.helicone.ai": "api.together.xyz",
    "x.helicone.ai": "api.x.ai",
}
_TARGETS = ("helicone-openai-api-base", "helicone-target-url")


class Gateway(NamedTuple):
    """One gateway: how it finds the provider of a request, and how it tells of its cache."""

    name: str
    described: Callable[[Request], Call | None]
    cache_header: str


def describe(request: Request) -> Call | None:
    """Describe a request to a gateway as one to its provider; else as one to an unknown host."""
    gateway = _GATEWAYS[request.host]
    call = gateway.described(request)
    if call is None:
        return _by_path(request)
    api = _through(call.api, gateway.cache_header, owns_ids=call.repeated and call.api.owns_ids)
    return replace(call, api=api, dimensions={**call.dimensions, "gateway": gateway.name})


def _by_path(request: Request) -> Call | None:
    known = (each for each in adapters() if each.paths and each.paths.search(request.path))
    adapter = next(known, None)
    return None if adapter is None else adapter.describe(request)


def _at(request: Request, host: str, path: str) -> Call | None:
    adapter = find(host, path)
    if adapter is None or adapter is ADAPTER:
        return None
    return adapter.describe(replace(request, host=host, path=path))


def _at_cloudflare(request: Request) -> Call | None:
    """
    Find the provider in the path: `/v1/ACCOUNT/GATEWAY/openai/chat/completions`.

    Azure's resource and AWS's service and region stand there as well; `compat` has the provider
    before the model's name.
    """
    found = _CLOUDFLARE.fullmatch(request.path)
    if found is None:
        return None
    provider, path = found["provider"], found["path"]
    if provider == "compat":
        return _as_model(request, path)
    parts = path[1:].split("/")
    if provider == "azure-openai" and len(parts) > 2:
        place = "/".join(parts[2:])
        host = f"{parts[0]}.openai.azure.com"
        return _at(request, host, f"/openai/deployments/{parts[1]}/{place}")
    if provider == "aws-bedrock" and len(parts) > 2:
        return _at(request, f"{parts[0]}.{parts[1]}.amazonaws.com", f"/{'/'.join(parts[2:])}")
    if provider == "workers-ai":
        place = f"/ai{path}" if path.startswith("/v1/") else f"/ai/run{path}"
        return _at(request, "api.cloudflare.com", place)
    upstream = _UPSTREAMS.get(provider)
    return None if upstream is None else _at(request, upstream[1], _own_path(provider, path))


def _own_path(provider: str, path: str) -> str:
    """Return the path at the provider: `/replicate` stands for https://api.replicate.com/v1."""
    return f"/v1{path}" if provider == "replicate" and not path.startswith("/v1/") else path


def _as_model(request: Request, path: str) -> Call | None:
    """Take the provider from the model's name; the answer is in OpenAI's form."""
    prefix, _, model = (text(request.body.get("model")) or "").partition("/")
    upstream = _UPSTREAMS.get(prefix)
    if upstream is None or not model:
        return None
    return _of_model(replace(request, path=path), upstream[0], model)


def _of_model(request: Request, provider: str, model: str) -> Call | None:
    """Describe a call by the provider's own name of its model; its body is the gateway's."""
    asked = replace(request, body={**request.body, "model": model})
    call = describe_compatible(asked, provider)
    return None if call is None else replace(call, edited_body=None)


def _at_portkey(request: Request) -> Call | None:
    """Find the provider in a header; what is configured at Portkey alone, nobody else knows."""
    upstream = _AT_PORTKEY.get(request.headers.get("x-portkey-provider", "").lower())
    if upstream is None:
        return None
    return _at(request, upstream[1], request.path) or describe_compatible(request, upstream[0])


def _at_helicone(request: Request) -> Call | None:
    """Find the provider by the host, or by the URL that a header names: Azure's stands first."""
    base, target = (urlsplit(request.headers.get(name, "")).hostname for name in _TARGETS)
    host = base or _HELICONE.get(request.host) or target
    return None if host is None else _at(request, host, request.path)


def _behind_the_model(request: Request) -> Call | None:
    """
    Take the provider from behind the model's name: ``gpt-4o/openai``.

    Of a list of them (``gpt-4o/openai,gpt-4o/azure``) nobody else knows which one answered.
    https://docs.helicone.ai/ai-gateway/overview (2026-11-30): at the provider's price.
    """
    model, _, named = (text(request.body.get("model")) or "").rpartition("/")
    upstream = _AT_PORTKEY.get("azure-openai" if named == "azure" else named)
    if upstream is None or not model or "," in model:
        return None
    return _of_model(request, upstream[0], model)


@lru_cache(maxsize=256)
def _through(api: Api, header: str, *, owns_ids: bool) -> Api:
    """
    Return the Api as it is read through a gateway.

    An answer from the cache has the id of the first: a create has an id of ours.
    """

    def read(headers: Mapping[str, str]) -> Reading:
        told = api.read_headers(headers) if api.read_headers else Reading()
        if not headers.get(header, "").upper().endswith("HIT"):  # "SEMANTIC HIT", too
            return told
        return told | Reading(dimensions={SERVED_FROM_CACHE: "true"})

    return replace(api, read_headers=read, owns_ids=owns_ids, asked=None, plain=None, stream=None)


_HELICONES = Gateway("helicone", _at_helicone, "helicone-cache")
_GATEWAYS: Mapping[str, Gateway] = {
    "gateway.ai.cloudflare.com": Gateway("cloudflare", _at_cloudflare, "cf-aig-cache-status"),
    "api.portkey.ai": Gateway("portkey", _at_portkey, "x-portkey-cache-status"),
    "ai-gateway.helicone.ai": Gateway("helicone", _behind_the_model, "helicone-cache"),
    **dict.fromkeys((*_HELICONE, "gateway.helicone.ai"), _HELICONES),
}
ADAPTER = Adapter("gateways", describe, hosts=tuple(_GATEWAYS))
