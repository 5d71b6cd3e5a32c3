"""Hosts that speak OpenAI's API: one table of names, hosts and what each does differently."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any

from tokenmeter.providers.base import Call, Request, count, mapping
from tokenmeter.providers.openai_numbers import decimal
from tokenmeter.providers.openai_routes import describe_as
from tokenmeter.providers.openai_wire import PLAIN, Dialect

_TO_THE_DOLLAR = {"cost_in_usd_ticks": 10**10, "cost_in_nano_usd": 10**9}


def ticks_cost(fields: Mapping[str, Any]) -> Decimal | None:
    """Read xAI's exact charge: in ticks or, where those are not told, in thousand millionths."""
    for name, to_the_dollar in _TO_THE_DOLLAR.items():
        charged = count(fields.get(name))
        if charged is not None:
            return Decimal(charged) / to_the_dollar
    return None


def credit_cost(fields: Mapping[str, Any]) -> Decimal | None:
    """
    Read the charge of OpenRouter and Vercel: `cost`, in dollars.

    With the user's own key (`is_byok`) that is the fee alone, and the provider's bill, which
    goes to the user as well, is `upstream_inference_cost`; otherwise it is within `cost`.
    """
    cost = decimal(fields.get("cost"))
    if cost is None or fields.get("is_byok") is not True:
        return cost
    upstream = decimal(mapping(fields.get("cost_details")).get("upstream_inference_cost"))
    return None if upstream is None else cost + upstream


def total_cost(fields: Mapping[str, Any]) -> Decimal | None:
    """Read Perplexity's charge: ``cost.total_cost``, in dollars unless it says otherwise."""
    cost = mapping(fields.get("cost"))
    if cost.get("currency") not in (None, "USD"):
        return None
    return decimal(cost.get("total_cost"))


def estimated_cost(fields: Mapping[str, Any]) -> Decimal | None:
    """Read DeepInfra's charge, in dollars, which it calls estimated."""
    return decimal(fields.get("estimated_cost"))


OPENAI = Dialect(asks_usage=True, owns_ids=True, image_model="dall-e-2", video_model="sora-2")
AZURE = Dialect(asks_usage=True, owns_ids=True)
ASKS = Dialect(asks_usage=True)

# name -> (dialect, hosts). A host beginning with a dot stands for all that end in it.
# PLAIN here means: usage comes with every stream by itself, so nothing is asked for.
COMPATIBLE: dict[str, tuple[Dialect, tuple[str, ...]]] = {
    "openai": (OPENAI, ("api.openai.com", ".api.openai.com")),
    "azure": (
        AZURE,
        (
            *(".openai.azure.com", ".cognitiveservices.azure.com", ".services.ai.azure.com"),
            *(".openai.azure.us", ".openai.azure.cn"),
            *(".models.ai.azure.com", ".inference.ml.azure.com"),
        ),
    ),
    "groq": (PLAIN, ("api.groq.com",)),
    "mistral": (PLAIN, ("api.mistral.ai", "codestral.mistral.ai")),
    "deepseek": (ASKS, ("api.deepseek.com",)),
    "xai": (
        Dialect(reasoning_outside=True, hidden_reasoning=True, cost=ticks_cost),
        ("api.x.ai", ".api.x.ai"),
    ),
    "openrouter": (Dialect(cost=credit_cost, draws=True), ("openrouter.ai",)),
    "cerebras": (PLAIN, ("api.cerebras.ai",)),
    "perplexity": (Dialect(reasoning_outside=True, cost=total_cost), ("api.perplexity.ai",)),
    # Its SDK sends chats to a host of their own, whatever the client's.
    "together": (PLAIN, ("api.together.xyz", "api.together.ai", "api-inference.together.ai")),
    "fireworks": (PLAIN, ("api.fireworks.ai",)),
    "huggingface": (
        ASKS,
        ("router.huggingface.co", "api-inference.huggingface.co", ".endpoints.huggingface.cloud"),
    ),
    "zai": (PLAIN, ("api.z.ai", "open.bigmodel.cn")),
    "vercel-gateway": (
        Dialect(asks_usage=True, cost=credit_cost, draws=True),
        ("ai-gateway.vercel.sh",),
    ),
    "cohere": (PLAIN, ("api.cohere.ai", "api.cohere.com")),
    "cloudflare": (PLAIN, ("api.cloudflare.com",)),
    "watsonx": (PLAIN, (".ml.cloud.ibm.com",)),
    "snowflake": (PLAIN, (".snowflakecomputing.com",)),
    "deepinfra": (Dialect(cost=estimated_cost), ("api.deepinfra.com",)),
    # Of these nothing is known but their names, by which genai-prices lists their prices.
    "arcee": (PLAIN, ("api.arcee.ai",)),
    "avian": (PLAIN, ("api.avian.io",)),
    "baseten": (PLAIN, ("inference.baseten.co",)),
    "doubleword": (PLAIN, ("api.doubleword.ai",)),
    "github-copilot": (PLAIN, ("api.githubcopilot.com",)),
    "meta": (PLAIN, ("api.meta.ai",)),
    "moonshot": (PLAIN, ("api.moonshot.ai", "api.moonshot.cn")),
    "ovhcloud": (PLAIN, ("oai.endpoints.kepler.ai.cloud.ovh.net",)),
    "voyage": (PLAIN, ("api.voyageai.com", "ai.mongodb.com")),
    "anthropic": (ASKS, ()),
    "google": (Dialect(asks_usage=True, hidden_reasoning=True), ()),
    "google-vertex": (Dialect(asks_usage=True, hidden_reasoning=True), ()),
    "bedrock": (ASKS, (".api.aws",)),
    "ollama": (ASKS, ("localhost:11434", "127.0.0.1:11434", "ollama")),
    "vllm": (ASKS, ("vllm",)),
    "litellm": (
        Dialect(asks_usage=True, cost_header="x-litellm-response-cost", draws=True),
        ("litellm",),
    ),
}
HOSTS = {
    host: name
    for name, (_, hosts) in COMPATIBLE.items()
    for host in hosts
    if not host.startswith(".")
}
SUFFIXES = {
    host: name for name, (_, hosts) in COMPATIBLE.items() for host in hosts if host.startswith(".")
}
_BEDROCK = re.compile(r"bedrock-runtime(-fips)?\.[^.]+\.amazonaws\.com(\.cn)?")


@lru_cache(maxsize=1024)
def known_as(host: str) -> str | None:
    """Return the name that this host's provider goes by; None for a host nobody knows."""
    name = HOSTS.get(host)
    if name is None and _BEDROCK.fullmatch(host):
        return "bedrock"
    return name or next((SUFFIXES[end] for end in SUFFIXES if host.endswith(end)), None)


def describe_compatible(request: Request, provider_name: str) -> Call | None:
    """Describe a request to an OpenAI-like endpoint of the provider of this name."""
    dialect, _ = COMPATIBLE.get(provider_name, (PLAIN, ()))
    return describe_as(request, provider_name, dialect)
