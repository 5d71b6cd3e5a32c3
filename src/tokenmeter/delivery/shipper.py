"""One thread per backend: journal records in, events out, without end."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from tokenmeter.delivery.alarms import Alarms
from tokenmeter.delivery.inflight import InFlight
from tokenmeter.delivery.masking import masked
from tokenmeter.delivery.protocol import Backend, TransientError, optional
from tokenmeter.delivery.resting import LINGER_S, Rest
from tokenmeter.delivery.sender import Sender
from tokenmeter.delivery.slices import GROUP_BYTES_MAX, GROUP_MAX, let_others_in
from tokenmeter.delivery.status import Status
from tokenmeter.delivery.wiring import Record, Wiring
from tokenmeter.delivery.writerlog import Chunk, WriterLog
from tokenmeter.event import Event
from tokenmeter.lines import whole_records

BACKOFF_BASE_S = 0.1
BACKOFF_CAP_S = 60.0
PENDING_MAX = 2_000  # records in flight, those that become no event included


class Shipper:
    """
    Deliver the journal to one backend, in order, at least once.

    The cursor moves only over records whose events are all delivered or buried. While the
    backend fails, newer records join the batch, up to the backend's batch_events_max events.
    """

    def __init__(self, backend: Backend, name: str, wiring: Wiring) -> None:
        self.name = name
        self.alarms = Alarms()
        self._wiring, self._journal = wiring, wiring.journal
        self.sender = Sender(backend, name, wiring.dead, self.alarms)
        self._status = Status(wiring.dead.state_dir, name)
        self._flight = InFlight()
        self._behind = False  # more waits in the journal than one batch takes
        self._positions: dict[WriterLog, int] = {}
        self._failures = 0
        self._retry_at = self._not_before = 0.0
        self._rest = Rest(self._journal, wiring.has_chores)
        self._stopping = threading.Event()
        self._progress = threading.Condition()
        self._thread = threading.Thread(
            target=self._run, name=f"tokenmeter-shipper-{name}", daemon=True
        )

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def hurry(self) -> None:
        """Look at the journal now, and try again now unless the backend named a time."""
        self._retry_at = self._not_before
        self._rest.wake.set()

    def wait_for(self, targets: Mapping[WriterLog, int], deadline: float) -> bool:
        """Wait until every log is delivered up to its target; False at the deadline."""
        with self._progress:
            while any(log.cursors.get(self.name, end) < end for log, end in targets.items()):
                remaining = deadline - time.monotonic()
                if remaining <= 0 or not self._thread.is_alive():
                    return False
                self._progress.wait(min(remaining, LINGER_S))
        return True

    def ask_to_stop(self) -> None:
        """End the thread after the batch it is sending, and close the backend."""
        self._stopping.set()
        self._rest.wake.set()

    def join(self, timeout_s: float) -> bool:
        """Wait for the thread to end; False if it hangs."""
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def health(self) -> dict[str, Any]:
        """Say how far behind this backend is, and what it said last."""
        records, length = self._journal.depth(self.name)
        now = time.monotonic()
        oldest_at = self._flight.oldest_at
        since = self.sender.sending_since
        return {
            "records": records,
            "bytes": length,
            "oldest_age_s": now - oldest_at if oldest_at is not None else 0.0,
            "sending_s": now - since if since is not None else 0.0,
            "failures": self._failures,
            "last_error": self.alarms.last,
            "unpriced_models": dict(self._status.unpriced),
            "unattributed": self._status.unattributed,
            **self._own_health(),
        }

    def _own_health(self) -> dict[str, Any]:
        """What the backend says of itself; it is foreign code."""
        tell = optional(self.sender.backend, "health")
        if not callable(tell):
            return {}
        try:
            return {"backend": tell()}
        except Exception as error:  # noqa: BLE001  a border: health() must not raise
            return {"backend": {"error": masked(f"{type(error).__name__}: {error}")}}

    def step(self) -> bool:
        """Ship one batch; False if there is nothing to do at the moment."""
        self._wiring.chores()
        self._tell()
        if time.monotonic() < self._not_before:
            return False
        self._rest.mark()
        self._fill()
        self._behind = self._room() <= 0
        if not self._flight.records or time.monotonic() < self._retry_at:
            return False
        settled, events = len(self.sender.settled), tuple(self._flight.events)
        for wait in self._wiring.waits:
            wait(events)
        try:
            self.sender.deliver(events)
        except TransientError as error:
            if len(self.sender.settled) > settled:
                self._failures = 0  # it failed in the midst of work, and is no further down
            self._back_off(error)
        else:
            self._failures = 0
            self.alarms.over("transient", f"{self.name} takes events again")
        return self._acknowledge()

    def _tell(self, *, now: bool = False) -> None:
        try:
            self._status.save(now=now)
        except OSError as error:
            self.alarms.sound("status", f"the status cannot be written ({error.strerror})")

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                busy = self.step()
            except BaseException as error:  # noqa: BLE001  the thread's border: go on
                busy = False
                message = f"delivery to {self.name} stumbled: {masked(repr(error))}"
                self.alarms.sound("shipper", message)
                self._status.failed(message)
            if not (busy and self._behind):
                self._rest.take(self._pause_s, is_busy=bool(self._flight.records))
        self._tell(now=True)
        try:
            self.sender.backend.close()
        except Exception as error:  # noqa: BLE001  a border: a backend may raise anything
            self.alarms.sound("close", f"{self.name}.close() raised {masked(repr(error))}")

    def _pause_s(self) -> float:
        """How long there is nothing to do, as far as we know; LINGER_S at most."""
        until_retry = self._retry_at - time.monotonic()
        return min(until_retry, LINGER_S) if until_retry > 0 else LINGER_S

    def _fill(self) -> None:
        logs = self._journal.logs(self.name)
        self._positions = {
            log: max(self._positions.get(log, 0), log.cursors[self.name]) for log in logs
        }
        for log in logs:
            try:
                self._fill_from(log)
            except (OSError, TransientError) as error:  # what was read before goes on
                reason = masked(f"{type(error).__name__}: {error}")
                self.alarms.sound("read", f"a record cannot be read yet ({reason})")

    def _fill_from(self, log: WriterLog) -> None:
        end = self._journal.end(log)
        while self._room() > 0 and self._positions[log] < end:
            self._take(log, self._journal.read(log, self._positions[log]))

    def _room(self) -> int:
        """How many records more may be in flight."""
        flight = self._flight
        return min(self.sender.batch_events_max - len(flight.events), PENDING_MAX - flight.records)

    def _take(self, log: WriterLog, chunk: Chunk) -> None:
        flight, lines = self._flight, chunk.lines
        flight.begin(log)
        taken = 0
        while taken < len(lines):
            room = self._room()
            if room <= 0:
                return
            group = lines[taken : taken + min(room, GROUP_MAX)]
            if group[-1][0] - group[0][0] > GROUP_BYTES_MAX:
                group = group[:1]
            taken += self._add(log, group)
            let_others_in()
        if chunk.torn:
            self._skip(log, f"{chunk.torn} bytes cut short or missing")
        if not lines:
            flight.add(chunk.next_at, ())
            self._positions[log] = chunk.next_at

    def _add(self, log: WriterLog, group: Sequence[tuple[int, bytes]]) -> int:
        """Add records, as far as there is room: together if each is an event, as most are."""
        found = [self._wiring.read(line) for _, line in group]
        priced = self._priced(found)
        if priced is not None:
            self._flight.add_each([end for end, _ in group], priced)
            self._positions[log] = group[-1][0]
            return len(group)
        for place, (end, line) in enumerate(group):
            if self._room() <= 0:
                return place
            self._flight.add(end, self._events(log, line, found[place]))
            self._positions[log] = end
            let_others_in()
        return len(group)

    def _priced(self, found: Sequence[Event | Record | None]) -> list[Event] | None:
        """Price events; None if there is anything else, or to find out which one is bad."""
        events = [each for each in found if isinstance(each, Event)]
        if len(events) < len(found):
            return None
        try:
            with self.sender.resolving:
                return list(map(self._wiring.price, events))
        except Exception:  # noqa: BLE001  one by one, it is raised again and has its reason told
            return None

    def _events(
        self, log: WriterLog, line: bytes, found: Event | Record | None
    ) -> Event | Sequence[Event]:
        if found is not None:
            return self._resolved(found)
        self._skip(log, f"{len(line)} bytes that are no JSON object")
        events: list[Event] = []
        for record in whole_records(line):
            became = self._resolved(record)
            events += [became] if isinstance(became, Event) else became
        return events

    def _resolved(self, found: Event | Record) -> Event | Sequence[Event]:
        wiring = self._wiring
        try:
            with self.sender.resolving:
                if isinstance(found, Event):
                    return wiring.price(found)
                return _checked(wiring.resolve(found))
        except TransientError:
            raise
        except Exception as error:  # noqa: BLE001  a border: the record is kept, with the reason
            reason = f"{type(error).__name__}: {error}"
            wiring.dead.bury(self.name, reason, found)
            self.alarms.sound("resolve", f"a record became no event: {masked(reason)}")
            return ()

    def _skip(self, log: WriterLog, why: str) -> None:
        self._journal.unreadable(log, self.name, why)
        self._status.failed(f"a record in {str(log.directory)!r} was skipped: {why}")

    def _back_off(self, error: TransientError) -> None:
        message = f"{self.name} cannot take events now: {masked(str(error))}"
        self.alarms.sound("transient", message)
        self._status.failed(message)
        delay = min(BACKOFF_CAP_S, BACKOFF_BASE_S * 2 ** min(self._failures, 20))
        delay *= 0.5 + os.urandom(1)[0] / 512
        self._failures += 1
        now = time.monotonic()
        self._not_before = now + max(error.retry_after_s or 0.0, 0.0)
        self._retry_at = max(now + delay, self._not_before)

    def _acknowledge(self) -> bool:
        """Move the cursors over what is settled; True if they moved."""
        saw = self._saw_delivered if self.sender.buried else self._status.saw
        done = self._flight.settle(self.sender.settled, saw)
        with self._progress:  # so that flush() returns when this is all done, not half
            for log, end in done.items():
                self._journal.advance(log, self.name, end)
            self._progress.notify_all()
        return bool(done)

    def _saw_delivered(self, event: Event) -> None:
        """Count what was delivered: what was buried counts when it comes again."""
        if id(event) in self.sender.buried:
            self.sender.buried.discard(id(event))
        else:
            self._status.saw(event)


def _checked(events: Sequence[object]) -> Sequence[Event]:
    checked = tuple(event for event in events if isinstance(event, Event))
    if len(checked) != len(events):
        raise TypeError("resolve() returned something that is no Event")
    return checked
