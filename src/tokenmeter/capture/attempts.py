"""Which attempt of which call an exchange is, and the note that its retry will find."""

from __future__ import annotations

import time

from tokenmeter.attribution import NO_ATTRIBUTION, Attribution, Note, Repeats, Scope, innermost
from tokenmeter.capture.requests import Sent
from tokenmeter.capture.retries import claim, new_id
from tokenmeter.event import Property, attempt_id


class Attempt:
    """
    One attempt of a call: the first, or the repetition of one that failed.

    `meter` is an object that stands for the meter; attempts of two meters are never one call.
    """

    __slots__ = ("_meter", "_noted", "_scope", "_sent", "call_id", "number", "retry_of")

    def __init__(self, scope: Scope | None, sent: Sent, meter: object, *, window_s: float) -> None:
        self._scope = scope
        self._sent = sent
        self._meter = meter
        self._noted = False
        self.number = 1 + sent.retry_count
        self.retry_of: str | None = None
        note = None if scope is None else claim(scope, self._repeats, window_s)
        if note is None:
            self.call_id = new_id("call_")
        else:
            self.call_id = note.call_id
            self.number = note.attempt + 1
            self.retry_of = note.event_id

    def leave_note(self, event_id: str = "") -> None:
        """Leave a note for the retry of this attempt, once; a failure has an id of its own."""
        if self._noted:
            return
        self._noted = True
        event_id = event_id or attempt_id(self.call_id, self.number)
        note = Note(self._repeats(), self.call_id, self.number, event_id, time.monotonic())
        (self._scope or innermost()).leave_note(note)

    @property
    def attribution(self) -> Attribution:
        """Whose attempt it is."""
        return NO_ATTRIBUTION if self._scope is None else self._scope.attribution

    @property
    def run_id(self) -> str | None:
        """The run it belongs to."""
        run = None if self._scope is None else self._scope.run
        return None if run is None else run.run_id

    def facts(self) -> dict[str, Property]:
        """Return the properties that say which attempt of which call it is."""
        found: dict[str, Property] = {"call_id": self.call_id, "attempt": self.number}
        if self.number > 1:
            found["is_retry"] = "true"
        if self.retry_of is not None:
            found["retry_of"] = self.retry_of
        return found

    def _repeats(self) -> Repeats:
        """What a retry of this attempt has in common with it."""
        return Repeats(self._sent.fingerprint(), self.attribution, self.run_id, self._meter)
