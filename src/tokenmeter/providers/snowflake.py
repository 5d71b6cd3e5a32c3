"""
Snowflake's Cortex: chats and embeddings in OpenAI's form, at paths of their own.

https://docs.snowflake.com/en/user-guide/snowflake-cortex/cortex-rest-api (2026-11-30)
"""

from __future__ import annotations

import re
from dataclasses import replace

from tokenmeter.providers.base import Call, Request
from tokenmeter.providers.openai_routes import describe_as
from tokenmeter.providers.openai_wire import PLAIN

_PATH = re.compile(r"/cortex/inference(?::|%3A|/)(?P<task>complete|embed)/?$")
_PLACES = {"complete": "chat/completions", "embed": "embeddings"}


def describe_cortex(request: Request) -> Call | None:
    """Describe a request to Cortex's inference; it streams unless it is told not to."""
    found = _PATH.search(request.path)
    if found is None:
        return None
    task = found["task"]
    streamed = task == "complete" and request.body.get("stream") is not False
    body = {**request.body, "stream": streamed}
    as_openai = replace(request, path=f"/v1/{_PLACES[task]}", body=body)
    return describe_as(as_openai, "snowflake", PLAIN)
