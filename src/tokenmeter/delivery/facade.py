"""Delivery: what a meter holds. Append a record, and it reaches every backend."""

from __future__ import annotations

import atexit
import queue
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tokenmeter.delivery import forks
from tokenmeter.delivery.alarms import Alarms
from tokenmeter.delivery.backends import BackendSpec
from tokenmeter.delivery.backends.fanout import FanOut
from tokenmeter.delivery.deadletters import DEAD, HELD, DeadLetters, counted
from tokenmeter.delivery.destinations import (
    close_all,
    names_of,
    open_parts,
    parts_of,
    private_directory,
)
from tokenmeter.delivery.fresh import Fresh
from tokenmeter.delivery.journal import Durability, Journal
from tokenmeter.delivery.opencalls import NO_SLOT
from tokenmeter.delivery.protocol import Backend
from tokenmeter.delivery.shipper import Shipper
from tokenmeter.delivery.wiring import Resolve, Wiring
from tokenmeter.errors import TokenmeterError
from tokenmeter.event import Event
from tokenmeter.lines import to_line

EXIT_TIMEOUT_S = 5.0  # at interpreter exit; the next process delivers what is left then
CLOSE_GRACE_S = 0.2  # for a shipper thread to end once the deadline has passed
DEFERRED_MAX = 100_000  # callables that finalizers may leave waiting; more are dropped, counted


