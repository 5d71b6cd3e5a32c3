"""
Acme's API for tokenmeter: three pure functions and the Adapter that names them.

Acme answers `POST https://api.acme.test/v1/answers` with::

    {"id": "ans_7", "engine": "acme-2", "text": "…", "spent": {"in": 12, "kept": 10, "out": 34}}

where `in` leaves out what came from the cache (`kept`). A stream sends the same as its last
event, marked ``"last": true``.
"""

from __future__ import annotations

from dataclasses import replace

from tokenmeter import Usage
from tokenmeter.providers import Adapter, Api, Call, Reading, Request
from tokenmeter.providers.base import Json, counts, mapping, text, unknown

SPENT = {"in": "uncached_input_tokens", "kept": "cache_read_tokens", "out": "output_tokens"}


def read(payload: Json) -> Reading:
    """
    Say what one body, or one event of a stream, reports. The wire is not to be trusted.

    `counts` leaves out and flags what is no count; `unknown` flags fields that may be billed.
    """
    spent = mapping(payload.get("spent"))
    usage, flags = counts(spent, SPENT)
    return Reading(
        usage=usage,
        model=text(payload.get("engine")),
        response_id=text(payload.get("id")),
        state="success" if payload.get("last") is not False else None,
        flags=flags | unknown(spent, frozenset(SPENT)),
    )


def settle(reading: Reading, call: Call) -> Reading:
    """Turn Acme's way of counting into tokenmeter's, once: our input holds what was cached."""
    usage = reading.usage
    if "uncached_input_tokens" in usage:
        total = usage["uncached_input_tokens"] + usage.get("cache_read_tokens", 0)
        usage = usage | Usage(input_tokens=total)
    return replace(reading, usage=call.usage | usage)


# An event of a stream is parsed only if it holds one of the needles.
ANSWERS = Api("answers", "text_generated", read, settle, needles=(b'"spent"',), owns_ids=True)


def describe(request: Request) -> Call | None:
    """Say what a request asks for; None for what is not to be metered. It must be quick."""
    if request.method != "POST" or request.path != "/v1/answers":
        return None
    body = request.body
    streamed = body.get("stream") is True
    return Call("acme", ANSWERS, request_model=text(body.get("engine")), streamed=streamed)


ADAPTER = Adapter("acme", describe, hosts=("api.acme.test",))
