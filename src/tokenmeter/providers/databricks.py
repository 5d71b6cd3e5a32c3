"""
Databricks and SageMaker: models behind an endpoint with a name, in OpenAI's format.

``/serving-endpoints/NAME/invocations``, or ``/endpoints/NAME/invocations``.
"""

from __future__ import annotations

import re
from dataclasses import replace
from urllib.parse import unquote

from tokenmeter.providers.anthropic_usage import label
from tokenmeter.providers.base import Adapter, Call, Request
from tokenmeter.providers.compatible import describe_compatible

__all__ = ["ADAPTER", "describe"]

PATHS = re.compile(r"/(?:serving-)?endpoints/(?P<name>[^/]+)/invocations/?$")
# What a request holds tells which task its endpoint serves; a model of one's own has neither.
_TASKS = {"messages": "chat/completions", "prompt": "completions", "input": "embeddings"}


def describe(request: Request) -> Call | None:
    """Say what a request to a serving endpoint asks for; a workspace is its own provider."""
    found = PATHS.search(request.path)
    task = next((task for field, task in _TASKS.items() if field in request.body), None)
    if found is None or task is None:
        return None
    call = describe_compatible(replace(request, path=f"/v1/{task}"), request.host)
    if call is None:
        return None
    name = call.request_model or label(unquote(found["name"]))
    return replace(call, request_model=name)


ADAPTER = Adapter("databricks", describe, paths=PATHS)