class Delivery:
    """
    Keep records on disk and deliver them, as events, to one backend or several.

    `resolve` turns a journal record into events. `price` does the same for a record that is an
    event as it stands; without it, `resolve` sees those, too, unless `append` was given the event.
    Both run in the shipper threads and may be called again for the same record. Without a
    `state_dir`, which only ``memory:`` can do, the journal is a private temporary directory that
    close() deletes. The threads start on first use, also in a forked child, which opens backends
    given as URLs anew.
    """

    def __init__(
        self,
        spec: BackendSpec,
        state_dir: Path | None,
        *,
        resolve: Resolve,
        price: Callable[[Event], Event] | None = None,
        durability: Durability = "write",
    ) -> None:
        self._parts = parts_of(spec)
        self._backends = open_parts(self._parts)
        self._private, self._fresh = state_dir is None, Fresh()
        self._alarms = Alarms()
        try:
            self._home = state_dir or private_directory(self._backends)
            self._dead = DeadLetters(self._home)
            self._journal = Journal(
                self._home, names_of(self._parts), durability=durability, alarms=self._alarms
            )
        except TokenmeterError:
            close_all(self._backends)
            raise
        read = self._fresh.read if price else self._fresh.read_records
        known = (self._journal, self._dead, resolve, self._chores, read, price or _as_it_is)
        self._wiring = Wiring(*known, has_chores=lambda: not self._deferred.empty())
        self.waits = self._wiring.waits  # before events are sent
        self._shippers: list[Shipper] = []
        self._inherited: list[Backend] = []  # of the parent; kept, so that nothing closes them
        self._running = self._closed = self._is_child = False
        self._renew()
        forks.watch(self)
        atexit.register(self._at_exit)

    @property
    def backend(self) -> Backend:
        """The opened backend; a FanOut when there are several."""
        return self._backends[0] if len(self._backends) == 1 else FanOut(self._backends)

    def append(self, record: Mapping[str, Any], event: Event | None = None) -> None:
        """Keep one record of plain JSON values, on disk on return: maybe an `event` as it is."""
        line = to_line(record)
        if event is not None:
            self._fresh.put(line, event)
        if not self._running:
            self.start()
        self._journal.append(line)

    def append_line(self, line: bytes) -> None:
        """Keep one record that `lines.to_line` has written. Not from finalizers: `defer` it."""
        if not self._running:
            self.start()
        self._journal.append(line)

    def entered(self, line: bytes) -> int:
        """Remember a call that is under way; a private journal does not outlive the process."""
        return NO_SLOT if self._private else self._journal.enter(line)

    def left(self, entered: int) -> None:
        """Forget a call that was under way. Safe in finalizers."""
        if entered != NO_SLOT:
            self._journal.leave(entered)

    def defer(self, work: Callable[[], None]) -> None:
        """Run `work` soon, in a shipper thread or in flush(). Safe in finalizers."""
        if self._deferred.qsize() < DEFERRED_MAX:
            self._deferred.put(work)
        else:
            self._deferred_dropped += 1

    def soon(self, work: Callable[[], None]) -> None:
        """Run `work` now if its appends need no waiting, else `defer` it. Safe in finalizers."""
        if not self._running or not self._journal.if_free(work):
            self.defer(work)

    def start(self) -> None:
        """Start the shipper threads, unless they run. A first append does it too."""
        with self._lock:
            if self._running or self._closed:
                return
            self._running = True
            if self._is_child:
                self._reopen()
            names = self._journal.names
            self._shippers = [
                Shipper(backend, name, self._wiring)
                for backend, name in zip(self._backends, names, strict=True)
            ]
            for shipper in self._shippers:
                self._launch(shipper)

    def flush(self, timeout_s: float) -> bool:
        """
        Run what is deferred and wait until every backend has all that was appended before.

        What processes that ended have left is included. False if that takes longer. A record
        that a backend rejected counts as done: it is a dead letter.
        """
        deadline = time.monotonic() + timeout_s
        if not self._run_deferred(timeout_s):
            return False
        self.start()
        self._journal.recover()
        self._journal.adopt(now=True)
        targets = self._journal.ends()
        for shipper in self._shippers:
            shipper.hurry()
        if not self._shippers:
            return not targets
        return all(shipper.wait_for(targets, deadline) for shipper in self._shippers)

    def adopt(self) -> bool:
        """Take over now what processes that ended have left; True if there was something."""
        return self._journal.adopt(now=True)

    def close(self, timeout_s: float) -> bool:
        """Flush, end the threads, close the backends; True if everything was delivered."""
        deadline = time.monotonic() + timeout_s
        with self._lock:
            if self._closed:
                return True
            used = self._running or not self._deferred.empty()
        flushed = self.flush(timeout_s) if used else True
        self.start()
        with self._lock:
            self._closed = True
        for shipper in self._shippers:
            shipper.ask_to_stop()
        for shipper in self._shippers:
            self._await_end(shipper, deadline)
        if not flushed:
            self._alarms.sound("left", _LEFT_PRIVATE if self._private else _LEFT)
        self._leave()
        return flushed

    def health(self) -> dict[str, Any]:
        """Say how far behind the backends are, what was lost or refused, and why."""
        backends = {shipper.name: shipper.health() for shipper in self._shippers}
        errors = [each["last_error"] for each in backends.values() if each["last_error"]]
        return {
            "records": max((each["records"] for each in backends.values()), default=0),
            "bytes": max((each["bytes"] for each in backends.values()), default=0),
            "oldest_age_s": max((each["oldest_age_s"] for each in backends.values()), default=0.0),
            "waiting_bytes": self._journal.waiting_bytes,
            "elsewhere_bytes": self._journal.elsewhere_bytes,
            "dead_letters": counted(self._home, DEAD, self._alarms),
            "held": counted(self._home, HELD, self._alarms),
            "dropped": self._journal.dropped + self._deferred_dropped,
            "torn": self._journal.torn,
            "unfinished": self._journal.unfinished,
            "last_error": next(iter(errors), self._alarms.last),
            "backends": backends,
        }

    def _chores(self) -> None:
        self._run_deferred(0)
        self._journal.recover()
        self._journal.adopt()

    def _run_deferred(self, timeout_s: float) -> bool:
        """Run what waits now; False if another thread is at it for longer than the timeout."""
        if not self._deferred_lock.acquire(timeout=max(timeout_s, 0)):
            return False
        try:
            for _ in range(self._deferred.qsize()):
                self._run_one(self._deferred.get_nowait())
        except queue.Empty:
            return True
        finally:
            self._deferred_lock.release()
        return True

    def _run_one(self, task: Callable[[], None]) -> None:
        try:
            task()
        except Exception as error:  # noqa: BLE001  a border: a fault must not stop delivery
            self._alarms.sound("deferred", f"a deferred call raised {error!r}")

    def _await_end(self, shipper: Shipper, deadline: float) -> None:
        if not shipper.join(max(deadline - time.monotonic(), CLOSE_GRACE_S)):
            self._alarms.sound("hangs", f"{shipper.name} does not return; it is left behind")

    def _launch(self, shipper: Shipper) -> None:
        try:
            shipper.start()
        except RuntimeError as error:  # no new thread while the interpreter shuts down
            self._alarms.sound("thread", f"records stay in the journal: {error}")

    def _renew(self) -> None:
        """Make what a fork must not share."""
        self._lock = threading.RLock()
        self._deferred_lock = threading.RLock()
        self._deferred: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._deferred_dropped = 0

    def before_fork(self) -> None:
        """Before a fork: let backends that cannot stand it close their connections."""
        for shipper in self._shippers:
            shipper.sender.before_fork()

    def after_fork(self) -> None:
        """In the parent, after a fork: go on."""
        for shipper in self._shippers:
            shipper.sender.after_fork()

    def forked(self) -> None:
        """In a forked child: forget what belongs to the parent; the next append starts anew."""
        self._renew()
        self._shippers = []
        self._running, self._is_child = False, True
        self._dead.forked()
        self._journal.forked()

    def _reopen(self) -> None:
        """In a forked child: a connection cannot be shared, nor a private directory."""
        self._is_child = False
        self._inherited.extend(self._backends)
        try:
            self._backends = open_parts(self._parts)
            if self._private:
                self._home = private_directory(self._backends)
                self._dead.state_dir = self._home
                self._journal.move(self._home)
        except Exception as error:  # noqa: BLE001  a border: the user's call goes on
            self._alarms.sound("reopen", f"the forked process delivers nothing: {error!r}")

    def _leave(self) -> None:
        """Close the journal; a private one is deleted, unless it is the parent's."""
        atexit.unregister(self._at_exit)
        self._journal.close(sealed=self._private)
        if self._private and not self._is_child:
            import shutil  # only needed here, and not light

            shutil.rmtree(self._home, ignore_errors=True)

    def _at_exit(self) -> None:
        if self._running or not self._deferred.empty():
            self.close(EXIT_TIMEOUT_S)
        elif not self._closed:
            self._leave()


def _as_it_is(event: Event) -> Event:
    return event


_LEFT = "not everything is delivered; the next process that uses this state directory goes on"
_LEFT_PRIVATE = "not everything is delivered, and its journal was a temporary one"
