"""
One provider exchange, from request to the end of its answer.

Taps translate their library's calls to `response`, `chunk`, `end`, `fail` and `close`; every
decision is here. An exchange closes exactly once. A fault of ours is reported to the sink, and
never raises into the user's call: the bytes pass untouched.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping

from tokenmeter.attribution import current_scope
from tokenmeter.capture.answers import open_reader
from tokenmeter.capture.attempts import Attempt
from tokenmeter.capture.closing import observations_of
from tokenmeter.capture.decode import Decoder
from tokenmeter.capture.eventstream import Frames
from tokenmeter.capture.gating import Ticket, settle
from tokenmeter.capture.joining import joined_id
from tokenmeter.capture.observation import FAILED_FROM, Outcome
from tokenmeter.capture.passing import reader_after_close, reader_after_fault
from tokenmeter.capture.plain import may_be_plain, plain_event
from tokenmeter.capture.reader import Reader
from tokenmeter.capture.refusal import Refusal, Refused
from tokenmeter.capture.requests import Sent
from tokenmeter.capture.sink import Sink
from tokenmeter.capture.sse import EventReader
from tokenmeter.capture.underway import opened_line
from tokenmeter.event import attempt_id
from tokenmeter.providers.base import NO_READING, Call, Plain

SUCCESS = 200  # the status of an answer that may be plain
NO_HEADERS: Mapping[str, str] = {}


class Exchange:
    """One attempt: opened with a described request, closed once with an observation."""

    __slots__ = (
        *("_decoder", "_entered", "_open", "_strip", "attempt", "call", "date"),
        *("error", "event_id", "is_complete", "is_draining", "job", "joined", "reader", "scope"),
        *("sent", "sink", "status", "ticket"),
    )

    def __init__(self, sink: Sink, call: Call, sent: Sent) -> None:
        self.call = call
        self.sink, self.sent = sink, sent
        self.scope = scope = current_scope()
        self._open = [None]  # popped by whoever closes: one thread wins
        self.reader: Reader | None = None
        self._decoder: Decoder | None = None
        self._strip = call.edited_body is not None
        self.status: int | None = None
        self.date: str | None = None
        self.error: str | None = None
        self.is_draining = self.is_complete = False  # read on without the user; read to the end
        self.event_id: str | None = None  # as announced
        self.joined: str | None = None  # by our own gateway, whose event it is
        self.job: str | None = None  # that it has submitted, once it is closed
        self.ticket: Ticket | None = None  # of the gate that let the call pass
        self.attempt = Attempt(scope, sent, sink.key, window_s=sink.policy.retry_window_s)
        self._entered = sink.entered(opened_line(call, self.attempt, scope))
        sink.open_exchanges.add(self)
        if scope is not None:
            scope.tell(self)

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
        self.status = status
        self.date = headers.get("date")
        self.joined = joined_id(self.sink.gateways, self.sent, headers)
        if status >= FAILED_FROM:
            self._strip = False
            self.error = f"http_{status}"
            self.attempt.leave_note()
        self.reader, self._decoder = open_reader(
            self.call, status, headers, decoded=decoded, strips=self._strip
        )

    def whole(self, content: bytes) -> bytes:
        """Take a whole answer of which `answered` has said no; return what the user is to get."""
        return self.chunk(content) + self._ended()

    def answered(self, status: int, headers: Mapping[str, str], body: bytes) -> bool:
        """Take a whole, decoded answer of the usual form; False: give it by `response` and on."""
        return status == SUCCESS and self._plain(body, headers)

    def quiet(self) -> Callable[[bytes], bool]:
        """Return a test for the next bytes, once: True if they need not go through `chunk`."""
        reader = self.reader
        if isinstance(reader, EventReader) and self._decoder is None:
            return reader.quiet
        return lambda _data: False

    def chunk(self, data: bytes) -> bytes:
        """Take the next bytes of the answer; return those that the user is to get."""
        reader = self.reader
        if reader is None:  # closed; an edited stream goes on to be decoded for the user
            return data if self._decoder is None else b"".join(self._decoder.decode(data))
        try:
            if self._decoder is None:
                given = reader.feed(data)
            else:
                given = self._decoded(self._decoder, data)
            if isinstance(reader, EventReader) and reader.is_said and not self.call.api.adds:
                self._said()  # where payloads add up, more may come
        except Exception as error:  # noqa: BLE001 - a fault of ours must not reach the user
            return self.broken(error).feed(data)
        return given

    def _decoded(self, decoder: Decoder, data: bytes) -> bytes:
        passed = (self._fed(plain) for plain in decoder.decode(data))
        parts = deque(passed, None if self._strip else 0)  # a gzip bomb stays small
        if isinstance(decoder, Frames):
            if decoder.doubts is not None and self.reader is not None:
                self.reader.reading = self.reader.reading | decoder.doubts
            if decoder.over:
                self.end()  # the user's library raises now, and may leave it open
        return b"".join(parts) if self._strip else data

    def _fed(self, plain: bytes) -> bytes:
        try:
            return plain if self.reader is None else self.reader.feed(plain)
        except Exception as error:  # noqa: BLE001 - as in chunk(); what is encoded goes on so
            return self.broken(error, decoder=self._decoder).feed(plain)

    def end(self) -> bytes:
        """The answer is complete; return the bytes that were held back."""
        try:
            body = None if self.reader is None or self.status != SUCCESS else self.reader.body()
            if body and self._open and self._plain(body, NO_HEADERS):
                return b""
        except Exception as error:  # noqa: BLE001 - as in chunk()
            self.broken(error)
        return self._ended()

    def _ended(self) -> bytes:
        held = b""
        if self.reader is not None:
            try:
                held = self.reader.end()
            except Exception as error:  # noqa: BLE001 - as in chunk()
                held = self.broken(error).end()
        self.is_complete = True
        self._close("success")
        return held

    def fail(self, error: BaseException) -> None:
        """The exchange ended with an exception, which the user gets."""
        if not isinstance(error, Exception):  # a cancelled task, Ctrl-C, GeneratorExit
            self._close("cancelled")
            return
        self.error = type(error).__name__
        self._close("failed")

    def close(self) -> None:
        """
        The user closed the answer early, or has all of it.

        An SDK's generator does this too when it is garbage collected, maybe inside a lock.
        """
        if self._open:
            self.sink.soon(self.cancelled)

    def drains(self) -> bool:
        """Say whether to read on in the background now that the user is gone; once."""
        wanted = self.sink.policy.on_abort == "drain" and (self.status or 0) < FAILED_FROM
        if not self._open or self.is_draining or not wanted:
            return False
        self.is_draining = True
        return True

    def later(self, work: Callable[[], None]) -> None:
        """Run `work` on another thread; safe in finalizers."""
        self.sink.defer(work)

    def interrupted(self, error: Exception) -> None:
        """Reading on failed; the exchange stays what it was: cancelled."""
        self.sink.fault(error)

    def cancelled(self) -> None:
        """Nobody reads on; say so now. Not from finalizers."""
        self._close("cancelled")

    def broken(self, error: BaseException, *, decoder: Decoder | None = None) -> Reader:
        """Stop reading this answer, whose event says so; return what hands it on."""
        self.sink.fault(error)
        self.reader = reader = reader_after_fault(self.reader, strips=self._strip)
        self._decoder = decoder
        return reader

    def announce(self) -> str:
        """
        Return the id that the event of this attempt has; from now on it is fixed.

        The provider's own if the answer has told it so far, else one of the attempt's.
        """
        if self.event_id is None:
            reading = NO_READING if self.reader is None else self.reader.reading
            own = attempt_id(self.attempt.call_id, self.attempt.number)
            self.event_id = self.sink.ids.claim(self.call, reading, self.status) or own
        return self.event_id

    def admit(self) -> Refusal | None:
        """Ask the gate of the scope; a call that it refuses leaves no event."""
        if self.scope is not None:
            try:
                self.ticket = self.scope.gate.admit(self.call, self.sent.json(), self.attempt)
            except BaseException as error:
                self.discard()
                if isinstance(error, Refused):
                    return error.refusal
                raise
        return None

    def withdraw(self) -> None:
        """The call that was admitted is not made: no event, and nothing stays reserved."""
        self.discard()
        if self.ticket is not None:
            self.ticket.settle(())

    @property
    def is_gated(self) -> bool:
        """Whether somebody must let the call pass, by `admit`."""
        return self.scope is not None and self.scope.gate is not None

    def discard(self) -> None:
        """Forget this exchange: somebody else has seen the same thing. No event."""
        if self._taken():
            self.attempt.withdraw()
            self._left()

    def _taken(self) -> bool:
        """Whether it is ours to close: one thread wins."""
        try:
            self._open.pop()
        except IndexError:
            return False  # closed before
        self.sink.open_exchanges.discard(self)
        return True

    def _close(self, ending: Outcome) -> None:
        if not self._taken():
            return
        try:
            seen = observations_of(self, ending)
            made = [event for each in seen for event in self.sink.observed(each, self.scope)]
            if self.ticket is not None:
                settle(self.ticket, made, self.status, self.job)
        except Exception as error:  # noqa: BLE001 - as in chunk()
            self.sink.fault(error)
        self._left()

    def _said(self) -> None:
        """Close a stream whose end the provider has told."""
        self.is_complete = True
        plain = self.reader.plain if isinstance(self.reader, EventReader) else None
        if plain is not None and self.status == SUCCESS and may_be_plain(self):
            self._close_plainly(plain, NO_HEADERS)
        else:
            self._close("success")

    def _plain(self, body: bytes, headers: Mapping[str, str]) -> bool:
        """Close with a whole body, if it is of the usual form and all that there is to say."""
        read = self.call.api.plain
        if read is None or self._strip or not may_be_plain(self):
            return False
        answer = read(body, self.call)
        return answer is not None and self._close_plainly(answer, headers)

    def _close_plainly(self, answer: Plain, headers: Mapping[str, str]) -> bool:
        if not self._taken():
            return True
        sink = self.sink
        try:
            event = plain_event(self, answer, self.date or headers.get("date"))
            sink.keep(event, self.scope)
            if self.ticket is not None:
                settle(self.ticket, [event], SUCCESS)
        except Exception as error:  # noqa: BLE001 - as in chunk()
            sink.fault(error)
        self._left()
        return True

    def _left(self) -> None:
        self.sink.left(self._entered)
        self.reader = reader_after_close(self.reader, strips=self._strip)
        self._decoder = self._decoder if self._strip else None
