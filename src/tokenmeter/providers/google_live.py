"""
Gemini Live's messages, which the user's own websocket receives.

Any message may carry `usageMetadata`. Each one is a turn's own: the prompt of every turn holds
the conversation so far and is billed again, so they add up and none replaces another. A live
interaction tells its usage once, at its end.
"""

from __future__ import annotations

from dataclasses import replace

from tokenmeter.providers.base import Api, Call, Json, Reading, mapping, settled_as_read
from tokenmeter.providers.google_content import TEXT
from tokenmeter.providers.google_interactions import INTERACTIONS
from tokenmeter.providers.google_usage import label, read_usage, served_tier
from tokenmeter.providers.sessions import Heard, Session


def _read_turn(message: Json) -> Reading:
    metadata = message.get("usageMetadata")
    counted = read_usage(metadata)
    return Reading(
        usage=counted.usage,
        state="success",
        dimensions=served_tier(mapping(metadata)),
        flags=counted.flags,
    )


LIVE = Api("live", "text_generated", _read_turn, settled_as_read)
INTERACTION = INTERACTIONS[TEXT]
_COMPLETED, _CANCELLED = "interaction.completed", "interaction.cancelled"


def session_id(payload: Json) -> str | None:
    """Return the session that this message names; Vertex does, and interactions, at the start."""
    named = label(mapping(payload.get("setupComplete")).get("sessionId"))
    return named or label(payload.get("interaction_id"))


def begins_session(payload: Json) -> bool:
    """Say whether this is the client's first message."""
    return "setup" in payload or payload.get("event_type") == "interaction.create"


def read_event(payload: Json, session: Session, provider: str) -> Heard:
    """
    Read one message, the server's or the client's: only the client's `setup` names the model.

    17 prompt, 5 response and 3 thought tokens are 17 input and 8 output tokens.
    """
    if "event_type" in payload:
        return _read_interaction(payload, session, provider)
    setup = label(mapping(payload.get("setup")).get("model"))
    session = replace(
        session,
        session_id=session_id(payload) or session.session_id,
        model=setup.rpartition("/")[2] if setup else session.model,
    )
    reading = LIVE.read(payload)
    if not reading.usage and not reading.flags:
        return Heard(session)
    if session.model is None:
        reading = replace(reading, flags=reading.flags | {"model_unknown"})
    return Heard(session, Call(provider, LIVE, session.model, streamed=True), reading)


def _read_interaction(payload: Json, session: Session, provider: str) -> Heard:
    """Read one event of a live interaction: the client's names the model, the last has usage."""
    session = replace(
        session,
        session_id=session_id(payload) or session.session_id,
        model=label(payload.get("model")) or session.model,
    )
    kind = payload.get("event_type")
    if kind not in (_COMPLETED, _CANCELLED):
        return Heard(session)
    told = mapping(payload.get("interaction")) or {"id": session.session_id, **payload}
    whole = {"event_type": _COMPLETED, "interaction": {**told, "status": "completed"}}
    call = Call(provider, INTERACTION, session.model, streamed=True)
    reading = call.api.settle(call.api.read(whole), call)
    if not reading.usage:
        return Heard(session)
    if session.model is None and reading.model is None:
        reading = replace(reading, flags=reading.flags | {"model_unknown"})
    return Heard(session, call, reading, cancelled=kind == _CANCELLED)
