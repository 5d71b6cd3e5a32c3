"""Which attempt of which call an exchange is, and the note that its retry will find."""

from __future__ import annotations

import math
import time
from weakref import ref

from tokenmeter.attribution import NO_ATTRIBUTION, Attribution, Note, Repeats, Scope, innermost
from tokenmeter.capture.requests import Sent
from tokenmeter.capture.retries import claim, new_id
from tokenmeter.event import Property, attempt_id


class Attempt:
    """
    One attempt of a call: the first, or the repetition of one that failed.

    `meter` is an object that stands for the meter; attempts of two meters are never one call.
    """

    __slots__ = ("_meter", "_note", "_noted", "_repeated", "_scope", "_sent", "call_id", "number")

    def __init__(self, scope: Scope | None, sent: Sent, meter: object, *, window_s: float) -> None:
        self._scope = scope
        self._sent = sent
        self._meter = meter
        self._noted = False
        self.number = 1 + sent.retry_count
        note = None
        if scope is not None and (scope.notes or scope.outer is not None):
            note = claim(scope, self._repeats, window_s)
        self._repeated = note
        if note is None:
            self.call_id = new_id("call_")
        else:
            self.call_id = note.call_id
            self.number = note.attempt + 1
        self._note: Note | None = None
        if scope is not None and scope.keeps_notes:
            self._begin(scope)

    def _begin(self, scope: Scope) -> None:
        """Leave a note now: what repeats this attempt may come while it is under way."""
        own = None if scope.run is None else ref(scope.run)
        self._note = Note(self._repeats(), self.call_id, self.number, "", math.inf, own)
        scope.replayed_in.leave_note(self._note)

    def leave_note(self, event_id: str = "") -> None:
        """Leave a note for the retry of this attempt, once; a failure has an id of its own."""
        if self._noted:
            return
        self._noted = True
        named = event_id or attempt_id(self.call_id, self.number)
        if self._note is not None:
            self._note.event_id, self._note.failed_at_s = named, time.monotonic()
            self._note.within = self._note.within if event_id else None
            return
        note = Note(self._repeats(), self.call_id, self.number, named, time.monotonic())
        (self._scope or innermost()).leave_note(note)

    def withdraw(self) -> None:
        """Forget this attempt, which was none: whoever repeats it repeats what it repeated."""
        note, self._note = self._note, None
        if note is None or self._scope is None:
            return
        notes = self._scope.replayed_in.notes
        try:
            notes.remove(note)
        except ValueError:
            return  # another has claimed it
        if self._repeated is not None:
            notes.append(self._repeated)

    @property
    def retry_of(self) -> str | None:
        """The event of the attempt that this one repeats, if it is known by now."""
        return None if self._repeated is None else self._repeated.event_id or None

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
        repeated = self._repeated
        if repeated is not None and repeated.event_id:
            found["retry_of"] = repeated.event_id
        return found

    def _repeats(self) -> Repeats:
        """What a retry of this attempt has in common with it."""
        return Repeats(self._sent.fingerprint(), self.attribution, self.run_id, self._meter)
