"""
Events of Anthropic's agent sessions, which run at the provider and are read by the user.

Within one request of the user's the agent calls its model as often as it likes: each call ends
with a `span.model_request_end` that states its usage, as Messages do. Every event has an id for
all time, so one that is streamed and listed later counts once. Source: the event types of the
anthropic SDK 2.14 (`anthropic.types.beta.sessions`), 2026-11-30.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tokenmeter.providers.anthropic_usage import label, read_usage, with_totals
from tokenmeter.providers.base import Api, Call, Json, Reading, mapping, settled_as_read
from tokenmeter.providers.openai_numbers import seconds
from tokenmeter.providers.sessions import Heard, Session
from tokenmeter.usage import Usage

# Tools that Anthropic runs and bills by the piece; the others cost the tokens they make.
SEARCHES = {"web_search": "web_search_count"}


def session_id(payload: Json) -> str | None:
    """Return the session that this is, if it is one: events do not name theirs."""
    return label(payload.get("id")) if begins_session(payload) else None


def begins_session(payload: Json) -> bool:
    """Say whether this is a session, as it is created or retrieved."""
    return payload.get("type") == "session"


def read_event(payload: Json, session: Session, provider: str) -> Heard:
    """Read a session or one of its events; most say nothing of usage."""
    reader = _READERS.get(str(payload.get("type")))
    return Heard(session) if reader is None else reader(payload, session, provider)


def _read_session(payload: Json, session: Session, _: str) -> Heard:
    model = label(mapping(mapping(payload.get("agent")).get("model")).get("id"))
    ran = seconds(mapping(payload.get("usage")).get("active_seconds")) or 0
    named = replace(session, session_id=session_id(payload), model=model or session.model)
    return Heard(replace(named, runtime=ran))


def _read_request(event: Json, session: Session, provider: str) -> Heard:
    """Read the end of a call of the model's."""
    call = Call(provider, REQUEST, session.model)
    reading = replace(_used(event, "model_usage"), state="success")
    if event.get("is_error") is True:
        reading = replace(reading, state="failed", error_type="model_request_error")
    return Heard(session, call, _named(reading, event, session.model))


def _read_grading(event: Json, session: Session, provider: str) -> Heard:
    """Read a cycle of the grader's, whose model no event names."""
    reading = replace(_used(event, "usage"), state="success")
    return Heard(session, Call(provider, GRADING), _named(reading, event, None))


def _read_tool(event: Json, session: Session, provider: str) -> Heard:
    """Read a use of a tool; one that was refused did not run."""
    metric = SEARCHES.get(str(event.get("name")))
    if metric is None or event.get("evaluated_permission") == "deny":
        return Heard(session)
    reading = Reading(Usage({metric: 1}), state="success")
    return Heard(session, Call(provider, TOOL, session.model), _named(reading, event, None))


def _read_runtime(event: Json, session: Session, provider: str) -> Heard:
    """
    Read how long the session has run in all, which is billed by the hour: what is new counts.

    Of a session that was not handed in nobody knows what has been counted before: its first
    such event is where to begin.
    """
    ran = seconds(mapping(event.get("usage")).get("active_seconds"))
    if ran is None:
        return Heard(session)
    new = 0 if session.runtime is None else ran - session.runtime
    session = replace(session, runtime=max(ran, session.runtime or 0))
    if new <= 0:
        return Heard(session)
    reading = Reading(Usage(time_seconds=new), state="success")
    named = replace(_named(reading, event, None), flags=frozenset())
    return Heard(session, Call(provider, RUNTIME), named)


def _used(event: Json, field: str) -> Reading:
    return replace(with_totals(read_usage(event.get(field))), raw={})


def _named(reading: Reading, event: Json, model: str | None) -> Reading:
    flags = reading.flags if model else reading.flags | {"model_unknown"}
    created = event.get("processed_at")
    return replace(
        reading,
        response_id=label(event.get("id")),
        created=created if isinstance(created, str) else None,
        flags=flags,
    )


REQUEST = Api("sessions", "text_generated", read_usage, settled_as_read, owns_ids=True)
GRADING = replace(REQUEST, operation="sessions.outcome")
TOOL = replace(REQUEST, operation="sessions.tool")
RUNTIME = replace(REQUEST, operation="sessions.runtime", event_name="api_calls")
_READERS: dict[str, Callable[[Json, Session, str], Heard]] = {
    "session": _read_session,
    "span.model_request_end": _read_request,
    "span.outcome_evaluation_end": _read_grading,
    "agent.tool_use": _read_tool,
    "session.usage": _read_runtime,
}
