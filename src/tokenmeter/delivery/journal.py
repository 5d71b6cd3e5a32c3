"""Records on disk: what this process writes and what processes that ended have left."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from tokenmeter.delivery.alarms import Alarms
from tokenmeter.delivery.limits import Limits
from tokenmeter.delivery.opencalls import NO_SLOT, OpenCalls
from tokenmeter.delivery.recovery import report_open
from tokenmeter.delivery.sweeping import sweep
from tokenmeter.delivery.writer import Writer
from tokenmeter.delivery.writerlog import Chunk, WriterLog
from tokenmeter.errors import ConfigurationError

ADOPT_INTERVAL_S = 5.0  # between two looks for processes that have ended
_DEFAULT_LIMITS = Limits()

Durability = Literal["write", "fsync"]


class Journal:
    """
    The records below ``<state_dir>/journal``, for the backends called `names`.

    Each process appends to a log of its own, so any number of them share the directory. What a
    process leaves behind when it ends is adopted by the next one that serves the same backend.
    `append` is the caller's path; everything else belongs to the shipper threads.
    """

    _calls: OpenCalls | None = None  # made when the first call opens
    unfinished = 0  # calls of processes that were killed in the midst of them

    def __init__(
        self,
        state_dir: Path,
        names: Sequence[str],
        *,
        durability: Durability = "write",
        limits: Limits = _DEFAULT_LIMITS,
        alarms: Alarms | None = None,
    ) -> None:
        if durability not in {"write", "fsync"}:
            raise ConfigurationError(f'durability must be "write" or "fsync", not {durability!r}.')
        self.names = tuple(names)
        self.elsewhere_bytes = 0  # records of processes that ended, for backends not served here
        self._root = state_dir / "journal"
        self._alarms = alarms or Alarms()
        self._writer = Writer(
            self._root,
            self.names,
            limits=limits,
            fsync=durability == "fsync",
            alarms=self._alarms,
        )
        # Keeps one record: one os.write, and no exception for anything the disk does. Not from
        # finalizers: they may run while this very thread holds a lock.
        self.append = self._writer.append
        self._adopted: dict[WriterLog, int] = {}  # and where each ends
        self.torn = 0  # records that could not be read and were skipped
        self._look_at = 0.0
        self._lock, self._calls_lock = threading.Lock(), threading.RLock()
        self._begin(state_dir)

    def _begin(self, state_dir: Path) -> None:
        try:
            self._writer.open()
        except OSError as error:
            raise ConfigurationError(
                f"the state directory {str(state_dir)!r} cannot be written ({error.strerror}); "
                "choose another with state_dir= or TOKENMETER_HOME."
            ) from None

    def enter(self, line: bytes) -> int:
        """Remember a call that is under way (see `opencalls`); returns what `leave` needs."""
        calls = self._calls or self._open_calls()
        return NO_SLOT if calls is None else calls.enter(line)

    def _open_calls(self) -> OpenCalls | None:
        log = self._writer.ready()
        with self._calls_lock:
            if self._calls is None and log is not None:
                self._calls = OpenCalls(log.directory)
            return self._calls

    def leave(self, entered: int) -> None:
        """Forget a call that was under way: its record is in the journal, or it has none."""
        if self._calls is not None:
            self._calls.leave(entered)

    def if_free(self, task: Callable[[], None]) -> bool:
        """Run `task` if its appends need not wait for a lock; False if it was not run."""
        return self._writer.if_free(task)

    def recover(self) -> None:
        """Try the disk again if records wait in memory; get back what other code has closed."""
        self._writer.recover()
        own = self._writer.log
        with contextlib.suppress(OSError):  # another try soon
            if own is not None:
                own.lock_again()

    @property
    def mark(self) -> tuple[int, int] | None:
        """Another with each record of ours, the same without; None: some wait for the disk."""
        return None if self._writer.waiting else self._writer.unproven.mark

    @property
    def dropped(self) -> int:
        """How many records found neither disk nor memory."""
        return self._writer.dropped

    @property
    def waiting_bytes(self) -> int:
        """How much waits in memory because the disk refuses it."""
        return self._writer.waiting.bytes

    def logs(self, name: str) -> list[WriterLog]:
        """Return the logs to deliver to a backend: adopted ones first, our own last."""
        with self._lock:
            logs = list(self._adopted)
        if self._writer.log is not None:
            logs.append(self._writer.log)
        return [log for log in logs if name in log.cursors]

    def ends(self) -> dict[WriterLog, int]:
        """Return every log and the offset after its last record so far."""
        with self._lock:
            ends = dict(self._adopted)
        own = self._writer.log
        return ends if own is None else {**ends, own: self._writer.end}

    def end(self, log: WriterLog) -> int:
        """Return the offset after the last record of a log."""
        return self._writer.end if log is self._writer.log else self._adopted.get(log, 0)

    def read(self, log: WriterLog, at: int) -> Chunk:
        """Return the records of a log from an offset on; what cannot be read is stepped over."""
        return self._writer.read(at) if log is self._writer.log else log.read(at, self.end(log))

    def unreadable(self, log: WriterLog, name: str, why: str) -> None:
        """Count a record that could not be read, once for all backends; log the first."""
        self.torn += name == self.names[0]
        self._alarms.sound("torn", f"a record in {str(log.directory)!r} is skipped: {why}")

    def advance(self, log: WriterLog, name: str, offset: int) -> None:
        """Remember that a backend has taken everything before `offset`; delete what is done."""
        if not log.held:
            return  # closed meanwhile, perhaps another process has it
        own = log is self._writer.log
        try:
            log.advance(name, offset, writing=self._writer.segment_start if own else None)
        except OSError as error:
            self._alarms.sound("cursor", f"a cursor cannot be written ({error.strerror})")
        if own:
            self._writer.taken(min(log.cursors.values()))
        else:
            self._finish_if_done(log)

    def adopt(self, *, now: bool = False) -> bool:
        """
        Take over the logs of processes that have ended; looks every few seconds, or now.

        True if there was one.
        """
        if not now and time.monotonic() < self._look_at:
            return False
        with self._lock:
            known = len(self._adopted)
            self._look_at = time.monotonic() + ADOPT_INTERVAL_S
            self.elsewhere_bytes = 0
            for name in self._unknown():
                self._adopt(self._root / name)
            adopted = list(self._adopted)
        for log in adopted:
            self._finish_if_done(log)
        return len(adopted) > known

    def forked(self) -> None:
        """In a forked child: leave everything to the parent and write a log of our own."""
        self._lock, self._calls_lock = threading.Lock(), threading.RLock()
        self._calls = None
        for log in self._adopted:
            log.unlock()
        self._adopted = {}
        self._writer = self._writer.forked()
        self.append = self._writer.append

    def move(self, state_dir: Path) -> None:
        """Write to another directory from now on; for a forked child with a private one."""
        self._root = state_dir / "journal"
        self._writer.root = self._root

    def depth(self, name: str) -> tuple[int, int]:
        """Count what a backend has not taken yet: records that can be read, and bytes."""
        records = length = 0
        for log in self.logs(name):
            at, end = log.cursors[name], self.end(log)
            length += max(0, end - at)
            try:
                records += self._count(log, at, end)
            except OSError as error:
                self._alarms.sound("count", f"records cannot be counted ({error.strerror})")
        return records, length

    def _count(self, log: WriterLog, at: int, end: int) -> int:
        records = 0
        while at < end:
            chunk = self.read(log, at)
            records += len(chunk.lines)
            if chunk.next_at <= at:
                break
            at = chunk.next_at
        return records

    def close(self, *, sealed: bool = False) -> None:
        """Let other processes have what is left; remove our log if nothing is."""
        own, end = self._writer.close(sealed=sealed)
        self._calls = None
        with self._lock:
            adopted, self._adopted = list(self._adopted), {}
        for log in adopted:
            log.unlock()
        if own is not None and all(at >= end for at in own.cursors.values()):
            self._finish(own)
        elif own is not None:
            own.unlock()

    def _unknown(self) -> list[str]:
        """List the directories that are neither ours nor adopted, the oldest first; sweep."""
        known = {log.directory.name for log in self._adopted}
        if self._writer.log is not None:
            known.add(self._writer.log.directory.name)
        try:
            names = os.listdir(self._root)  # noqa: PTH208  twice as fast as iterdir()
        except FileNotFoundError:
            return []
        except OSError as error:  # our own records go on
            self._alarms.sound("look", f"{str(self._root)!r} cannot be read ({error.strerror})")
            return []
        for name in names:
            if name.startswith("."):
                sweep(self._root / name)
        return sorted(n for n in names if n not in known and not n.startswith("."))

    def _adopt(self, directory: Path) -> None:
        try:
            log = WriterLog.adopt(directory)
            if log is None:
                return
            if not log.cursors and not log.segments():
                log.finish(self.names)  # who did so before us was killed
                return
            if not log.cursors:  # lost: better sent twice than never
                log.cursors = dict.fromkeys(self.names, 0)
            if log.cursors.keys().isdisjoint(self.names):
                log.unlock()
                self._leave(log)
            else:
                self._report_open(log)
                self._adopted[log] = log.end()
        except OSError as error:
            self._alarms.sound("adopt", f"{str(directory)!r} cannot be read ({error.strerror})")

    def _report_open(self, log: WriterLog) -> None:
        """Report the calls that its process had under way."""
        try:
            self.unfinished += report_open(log)
        except OSError as error:
            log.unlock()  # another look, when the disk has room
            raise OSError(error.errno, f"{error.strerror}; calls under way wait") from error

    def _leave(self, log: WriterLog) -> None:
        self.elsewhere_bytes += log.end() - min(log.cursors.values(), default=0)
        self._alarms.sound(
            "elsewhere",
            "records of a process that ended are for another backend "
            f"({', '.join(log.cursors)}); start once with that backend to deliver them",
        )

    def _finish_if_done(self, log: WriterLog) -> None:
        served = [name for name in self.names if name in log.cursors]
        with self._lock:
            end = self._adopted.get(log)
            if end is None or any(log.cursors[name] < end for name in served):
                return
            del self._adopted[log]
        self._finish(log)

    def _finish(self, log: WriterLog) -> None:
        try:
            log.finish(self.names)
        except OSError as error:
            self._alarms.sound("finish", f"what is delivered stays on disk ({error.strerror})")
