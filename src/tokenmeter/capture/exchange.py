"""
One provider exchange, from request to the end of its answer.

Taps translate their library's calls to `response`, `chunk`, `end`, `fail` and `close`; every
decision is here. An exchange closes exactly once, and nothing here raises
into the user's call: a fault of ours is reported to the sink and the bytes pass untouched.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace

from tokenmeter.attribution import current_scope
from tokenmeter.capture.answers import open_reader
from tokenmeter.capture.attempts import Attempt
from tokenmeter.capture.decode import Decoder
from tokenmeter.capture.estimate import PLACEHOLDER
from tokenmeter.capture.eventstream import NOT_FRAMES, Frames
from tokenmeter.capture.gating import Ticket, settle
from tokenmeter.capture.joining import joined_id
from tokenmeter.capture.observation import (
    FAILED_FROM,
    Observation,
    Outcome,
)
from tokenmeter.capture.reader import Reader, SilentReader
from tokenmeter.capture.refusal import Refusal, Refused
from tokenmeter.capture.requests import Sent
from tokenmeter.capture.sink import Sink
from tokenmeter.capture.sources import after_abort, each_job, source_of
from tokenmeter.capture.sse import EventReader
from tokenmeter.capture.underway import opened_line
from tokenmeter.event import Event, attempt_id
from tokenmeter.providers.base import NO_READING, Call, Reading


class Exchange:
    """One attempt: opened with a described request, closed once with an observation."""

    __slots__ = (
        *("_attempt", "_complete", "_date", "_decoder", "_draining", "_entered", "_error"),
        *("_event_id", "_joined", "_open", "_reader", "_scope", "_sent", "_sink", "_status"),
        *("_strip", "_ticket", "call"),
    )

    def __init__(self, sink: Sink, call: Call, sent: Sent) -> None:
        self.call = call
        self._sink, self._sent = sink, sent
        self._scope = scope = current_scope()
        self._open = [None]  # popped by whoever closes: one thread wins
        self._reader: Reader | None = None
        self._decoder: Decoder | None = None
        self._strip = call.edited_body is not None
        self._status: int | None = None
        self._date: str | None = None
        self._error: str | None = None
        self._draining = self._complete = False  # read on without the user; read to the end
        self._event_id: str | None = None  # as announced
        self._joined: str | None = None  # by our own gateway, whose event it is
        self._ticket: Ticket | None = None  # of the gate that let the call pass
        self._attempt = Attempt(scope, sent, sink.key, window_s=sink.policy.retry_window_s)
        self._entered = sink.entered(opened_line(call, self._attempt, scope))
        sink.open_exchanges.add(self)
        if scope is not None:
            for level in scope.chain():
                level.observed += 1
                if level.watch is not None:
                    level.watch(self)

    @property
    def is_open(self) -> bool:
        """Whether the observation is still to come."""
        return bool(self._open)

    @property
    def rewrites(self) -> bool:
        """Whether the bytes the user gets may differ from those that come."""
        return self._strip

    def response(self, status: int, headers: Mapping[str, str], *, decoded: bool = False) -> None:
        """Take status and headers; `decoded`: chunks come without their content-encoding."""
        self._status = status
        self._date = headers.get("date")
        self._joined = joined_id(self._sink.gateways, self._sent, headers)
        if status >= FAILED_FROM:
            self._strip = False
            self._error = f"http_{status}"
            self._attempt.leave_note()
        self._reader, self._decoder = open_reader(
            self.call, status, headers, decoded=decoded, strips=self._strip
        )

    def whole(self, content: bytes) -> bytes:
        """Take an answer that is there as a whole; return what the user is to get."""
        failed = (self._status or 0) >= FAILED_FROM
        if failed or self._reader is None or not self._reader.skim(content):
            return self.chunk(content) + self.end()
        self._complete = True
        self._close("success")
        return content

    def quiet(self) -> Callable[[bytes], bool]:
        """Return a test for the next bytes, once: True if they need not go through `chunk`."""
        reader = self._reader
        if isinstance(reader, EventReader) and self._decoder is None:
            return reader.quiet
        return lambda _data: False

    def chunk(self, data: bytes) -> bytes:
        """Take the next bytes of the answer; return those that the user is to get."""
        reader = self._reader
        if reader is None:  # closed; an edited stream goes on to be decoded for the user
            return data if self._decoder is None else b"".join(self._decoder.decode(data))
        try:
            if self._decoder is None:
                given = reader.feed(data)
            else:
                given = self._decoded(reader, self._decoder, data)
            said = reader.reading.state == "success" and isinstance(reader, EventReader)
            if said and not self.call.api.adds:  # where payloads add up, more may come
                self._complete = True
                self._close("success")
        except Exception as error:  # noqa: BLE001 - a fault of ours must not reach the user
            self.broken(error)
            return data
        return given

    def _decoded(self, reader: Reader, decoder: Decoder, data: bytes) -> bytes:
        passed = (reader.feed(plain) for plain in decoder.decode(data))
        parts = deque(passed, None if self._strip else 0)  # a gzip bomb stays small
        if isinstance(decoder, Frames):
            if decoder.failed:
                reader.reading = reader.reading | NOT_FRAMES
            if decoder.over:
                self.end()  # the user's library raises now, and may leave it open
        return b"".join(parts) if self._strip else data

    def end(self) -> bytes:
        """The answer is complete; return the bytes that were held back."""
        held = b""
        if self._reader is not None and self._open:
            try:
                held = self._reader.end()
            except Exception as error:  # noqa: BLE001 - as in chunk()
                self.broken(error)
        self._complete = True
        self._close("success")
        return held

    def fail(self, error: BaseException) -> None:
        """The exchange ended with an exception, which the user gets."""
        if not isinstance(error, Exception):  # a cancelled task, Ctrl-C, GeneratorExit
            self._close("cancelled")
            return
        self._error = type(error).__name__
        self._close("failed")

    def close(self) -> None:
        """
        The user closed the answer early, or has all of it.

        An SDK's generator does this too when it is garbage collected, maybe inside a lock.
        """
        if self._open:
            self._sink.soon(self.cancelled)

    @property
    def is_draining(self) -> bool:
        """Whether the stream is read on in the background."""
        return self._draining

    def drains(self) -> bool:
        """Say whether to read on in the background now that the user is gone; once."""
        wanted = self._sink.policy.on_abort == "drain" and (self._status or 0) < FAILED_FROM
        if not self._open or self._draining or not wanted:
            return False
        self._draining = True
        return True

    def later(self, work: Callable[[], None]) -> None:
        """Run `work` on another thread; safe in finalizers."""
        self._sink.defer(work)

    def interrupted(self, error: Exception) -> None:
        """Reading on failed; the exchange stays what it was: cancelled."""
        self._sink.fault(error)

    def cancelled(self) -> None:
        """Nobody reads on; say so now. Not from finalizers."""
        self._close("cancelled")

    def broken(self, error: BaseException) -> None:
        """Stop reading this answer; its event says so."""
        self._sink.fault(error)
        known = self._reader.reading if self._reader is not None else Reading()
        reader = SilentReader("")
        reader.reading = known | Reading(flags=frozenset({"meter_fault"}))
        self._reader = reader
        self._decoder = None
        self._strip = False

    def announce(self) -> str:
        """
        Return the id that the event of this attempt has; from now on it is fixed.

        The provider's own if the answer has told it so far, else one of the attempt's.
        """
        if self._event_id is None:
            reading = NO_READING if self._reader is None else self._reader.reading
            own = attempt_id(self._attempt.call_id, self._attempt.number)
            self._event_id = self._sink.ids.claim(self.call, reading, self._status) or own
        return self._event_id

    def admit(self) -> Refusal | None:
        """Ask the gate of the scope; a call that it refuses leaves no event."""
        if self._scope is not None:
            try:
                self._ticket = self._scope.gate.admit(self.call, self._sent.json(), self._scope)
            except BaseException as error:
                self.discard()
                if isinstance(error, Refused):
                    return error.refusal
                raise
        return None

    @property
    def is_gated(self) -> bool:
        """Whether somebody must let the call pass, by `admit`."""
        return self._scope is not None and self._scope.gate is not None

    def discard(self) -> None:
        """Forget this exchange: somebody else has seen the same thing. No event."""
        if self._taken():
            self._left()

    def _taken(self) -> bool:
        """Whether it is ours to close: one thread wins."""
        try:
            self._open.pop()
        except IndexError:
            return False  # closed before
        self._sink.open_exchanges.discard(self)
        return True

    def _close(self, ending: Outcome) -> None:
        if not self._taken():
            return
        try:
            made: list[Event] = []
            for observation in each_job(self._observation(ending)):
                made += self._sink.observed(observation, self._scope)
            if self._ticket is not None:
                settle(self._ticket, made, self._status)
        except Exception as error:  # noqa: BLE001 - as in chunk()
            self._sink.fault(error)
        self._left()

    def _left(self) -> None:
        self._sink.left(self._entered)
        self._reader, self._decoder = None, self._decoder if self._strip else None

    def _observation(self, ending: Outcome) -> Observation:
        raw = self._reader.reading if self._reader is not None else Reading()
        reading = self.call.api.settle(raw, self.call)
        outcome = self._outcome(ending, reading)
        source = source_of(reading, self.call)
        if (outcome == "cancelled" and not self._complete) or PLACEHOLDER in reading.flags:
            reader = None if self._sink.policy.on_abort == "partial" else self._reader
            reading, source = after_abort(reading, source, reader, self.call.api, self._sent)
        if outcome == "failed" or (outcome == "cancelled" and self._status is None):
            self._attempt.leave_note()
        elif self._scope is not None and self._scope.keeps_notes:
            self._attempt.leave_note(self.announce())
        return Observation(
            self.call,
            self._attempt.call_id,
            replace(reading, raw={}) if reading.raw else reading,
            outcome,
            source,
            self._attempt.attribution,
            self._attempt.run_id,
            self._attempt.number,
            self._attempt.retry_of,
            self._status,
            reading.error_type or self._error if outcome == "failed" else None,
            self._date,
            event_id=self._joined or self._event_id,
            joined=self._joined is not None,
        )

    def _outcome(self, ending: Outcome, reading: Reading) -> Outcome:
        if reading.state == "failed" or (self._status or 0) >= FAILED_FROM:
            return "failed"
        if self._draining:
            return "cancelled"
        if reading.state == "success" and ending == "cancelled":
            return "success"  # everything had been said when it was closed
        return ending
