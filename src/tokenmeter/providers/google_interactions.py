"""
Interactions: one answer, a stream of events, or a job in the background.

Events report the usage so far; the last report stands as a whole. Fetching an interaction
again repeats its usage under the same id.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from tokenmeter.providers.base import Api, Call, Json, Reading, State, count, mapping, text
from tokenmeter.providers.google_content import (
    AUDIO,
    IMAGE,
    MEDIA,
    TEXT,
    VIDEO,
    either,
    event_name,
    marked,
    objects,
)
from tokenmeter.providers.google_jobs import resolution, seconds, with_seconds
from tokenmeter.providers.google_usage import (
    INTERACTION,
    Counted,
    error_type,
    label,
    labels,
    read_usage,
)
from tokenmeter.usage import Number, Usage

_STATES: dict[str, State] = {
    "completed": "success",
    "requires_action": "success",  # it ended with a call of a function
    "requires_continuation": "success",  # it ended at the limit of one request
    "incomplete": "success",
    "budget_exceeded": "success",  # what was made until then is there, and billed
    "failed": "failed",
    "cancelled": "failed",
}
# As the status of an interaction, or as the kind of an event.
_FAILURES = {name: name for name in ("failed", "cancelled", "error")}
_COMPLETED = frozenset({"interaction.completed", "interaction.complete"})
_NEEDLES = (b'"usage"', b'"total_usage"', b'"error"', b'"status"', b'"image/', b'"video/')
_COUNTED = "counted"  # key of `raw`: the last report of usage
_SEARCHES = {
    "google_search": "web_search_count",
    "google_maps": "maps_grounding_count",
    "retrieval": "file_search_count",
}


def read_interaction(payload: Json) -> Reading:
    """Read a whole interaction, or one event of its stream."""
    kind = text(payload.get("event_type"))
    if kind is None:
        return _read_whole(payload)
    if kind in _COMPLETED:
        return _read_whole(mapping(payload.get("interaction")))
    failure = error_type(payload) or _FAILURES.get(kind) or _FAILURES.get(_status(payload) or "")
    metadata = mapping(payload.get("metadata"))
    usage = payload.get("usage") or metadata.get("total_usage") or metadata.get("usage")
    reading = _head(mapping(payload.get("interaction"))) | _counted(usage)
    return replace(
        reading,
        state="failed" if failure else None,
        error_type=failure,
        raw={**reading.raw, **_marks(payload)},
    )


def _status(interaction: Json) -> str | None:
    return text(interaction.get("status"))


def _read_whole(interaction: Json) -> Reading:
    failure = error_type(interaction)
    if failure is not None:
        return Reading(state="failed", error_type=failure)
    status = _status(interaction)
    reading = _head(interaction) | _counted(interaction.get("usage"))
    state = _STATES.get(status, "pending") if status else _without_status(reading)
    made: dict[str, Number] = {}
    for content in _contents(interaction):
        metric = _delivered(content)
        if metric is not None:
            made[metric] = made.get(metric, 0) + 1
    if state == "failed":
        first = next(objects(interaction.get("errors")), {})
        reading = replace(reading, error_type=label(first.get("code")) or status)
    return replace(reading, state=state, usage=reading.usage | made)


def _without_status(reading: Reading) -> State | None:
    """What has neither an id nor usage is no interaction: a poll so answered says nothing."""
    return "success" if reading.response_id or reading.raw else None


def _head(interaction: Json) -> Reading:
    return Reading(
        model=label(interaction.get("model")),
        response_id=label(interaction.get("id")),
        created=label(interaction.get("created")),
        dimensions=labels(service_tier=interaction.get("service_tier")),
    )


def _counted(value: object) -> Reading:
    """Read one report of usage; one without any count does not take an earlier one's place."""
    usage, flags = read_usage(value, INTERACTION)
    searches, odd = _searches(mapping(value).get("grounding_tool_count"))
    usage, flags = usage | searches, flags | odd
    if not usage:
        return Reading(flags=flags)
    return Reading(usage=usage, raw={_COUNTED: Counted(usage, flags)})


