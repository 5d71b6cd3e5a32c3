"""
Perplexity's own paths: Sonar, its agents, Sonar's answers that are fetched later, and searches.

The later ones are jobs: the submit names one, and a poll holds the whole answer in `response`.
A search without an answer is billed by the request, however many queries it has.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial

from tokenmeter.providers.anthropic_usage import label
from tokenmeter.providers.base import (
    Api,
    Call,
    Json,
    Reading,
    Request,
    State,
    mapping,
    settled_as_read,
    text,
)
from tokenmeter.providers.openai_chat import read_chat
from tokenmeter.providers.openai_routes import describe_as
from tokenmeter.providers.openai_settle import settle_text
from tokenmeter.providers.openai_wire import Dialect, error_type
from tokenmeter.usage import Usage

_LATER = re.compile(r"/async/(?:sonar|chat/completions)(?:/(?P<id>[^/]+))?/?$")
_OWN = {"/v1/sonar": "/v1/chat/completions", "/v1/agent": "/v1/responses"}
_STATES: dict[str, State] = {"completed": "success", "failed": "failed"}


def describe_perplexity(request: Request, dialect: Dialect) -> Call | None:
    """Describe a request to one of Perplexity's own paths; None for any other."""
    if request.path.rstrip("/") == "/search" and request.method == "POST":
        return Call("perplexity", SEARCH, "search")
    own = _OWN.get(request.path)
    if own is not None:
        return describe_as(replace(request, path=own), "perplexity", dialect)
    later = _LATER.search(request.path)
    if later is None:
        return None
    api = replace(LATER, settle=partial(settle_text, dialect))
    if request.method == "GET" and later["id"]:
        return Call("perplexity", api, repeated=True, job_id=label(later["id"]))
    if request.method != "POST" or later["id"]:
        return None
    model = text(mapping(request.body.get("request")).get("model"))
    return Call("perplexity", api, request_model=model)


def read_later(payload: Json) -> Reading:
    """Read how a request stands, with the answer once it is there."""
    failure = error_type(payload)
    stage = (text(payload.get("status")) or "").lower()
    state: State = "failed" if failure else _STATES.get(stage, "pending")
    reading = read_chat(mapping(payload.get("response")))
    failure = (failure or stage) if state == "failed" else None
    return replace(reading, response_id=label(payload.get("id")), state=state, error_type=failure)


def read_search(payload: Json) -> Reading:
    """Read what a search found."""
    failure = error_type(payload)
    if failure is not None:
        return Reading(state="failed", error_type=failure)
    if not isinstance(payload.get("results"), list):
        return Reading()
    counted = frozenset({"counted"})
    return Reading(Usage(web_search_count=1), state="success", flags=counted)


SEARCH = Api("search", "api_calls", read_search, settled_as_read)
LATER = Api(
    "chat.completions",
    "text_generated",
    read_later,
    partial(settle_text, Dialect()),
    owns_ids=True,
)
