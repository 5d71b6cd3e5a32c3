"""
Sessions whose events the user reads, from a websocket or a stream, and hands us one by one.

Usage often needs what an earlier event said (the model, the seconds billed so far), so sessions
are remembered: under the provider's own id where an event names one, and for the events after
it in the same task or thread. Who reads several sessions in one task names them: `session=`.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any, Protocol

from tokenmeter.attribution import NO_ATTRIBUTION, Scope, current_scope
from tokenmeter.capture.observation import Observation, Outcome
from tokenmeter.capture.retries import new_id
from tokenmeter.capture.returned import as_wire
from tokenmeter.capture.sink import Sink
from tokenmeter.capture.witness import Witness
from tokenmeter.errors import ConfigurationError
from tokenmeter.event import Event
from tokenmeter.providers import anthropic_sessions, google_live, openai_realtime
from tokenmeter.providers.base import Call, Json
from tokenmeter.providers.sessions import Heard, Session

SESSIONS_MAX = 10_000  # the one not heard of for longest is forgotten
IDS_MAX = 65_536  # of answers that were billed, to bill none of them twice
PAYLOAD_BYTES_MAX = 32 * 1024 * 1024  # a longer text is no event


@dataclass(frozen=True, slots=True)
class Dialect:
    """How the events of one provider are read."""

    read: Callable[[Json, Session, str], Heard]
    session_id: Callable[[Json], str | None]  # the provider's own, where the event names it
    begins: Callable[[Json], bool]


_OPENAI = Dialect(
    openai_realtime.read_event, openai_realtime.session_id, openai_realtime.begins_session
)
_GOOGLE = Dialect(google_live.read_event, google_live.session_id, google_live.begins_session)
_ANTHROPIC = Dialect(
    anthropic_sessions.read_event, anthropic_sessions.session_id, anthropic_sessions.begins_session
)
DIALECTS = {
    "anthropic": _ANTHROPIC,
    "openai": _OPENAI,
    "azure": _OPENAI,
    "google": _GOOGLE,
    "google-vertex": _GOOGLE,
}
# The session that events of this task or thread belong to: provider and name.
_current: ContextVar[tuple[str, str] | None] = ContextVar("tokenmeter_session", default=None)


class Meter(Sink, Protocol):
    """A meter that remembers sessions."""

    @property
    def sessions(self) -> Any:
        """The Sessions it has heard of."""
        ...


class Sessions:
    """The sessions that one meter has heard of, and the answers that it has billed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[str, str], Session] = OrderedDict()
        self._billed: OrderedDict[tuple[str, str], None] = OrderedDict()

    def hear(self, provider: str, payload: Json, name: str | None, model: str | None) -> Heard:
        """Read one event in the light of its session, and remember what it adds."""
        dialect = DIALECTS[provider]
        begins, own = dialect.begins(payload), dialect.session_id(payload)
        fresh = new_id("session_") if begins else None
        with self._lock:
            key = self._key(provider, name or own or fresh)
            session = Session() if begins else self._taken(key, named=own is not None)
            heard = dialect.read(payload, replace(session, model=model or session.model), provider)
            if not heard.closed:
                self._remember(key, heard.session)
        if begins or own is not None:
            _current.set(key)
        return heard

    def is_new(self, call: Call, response_id: str | None) -> bool:
        """Say whether an answer has not been billed yet, and take it as billed."""
        if response_id is None:
            return True
        key = (call.provider, response_id)
        with self._lock:
            if key in self._billed:
                return False
            self._billed[key] = None
            if len(self._billed) > IDS_MAX:
                self._billed.popitem(last=False)
        return True

    def _key(self, provider: str, name: str | None) -> tuple[str, str]:
        """Find the session of an event: by name, by task, or because there is only one."""
        if name is not None:
            return provider, name
        current = _current.get()
        if current is not None and current[0] == provider:
            return current
        known = [key for key in self._known if key[0] == provider]
        return known[0] if len(known) == 1 else (provider, "")

    def _taken(self, key: tuple[str, str], *, named: bool) -> Session:
        """Take a session out; one that is named only now is the nameless one of this task."""
        if named and key not in self._known:
            nameless = self._key(key[0], None)
            session = self._known.get(nameless, Session())
            key = nameless if session.session_id is None else key
        return self._known.pop(key, Session())

    def _remember(self, key: tuple[str, str], session: Session) -> None:
        if session == Session():
            return
        self._known.pop(key, None)
        self._known[key] = session
        if len(self._known) > SESSIONS_MAX:
            self._known.popitem(last=False)


def read_event(
    meter: Meter,
    provider: str,
    payload: object,
    *,
    session: str | None = None,
    model: str | None = None,
) -> Event | None:
    """
    Meter one event of a session; None if it reports no usage, or was metered before.

    `payload` is the event as JSON text, a dict or the SDK's object. `session` tells sessions
    apart that are read in one task; `model` names the model where no event does (Gemini Live,
    agents whose session you do not hand in). Raises ConfigurationError for a provider without
    such events, and nothing else.
    """
    if provider not in DIALECTS:
        raise ConfigurationError(
            f"no events of sessions are known of {provider!r}; use one of {', '.join(DIALECTS)}"
        )
    try:
        return _metered(meter, provider, payload, session, model)
    except Exception as error:  # noqa: BLE001 - our fault; the user's session goes on, it is logged
        meter.fault(error)
        return None


def _metered(
    meter: Meter, provider: str, payload: object, session: str | None, model: str | None
) -> Event | None:
    wire = _as_json(payload)
    if not wire:
        return None
    heard = meter.sessions.hear(provider, wire, session, model)
    call = heard.call
    if call is None or not meter.sessions.is_new(call, heard.reading.response_id):
        return None
    outer = current_scope()
    for level in () if outer is None else outer.chain():
        level.observed += 1  # a decorated function that reads events has been metered
    witness = Witness(outer)
    meter.observed(_observation(heard, call, outer), witness.scope)
    return next(iter(witness.events), None)


def _as_json(payload: object) -> Json | None:
    if not isinstance(payload, str | bytes | bytearray):
        return as_wire(payload)
    if len(payload) > PAYLOAD_BYTES_MAX:
        return None
    try:
        parsed: object = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    return as_wire(parsed)


def _observation(heard: Heard, call: Call, scope: Scope | None) -> Observation:
    reading = heard.reading
    outcome: Outcome = "cancelled" if heard.cancelled else "success"
    if reading.state == "failed":
        outcome = "failed"
    return Observation(
        call,
        new_id("call_"),
        reading,
        outcome,
        "reported" if reading.usage else "missing",
        NO_ATTRIBUTION if scope is None else scope.attribution,
        None if scope is None or scope.run is None else scope.run.run_id,
        error_type=reading.error_type if outcome == "failed" else None,
    )
