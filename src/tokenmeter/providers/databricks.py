"""
Databricks and SageMaker: models behind an endpoint with a name, in OpenAI's format.

``/serving-endpoints/NAME/invocations``, or ``/endpoints/NAME/invocations``. A workspace of
Databricks also serves OpenAI's, Anthropic's and Google's own paths:
https://docs.databricks.com/aws/en/machine-learning/model-serving/score-foundation-models,
https://docs.databricks.com/gcp/en/machine-learning/model-serving/query-gemini-api (2026-11-30).
"""

from __future__ import annotations

import re
from dataclasses import replace
from urllib.parse import unquote

from tokenmeter.providers import google
from tokenmeter.providers.anthropic_usage import label
from tokenmeter.providers.base import Adapter, Call, Request
from tokenmeter.providers.claude_elsewhere import describe_claude
from tokenmeter.providers.compatible import describe_compatible

__all__ = ["ADAPTER", "describe"]

PROVIDER = "databricks"
_WORKSPACES = (".cloud.databricks.com", ".azuredatabricks.net", ".gcp.databricks.com")
PATHS = re.compile(r"/(?:serving-)?endpoints/(?P<name>[^/]+)/invocations/?$")
# What a request holds tells which task its endpoint serves; a model of one's own has neither.
_TASKS = {"messages": "chat/completions", "prompt": "completions", "input": "embeddings"}


def describe(request: Request) -> Call | None:
    """Say what a request to an endpoint asks for, or any other to a workspace."""
    if PATHS.search(request.path):
        return _describe_invocation(request)
    call = (
        describe_compatible(request, PROVIDER)
        or describe_claude(request, PROVIDER, None)
        or google.describe(request)
    )
    if call is None or call.request_model is None:  # its own API has paths that end alike
        return None
    return replace(call, provider=PROVIDER)


def _describe_invocation(request: Request) -> Call | None:
    """A host that is no workspace of Databricks is its own provider."""
    found = PATHS.search(request.path)
    task = next((task for field, task in _TASKS.items() if field in request.body), None)
    if found is None or task is None:
        return None
    provider = PROVIDER if request.host.endswith(_WORKSPACES) else request.host
    call = describe_compatible(replace(request, path=f"/v1/{task}"), provider)
    if call is None:
        return None
    name = call.request_model or label(unquote(found["name"]))
    return replace(call, request_model=name)


ADAPTER = Adapter("databricks", describe, host_suffixes=_WORKSPACES, paths=PATHS)
