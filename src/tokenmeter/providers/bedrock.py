"""Amazon Bedrock: Converse, InvokeModel, their streams, jobs, agents, and others' formats."""

from __future__ import annotations

import re

from tokenmeter.providers.anthropic import describe_messages
from tokenmeter.providers.anthropic_usage import label
from tokenmeter.providers.base import Adapter, Call, Json, Request, count, mapping
from tokenmeter.providers.bedrock_agents import describe_agent
from tokenmeter.providers.bedrock_async import describe_async
from tokenmeter.providers.bedrock_converse import CONVERSE
from tokenmeter.providers.bedrock_invoke import CLAUDE, invoke_api
from tokenmeter.providers.bedrock_models import (
    event_name,
    is_amazon_image,
    is_claude,
    model_name,
)
from tokenmeter.providers.bedrock_usage import dimensions
from tokenmeter.providers.compatible import describe_compatible

__all__ = ["ADAPTER", "describe"]

PROVIDER = "bedrock"
HOST = re.compile(
    r"(?:[^/]+\.)?bedrock-(?P<agents>agent-)?runtime(?:-fips)?\.[^./]+\.(?:vpce\.)?"
    r"(?:amazonaws\.com(?:\.cn)?|api\.aws|api\.amazonwebservices\.com\.cn"
    r"|amazonaws\.eu|api\.amazonwebservices\.eu)"
)
# An ARN in the path may hold slashes. Counting tokens is free, and none of these.
PATHS = re.compile(
    r"/model/(?P<model>.+)/(?:(?P<converse>converse(?P<frames>-stream)?)"
    r"|invoke(?P<streamed>-with-response-stream)?)$"
)
_CLAUDE_PATH = "/v1/messages"
_TIER = "x-amzn-bedrock-service-tier"
_LATENCY = "x-amzn-bedrock-performanceconfig-latency"


def describe(request: Request) -> Call | None:
    """Say what a request to Bedrock, or to a gateway or mock with its paths, asks for."""
    known = HOST.fullmatch(request.host)
    if known is not None and known["agents"]:
        return describe_agent(request, PROVIDER)
    provider = PROVIDER if known else request.host
    found = PATHS.search(request.path)
    if found is None:
        return _describe_like_others(request) if known else None
    if request.method != "POST":
        return None
    model = model_name(found["model"])
    if found["converse"] is None:
        return _describe_invoke(request, provider, model, streamed=found["streamed"] is not None)
    body = request.body
    tier = mapping(body.get("serviceTier")).get("type")
    latency = mapping(body.get("performanceConfig")).get("latency")
    return Call(
        provider,
        CONVERSE,
        request_model=model,
        streamed=found["frames"] is not None,
        dimensions=dimensions(tier, latency),
    )


def _describe_like_others(request: Request) -> Call | None:
    """Describe a call in the form of OpenAI's or Anthropic's API, a job, or an agent's call."""
    if request.path.endswith(_CLAUDE_PATH):
        return describe_messages(request, PROVIDER)
    call = describe_async(request, PROVIDER) or describe_agent(request, PROVIDER)
    return call or describe_compatible(request, PROVIDER)


def _describe_invoke(
    request: Request, provider: str, model: str | None, *, streamed: bool
) -> Call:
    claude = is_claude(model) or "anthropic_version" in request.body
    api = CLAUDE if claude else invoke_api(event_name(model))
    facts = dimensions(request.headers.get(_TIER), request.headers.get(_LATENCY))
    if api.event_name == "image_generated":
        facts |= _image_facts(model, request.body)
    return Call(
        provider,
        api,
        request_model=model,
        streamed=streamed,
        dimensions=facts,
    )


def _image_facts(model: str | None, body: Json) -> dict[str, str]:
    """Return size and quality as asked for, else Amazon's documented defaults."""
    amazon = is_amazon_image(model)
    asked = mapping(body.get("imageGenerationConfig")) if amazon else body
    facts = {"size": "1024x1024", "quality": "standard"} if amazon else {}
    width, height = count(asked.get("width")), count(asked.get("height"))
    quality = label(asked.get("quality"))
    if width and height:
        facts["size"] = f"{width}x{height}"
    if quality:
        facts["quality"] = quality
    ratio = label(asked.get("aspect_ratio"))
    return {**facts, "aspect_ratio": ratio} if ratio else facts


ADAPTER = Adapter(PROVIDER, describe, host_pattern=HOST, paths=PATHS)