def _searches(value: object) -> tuple[dict[str, Number], frozenset[str]]:
    """Read how often the tools that are billed by the call were used."""
    found: dict[str, Number] = {}
    flags: set[str] = set()
    for entry in objects(value):
        kind, number = label(entry.get("type")) or "", count(entry.get("count"))
        metric = _SEARCHES.get(kind)
        if entry.get("count") in (None, 0):
            continue
        if metric is None or number is None:
            flags.add("invalid:grounding_tool_count" if number is None else f"unknown:{kind}")
        else:
            found[metric] = found.get(metric, 0) + number
    return found, frozenset(flags)


def _contents(interaction: Json) -> Iterator[Json]:
    """Yield what the model put out; `outputs` is the first form of this API."""
    yield from objects(interaction.get("outputs"))
    for step in objects(interaction.get("steps")):
        if step.get("type") == "model_output":
            yield from objects(step.get("content"))


def _delivered(content: Json) -> str | None:
    """Return the metric of an image or video, if `content` is one."""
    kind = text(content.get("type")) or ""
    there = isinstance(content.get("data"), str) or isinstance(content.get("uri"), str)
    return MEDIA.get(kind) if there else None


def _marks(event: Json) -> dict[str, Any]:
    """Name the image or video that an event is a piece of: one per step."""
    metric = _delivered(mapping(event.get("delta")))
    index = count(event.get("index"))
    return {} if metric is None or index is None else {f"{metric}:{index}": True}


def settle_interaction(reading: Reading, call: Call) -> Reading:
    """Take the last report of tokens, and count what was delivered."""
    last: Counted = reading.raw.get(_COUNTED, Counted())
    made: dict[str, Number] = {}
    for metric in MEDIA.values():
        number = reading.usage.get(metric, marked(reading, f"{metric}:"))
        if number:
            made[metric] = number
    usage = last.usage | made
    if made:
        usage = usage | {"output_count": sum(made.values())}
    if "video_count" in made:
        usage = usage | {"video_jobs": 1}
        usage = with_seconds(usage, call)[0] if "video_seconds" in call.usage else usage
    return replace(
        reading,
        usage=usage,
        response_id=reading.response_id or call.job_id,
        flags=reading.flags | last.flags,
        raw={},
    )


def _settle_background(reading: Reading, call: Call) -> Reading:
    """Settle a job: until its end is told it goes on, also where its stream was left."""
    settled = settle_interaction(reading, call)
    told = settled.state is not None or settled.response_id is None
    return settled if told else replace(settled, state="pending")


def delivered_text(event: Json) -> str:
    """Return the text that one event delivers: answer, thoughts, arguments of calls."""
    delta = mapping(event.get("delta"))
    content = mapping(delta.get("content"))
    pieces = (delta.get("text"), content.get("text"), delta.get("arguments"))
    return "".join(piece for piece in pieces if isinstance(piece, str))


def _api(event: str) -> Api:
    return Api(
        operation="interactions",
        event_name=event,
        read=read_interaction,
        settle=settle_interaction,
        needles=_NEEDLES,
        text=delivered_text,
        done=b"[DONE]",
        owns_ids=True,
    )


INTERACTIONS = {name: _api(name) for name in (TEXT, IMAGE, AUDIO, VIDEO)}
_IN_BACKGROUND = {
    name: replace(api, settle=_settle_background) for name, api in INTERACTIONS.items()
}
# Questions about one input, answered at once: usage as an interaction's, and no id.
DECISIONS = replace(INTERACTIONS[TEXT], operation="decisions", owns_ids=False)


def describe_interaction(body: Json, provider: str) -> Call:
    """Describe the creation of an interaction."""
    model = label(body.get("model")) or label(body.get("agent"))
    facts: Json = dict(either(mapping(body.get("generation_config")), "image_config"))
    kinds: list[object] = []
    asked = body.get("response_format")
    for form in objects([asked] if isinstance(asked, dict) else asked):
        kinds.append(form.get("type"))
        facts.update(form)
    length = seconds(facts.get("duration"))
    apis = _IN_BACKGROUND if body.get("background") is True else INTERACTIONS
    return Call(
        provider,
        apis[event_name(body.get("response_modalities") or kinds, model or "")],
        request_model=model,
        streamed=body.get("stream") is True,
        dimensions=labels(
            size=facts.get("image_size"),
            aspect_ratio=facts.get("aspect_ratio"),
            resolution=resolution(facts.get("resolution")),
            service_tier=body.get("service_tier"),
            agent=body.get("agent"),
        ),
        usage=Usage() if length is None else Usage(video_seconds=length),
    )
