"""
Bedrock's agents and knowledge bases: models that AWS calls for the user, by the trace they leave.

An agent tells the tokens of each model that it called, and only where its trace was asked for
(`enableTrace`); a knowledge base tells none. What each model used is an event under its name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from tokenmeter.providers.base import (
    Api,
    Call,
    Json,
    Part,
    Reading,
    Request,
    counts,
    mapping,
    settled_as_read,
    text,
)
from tokenmeter.providers.bedrock_converse import EVENT_TYPE
from tokenmeter.providers.bedrock_models import model_name
from tokenmeter.providers.bedrock_usage import read_failure, read_headers
from tokenmeter.usage import NOTHING, Usage

_PATH = re.compile(
    r"/(?:agents/[^/]+(?P<alias>/agentAliases/[^/]+/sessions/[^/]+/text)?"
    r"|(?P<retrieve>retrieveAndGenerate)(?P<stream>Stream)?|(?P<rerank>rerank))/?$"
)
_USAGE = {"inputTokens": "input_tokens", "outputTokens": "output_tokens"}
_MODEL, _USED = "model:", "used:"  # keys of `raw`: by trace
_ANSWERED = "answered"  # key of `raw`: a piece of the answer was delivered
_ENDS = frozenset({"chunk", "returnControl", "output"})  # frames that deliver the answer


def describe_agent(request: Request, provider: str) -> Call | None:
    """Describe a call of an agent or a knowledge base; None for what calls no model."""
    found = _PATH.search(request.path)
    if found is None or request.method != "POST":
        return None
    if found["rerank"]:
        return Call(provider, RERANK, request_model=_reranker(request.body))
    if found["retrieve"] is None:
        model = None if found["alias"] else text(request.body.get("foundationModel"))
        return Call(provider, AGENT, request_model=_named(model), streamed=True)
    streamed = found["stream"] is not None
    return Call(provider, RETRIEVE, request_model=_generator(request.body), streamed=streamed)


def _named(model: str | None) -> str | None:
    return None if model is None else model_name(model)


def _generator(body: Json) -> str | None:
    settings = mapping(body.get("retrieveAndGenerateConfiguration"))
    kinds = ("knowledgeBaseConfiguration", "externalSourcesConfiguration")
    arns = (text(mapping(settings.get(kind)).get("modelArn")) for kind in kinds)
    return _named(next(filter(None, arns), None))


def _reranker(body: Json) -> str | None:
    settings = mapping(body.get("rerankingConfiguration"))
    chosen = mapping(
        mapping(settings.get("bedrockRerankingConfiguration")).get("modelConfiguration")
    )
    return _named(text(chosen.get("modelArn")))


def read_agent(payload: Json) -> Reading:
    """Read one frame of an agent's answer: a piece of it, which may be anything, or its trace."""
    if text(payload.get(EVENT_TYPE)) in _ENDS:
        return Reading(raw={_ANSWERED: True})
    failure = read_failure(payload)
    if failure is not None:
        return failure
    reading = Reading()
    for step in mapping(payload.get("trace")).values():
        reading |= _read_step(mapping(step))
    return reading


def _read_step(step: Json) -> Reading:
    """The model is named when it is asked, its tokens when it has answered; a trace joins them."""
    asked, answered = (
        mapping(step.get("modelInvocationInput")),
        mapping(step.get("modelInvocationOutput")),
    )
    model = text(asked.get("foundationModel"))
    raw: dict[str, object] = {}
    if model is not None:
        raw[f"{_MODEL}{text(asked.get('traceId'))}"] = model_name(model)
    usage, flags = counts(mapping(mapping(answered.get("metadata")).get("usage")), _USAGE)
    if usage:
        raw[f"{_USED}{text(answered.get('traceId'))}"] = usage
    return Reading(flags=flags, raw=raw)


def settle_agent(reading: Reading, call: Call) -> Reading:
    """Add up what each model used: the first one's is the call's own, others' are parts."""
    by_model: dict[str | None, Usage] = {}
    for trace, usage in _used(reading):
        model = reading.raw.get(f"{_MODEL}{trace}") or call.request_model
        by_model[model] = by_model.get(model, NOTHING) + usage
    used = [(model, _with_totals(usage)) for model, usage in by_model.items()]
    first, own = used[0] if used else (None, NOTHING)
    parts = tuple(
        Part(f"model-{at}", usage, model) for at, (model, usage) in enumerate(used[1:], 1)
    )
    ended = _ended(reading)
    return replace(ended, usage=own, model=first, parts=parts, raw={})


def _ended(reading: Reading) -> Reading:
    """
    Say that an answer is complete of which a piece was seen.

    Not as the piece is read: an answer that streams has many, and its trace goes on between
    and after them.
    """
    done = _ANSWERED in reading.raw and reading.state is None
    return replace(reading, state="success", raw={}) if done else reading


def settle_answer(reading: Reading, call: Call) -> Reading:
    """Settle an answer that reports no usage."""
    return settled_as_read(_ended(reading), call)


def _used(reading: Reading) -> Iterator[tuple[str, Usage]]:
    for key, usage in reading.raw.items():
        if key.startswith(_USED):
            yield key.removeprefix(_USED), usage


def _with_totals(usage: Usage) -> Usage:
    numbers = dict(usage)
    if "input_tokens" in numbers:
        numbers["uncached_input_tokens"] = numbers["input_tokens"]
    if numbers.keys() >= {"input_tokens", "output_tokens"}:
        numbers["total_tokens"] = numbers["input_tokens"] + numbers["output_tokens"]
    return Usage(numbers)


def read_answer(payload: Json) -> Reading:
    """Read an answer that reports no usage: how it ended is all there is."""
    kind = text(payload.get(EVENT_TYPE))
    if kind in _ENDS:
        return Reading(raw={_ANSWERED: True})
    return read_failure(payload) or Reading(state="success" if kind is None else None)


_NEEDLES = (
    *(b'"usage"', b'"foundationModel"', b'"__exception"'),
    *(f'":event-type":"{end}"'.encode() for end in sorted(_ENDS)),
)


def _api(operation: str, event_name: str = "text_generated") -> Api:
    read, settle = read_answer, settle_answer
    return Api(operation, event_name, read, settle, _NEEDLES, read_headers=read_headers)


AGENT = Api(
    "invoke_agent", "text_generated", read_agent, settle_agent, _NEEDLES, read_headers=read_headers
)
RETRIEVE = _api("retrieve_and_generate")
RERANK = _api("rerank", "api_calls")
