"""
Events of OpenAI's agent sessions, which run at the provider and are read by the user.

A turn states at its end what the agent used in it, all calls of its model added up; subagents
have turns of their own. A turn has an id for all time, so one that is streamed and listed later
counts once. Source: the types of the openai SDK 3.57 (`openai.types.beta`), 2026-11-30.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from tokenmeter.providers.anthropic_usage import label
from tokenmeter.providers.base import Api, Call, Json, Reading, mapping, text
from tokenmeter.providers.openai_settle import settle_text
from tokenmeter.providers.openai_wire import PLAIN, answer
from tokenmeter.providers.sessions import Heard, Session

SESSION = "agent.session"  # the `object` of a session, as it is created or retrieved
BEGINNING = "agent.session.created"
_ENDED = frozenset({"completed", "failed", "cancelled"})


def session_of(payload: Json) -> Json:
    """Return the session that a payload is or holds; {} if none."""
    return payload if payload.get("object") == SESSION else mapping(payload.get("session"))


def read_session(payload: Json, session: Session, _: str) -> Heard:
    """Take in the session's name, its model and its tier."""
    stated = session_of(payload)
    agent = mapping(stated.get("agent"))
    tier = label(agent.get("service_tier"))
    return Heard(
        replace(
            session,
            session_id=label(stated.get("id")) or session.session_id,
            model=label(agent.get("model")) or session.model,
            service_tier=session.service_tier if tier in {None, "auto"} else tier,
        )
    )


def read_turn(payload: Json, session: Session, provider: str) -> Heard:
    """Read the end of a turn: an event of it, or the turn itself as it is listed."""
    turn = mapping(payload.get("turn")) or payload
    status = text(turn.get("status"))
    if status not in _ENDED:
        return Heard(session)
    used = payload.get("usage") or turn.get("usage")  # an event's is the agent's own
    tier = session.service_tier
    call = Call(provider, TURN, session.model, dimensions={"service_tier": tier} if tier else {})
    reading = TURN.settle(TURN.read({**turn, "usage": used}), call)
    if session.model is None:
        reading = replace(reading, flags=reading.flags | {"model_unknown"})
    return Heard(session, call, reading, cancelled=status == "cancelled")


def _read(turn: Json) -> Reading:
    ended = {**turn, "created": turn.get("completed_at"), "model": None}
    return answer(
        ended, turn.get("usage"), "failed" if turn.get("status") == "failed" else "success"
    )


TURN = Api("agents", "text_generated", _read, partial(settle_text, PLAIN), owns_ids=True)
READERS: dict[str, Callable[[Json, Session, str], Heard]] = {
    SESSION: read_session,
    BEGINNING: read_session,
    "agent.session.turn": read_turn,
    "agent.session.turn.completed": read_turn,
    "agent.session.turn.failed": read_turn,
    "agent.session.turn.cancelled": read_turn,
}
