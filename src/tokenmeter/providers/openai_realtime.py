"""
OpenAI's Realtime and Live events, which the user's own websocket receives.

Each `response.done` is one answer with its own usage. What the user says is written down by
another model and billed apart. A Live session counts its seconds from its start: only what has
been added since the last report is billed. Work that it hands on is billed as what it is, and
so are the answers of a websocket of the Responses API, which ends each as its stream does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from tokenmeter.providers.anthropic_usage import label
from tokenmeter.providers.base import (
    NO_READING,
    Api,
    Call,
    Json,
    Reading,
    mapping,
    settled_as_read,
)
from tokenmeter.providers.compatible import OPENAI
from tokenmeter.providers.openai_agents import BEGINNING, READERS, SESSION, session_of
from tokenmeter.providers.openai_chat import plain_api
from tokenmeter.providers.openai_numbers import seconds
from tokenmeter.providers.openai_responses import responses_api
from tokenmeter.providers.openai_settle import settle_text
from tokenmeter.providers.openai_wire import PLAIN, answer, error_type
from tokenmeter.providers.sessions import Heard, Session
from tokenmeter.usage import Usage


def _read_answer(response: Json) -> Reading:
    reading = answer(response, response.get("usage"), "success")
    if response.get("status") != "failed":
        return reading
    failure = error_type(mapping(response.get("status_details"))) or "failed"
    return replace(reading, state="failed", error_type=failure)


def _read_words(event: Json) -> Reading:
    reading = answer(event, event.get("usage"), "success")
    item = label(event.get("item_id"))
    named = f"{item}/{event.get('content_index')}"[:_ID_CHARS_MAX] if item else None
    return replace(reading, response_id=named)


def _read_length(event: Json) -> Reading:
    """Read the seconds since the session began."""
    total = seconds(mapping(event.get("usage")).get("seconds"))
    return NO_READING if total is None else Reading(Usage(audio_seconds=total), state="success")


_settle = partial(settle_text, PLAIN)
RESPONSE = Api("realtime", "text_generated", _read_answer, _settle, owns_ids=True)
TRANSCRIPT = Api(
    "realtime.transcription", "audio_transcribed", _read_words, _settle, owns_ids=True
)
LIVE = Api("live", "audio_generated", _read_length, settled_as_read, owns_ids=True)
DELEGATED = responses_api(OPENAI, "responses")
DECISION = plain_api(OPENAI, "decisions", "text_generated")
_ID_CHARS_MAX = 240


def session_id(payload: Json) -> str | None:
    """Return the session that this event names, if it does."""
    return label(session_of(payload).get("id")) or label(payload.get("session_id"))


def begins_session(payload: Json) -> bool:
    """Say whether this is the first event of a session."""
    return payload.get("type") in _BEGINNINGS or payload.get("object") == SESSION


def read_event(payload: Json, session: Session, provider: str) -> Heard:
    """Read one event, server's or client's; most say nothing of usage."""
    reader = _READERS.get(str(payload.get("type") or payload.get("object")))
    return Heard(session) if reader is None else reader(payload, session, provider)


def _read_session(payload: Json, session: Session, _: str) -> Heard:
    """Take in the session's name and the models it uses."""
    stated = mapping(payload.get("session"))
    heard = mapping(mapping(mapping(stated.get("audio")).get("input")).get("transcription"))
    older = mapping(stated.get("input_audio_transcription"))
    transcriber = label(heard.get("model")) or label(older.get("model"))
    return Heard(
        replace(
            session,
            session_id=session_id(payload) or session.session_id,
            model=label(stated.get("model")) or session.model,
            transcriber=transcriber or session.transcriber,
        )
    )


def _read_response(payload: Json, session: Session, provider: str) -> Heard:
    response = mapping(payload.get("response"))
    heard = _heard(session, Call(provider, RESPONSE, session.model, streamed=True), response)
    return replace(heard, cancelled=response.get("status") == "cancelled")


def _read_transcript(payload: Json, session: Session, provider: str) -> Heard:
    """Read what another model transcribed, by tokens or by seconds."""
    return _heard(session, Call(provider, TRANSCRIPT, session.transcriber), payload)


def _read_seconds(payload: Json, session: Session, provider: str) -> Heard:
    """
    Bill the seconds added since the last report: 10, 25, then 40 are 10, 15 and 15.

    Without the session's name a smaller number can only be another session's.
    """
    session = _read_session(payload, session, provider).session
    closed = payload.get("type") == "session.closed"
    heard = _heard(session, Call(provider, LIVE, session.model, streamed=True), payload)
    total = heard.reading.usage.get("audio_seconds", 0)
    named = session.session_id
    begun = session.seconds if named or total >= session.seconds else 0
    if total <= begun:
        return Heard(session, closed=closed)
    reading = replace(
        heard.reading,
        usage=Usage(audio_seconds=total - begun),
        response_id=f"{named}/{total}" if named else None,
        flags=heard.reading.flags | (frozenset() if named else {"session_unknown"}),
    )
    session = replace(session, seconds=total)
    return replace(heard, session=session, reading=reading, closed=closed)


def _read_delegated(payload: Json, session: Session, provider: str) -> Heard:
    """Read the end of a response that a Live session left to another model."""
    heard = _heard(
        session, Call(provider, DELEGATED, streamed=True), mapping(payload.get("event"))
    )
    return heard if heard.reading.state in {"success", "failed"} else Heard(session)


def _read_ended(payload: Json, session: Session, provider: str) -> Heard:
    """Read the end of an answer of the Responses API, over a websocket of its own."""
    heard = _heard(session, Call(provider, DELEGATED, streamed=True), payload)
    return heard if heard.reading.state in {"success", "failed"} else Heard(session)


def _read_decision(payload: Json, session: Session, provider: str) -> Heard:
    decision = mapping(mapping(payload.get("event")).get("decision"))
    return _heard(session, Call(provider, DECISION), decision) if decision else Heard(session)


def _heard(session: Session, call: Call, payload: Json) -> Heard:
    reading = call.api.settle(call.api.read(payload), call)
    if call.request_model is None and reading.model is None:
        reading = replace(reading, flags=reading.flags | {"model_unknown"})
    return Heard(session, call, replace(reading, raw={}))


_BEGINNINGS = frozenset(
    {"session.created", "session.started", "transcription_session.created", BEGINNING}
)
_READERS: dict[str, Callable[[Json, Session, str], Heard]] = {
    **dict.fromkeys(
        (*_BEGINNINGS, "session.updated", "transcription_session.updated"), _read_session
    ),
    **READERS,
    "response.done": _read_response,
    "conversation.item.input_audio_transcription.completed": _read_transcript,
    "session.usage.updated": _read_seconds,
    "session.closed": _read_seconds,
    "response.event": _read_delegated,
    **dict.fromkeys(("response.completed", "response.incomplete", "response.failed"), _read_ended),
    "decision.event": _read_decision,
}
