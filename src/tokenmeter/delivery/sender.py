"""Batches to one backend: what it refuses is set apart, the rest goes through."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence

from tokenmeter.delivery.alarms import Alarms
from tokenmeter.delivery.deadletters import DeadLetters
from tokenmeter.delivery.masking import masked
from tokenmeter.delivery.protocol import (
    Backend,
    Receipt,
    RefusedError,
    Rejection,
    TransientError,
    optional,
)
from tokenmeter.delivery.slices import let_others_in
from tokenmeter.event import Event

BATCH_EVENTS_MAX = 500  # unless the backend names another number
BATCH_EVENTS_CAP = 1_000  # what it may name at most
RESOLVE_WAIT_S = 5.0  # a fork waits so long for a record to be resolved, imports included
FORK_WAIT_S = 1.0  # a fork waits so long for a send to end, if the backend has before_fork()
# So many exceptions without one accepted batch are taken for an outage, not for bad events.
ISOLATION_FAILURES_MAX = 64


class Sender:
    """
    Deliver events to one backend, or bury them with the reason.

    A batch that raises is halved until the events that cause it are alone. They are buried only
    if the backend took others meanwhile and refuses them once more; when it takes nothing, that
    is an outage, and everything is kept.
    """

    def __init__(self, backend: Backend, name: str, dead: DeadLetters, alarms: Alarms) -> None:
        self.backend = backend
        self.batch_events_max = _batch_events_max(backend)
        self.settled: set[int] = set()  # id() of the events delivered or buried
        self.buried: set[int] = set()  # id() of those of them that are in a file of their own
        self.sending_since: float | None = None
        self._name, self._dead, self._alarms = name, dead, alarms
        self._answers = self._failures = 0
        self._suspects: list[Event] = []  # refused alone in this pass
        self._apart: list[Sequence[Event]] = []  # parts of refused batches, tried apart
        self._suspected: set[int] = set()  # id() of those refused alone while others were taken
        self._last_error = ""
        self._in_use = threading.Lock()  # held while the backend is called
        # Held while a record is resolved: a child must not inherit a module half imported.
        self.resolving = threading.Lock()
        self._held: list[threading.Lock] = []  # for a fork

    def before_fork(self) -> None:
        """Let the backend close what a child must not inherit, once it is not in use."""
        if self.resolving.acquire(timeout=RESOLVE_WAIT_S):
            self._held.append(self.resolving)
        close = optional(self.backend, "before_fork")
        if not callable(close):
            return
        try:
            if self._in_use.acquire(timeout=FORK_WAIT_S):
                self._held.append(self._in_use)
                close()
        except Exception as error:  # noqa: BLE001  a border: the fork must go on
            self._alarms.sound("fork", f"{self._name}.before_fork() raised {_reason(error)}")

    def after_fork(self) -> None:
        """In the parent: go on sending."""
        while self._held:
            self._held.pop().release()

    def deliver(self, events: Sequence[Event]) -> None:
        """Settle these events, or raise TransientError when some must be tried again later."""
        self._answers = self._failures = 0
        self._suspects = []
        self._attempt_apart()
        for first in range(0, len(events), self.batch_events_max):
            batch = events[first : first + self.batch_events_max]
            if self.settled:
                batch = [event for event in batch if id(event) not in self.settled]
            self._attempt(batch)
            self._attempt_apart()
        if self._suspects and not self._answers:
            raise TransientError(self._last_error)
        self._suspected.update(map(id, self._suspects))
        for event in self._suspects:
            self._attempt([event])

    def _attempt_apart(self) -> None:
        """Try the parts of refused batches; those left when the backend fails come first next."""
        while self._apart:
            part = self._apart.pop()
            try:
                self._attempt(part)
            except TransientError:
                self._apart.append(part)
                raise

    def _bury(self, event: Event, reason: str) -> None:
        self._bury_all([(event, reason)])

    def _bury_all(self, letters: Sequence[tuple[Event, str]], *, held: bool = False) -> None:
        if not letters:
            return
        self._dead.bury_all(self._name, letters, held=held)
        buried = [id(event) for event, _ in letters]
        self._suspected.difference_update(buried)
        self.settled.update(buried)
        self.buried.update(buried)
        kind, verb = ("held", "holds back") if held else ("dead", "refused")
        self._alarms.sound(kind, f"{self._name} {verb} an event: {masked(letters[0][1])}")

    def _attempt(self, events: Sequence[Event]) -> None:
        if not events:
            return
        let_others_in()
        try:
            receipt = self._send(events)
        except TransientError as error:
            self._taken(error.taken)
            raise
        except RefusedError as error:
            self._taken(error.taken)
            left = [event for event in events if id(event) not in self.settled]
            self._refused(left, masked(str(error)))
        except BaseException as error:  # noqa: BLE001  a border: it may raise even SystemExit
            self._failed(error)
            self._suspect(events, error)
        else:
            self._settle(events, receipt)

    def _taken(self, events: Sequence[Event]) -> None:
        """Settle the first ones of a batch that went in parts, of which a later one did not."""
        self._answers += bool(events)
        self.settled.update(map(id, events))
        self._suspected.difference_update(self.settled)

    def _refused(self, events: Sequence[Event], reason: str) -> None:
        self._answers += 1
        self._failures += 1
        if len(events) > 1:
            middle = len(events) // 2
            self._apart += [events[middle:], events[:middle]]
        elif events:
            self._bury(events[0], reason)

    def _suspect(self, events: Sequence[Event], error: BaseException) -> None:
        if len(events) > 1:
            self._halve(events)
        elif id(events[0]) in self._suspected:
            self._bury(events[0], _reason(error))
        else:
            self._suspects.append(events[0])

    def _failed(self, error: BaseException) -> None:
        self._failures += 1
        self._last_error = _reason(error)
        self._alarms.sound("raised", f"{self._name} raised {self._last_error}")
        if self._failures >= ISOLATION_FAILURES_MAX and not self._answers:
            raise TransientError(self._last_error) from error

    def _halve(self, events: Sequence[Event]) -> None:
        middle = len(events) // 2
        halves = [events[:middle], events[middle:]]
        if self._failures > 1 and os.urandom(1)[0] & 1:
            halves.reverse()  # so that no run of bad events hides the good ones every time
        for half in halves:
            self._attempt(half)

    def _send(self, events: Sequence[Event]) -> Receipt:
        self.sending_since = time.monotonic()
        try:
            with self._in_use:
                receipt: object = self.backend.send(tuple(events))
        except OSError as error:
            raise TransientError(_reason(error)) from error
        finally:
            self.sending_since = None
        if isinstance(receipt, Receipt):  # pyright: ignore[reportUnnecessaryIsInstance]
            return receipt
        raise TransientError(
            f"{self._name}.send() returned {type(receipt).__name__}; it must return a Receipt"
        )

    def _settle(self, events: Sequence[Event], receipt: Receipt) -> None:
        let_others_in()
        self._answers += 1
        reasons = _reasons(receipt)
        if not (reasons or self._suspected):
            self.settled.update(map(id, events))
            return
        accepted = [event for event in events if event.event_id not in reasons]
        self.settled.update(map(id, accepted))
        self._suspected.difference_update(self.settled)
        refused = [(e, reasons[e.event_id]) for e in events if e.event_id in reasons]
        for held in (False, True):
            self._bury_all([(e, r.reason) for e, r in refused if r.held is held], held=held)
        unknown = reasons.keys() - {event.event_id for event in events}
        if unknown:
            self._alarms.sound(
                "unknown", f"{self._name} rejected {len(unknown)} events it was not sent; ignored"
            )


def _reasons(receipt: Receipt) -> dict[str, Rejection]:
    try:
        return {
            str(each.event_id): Rejection(str(each.event_id), str(each.reason), each.held is True)
            for each in receipt.rejected
        }
    except Exception as error:  # a border: whatever a backend put into it
        raise TransientError(f"a receipt makes no sense: {_reason(error)}") from error


def _batch_events_max(backend: Backend) -> int:
    named = optional(backend, "batch_events_max")
    return (
        min(named, BATCH_EVENTS_CAP) if isinstance(named, int) and named > 0 else BATCH_EVENTS_MAX
    )


def _reason(error: BaseException) -> str:
    return masked(f"{type(error).__name__}: {error}")
