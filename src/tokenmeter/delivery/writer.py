"""The caller's path: one os.write per record; memory when the disk refuses."""

from __future__ import annotations

import contextlib
import errno
import os
import threading
import time
from collections.abc import Callable, Sequence
from os import write
from pathlib import Path

from tokenmeter.delivery.alarms import Alarms
from tokenmeter.delivery.files import (
    NO_FILE,
    close,
    cut,
    identity,
    is_file,
    open_to_append,
    sync,
    write_whole,
)
from tokenmeter.delivery.limits import Limits
from tokenmeter.delivery.waiting import Unproven, Waiting
from tokenmeter.delivery.writerlog import Chunk, WriterLog, bytes_under

RETRY_S = 1.0  # between two tries of the disk by callers, once that memory is full too
UNPROVEN_BYTES_MAX = 256 * 1024  # between two looks at whether the descriptor still is our file's


class Writer:
    """
    Append records to this process's own log.

    `append` never raises for what the disk does. A record that the disk refuses waits in
    memory, and all later ones behind it, until the disk takes them or every backend has them.
    """

    def __init__(
        self, root: Path, names: Sequence[str], *, limits: Limits, fsync: bool, alarms: Alarms
    ) -> None:
        self.log: WriterLog | None = None
        self.root, self.dropped = root, 0
        self._names, self._limits = tuple(names), limits
        self._fsync, self._alarms = fsync, alarms
        # Re-entrant: a signal handler that makes a metered call may interrupt an append.
        self._lock = threading.RLock()
        self.waiting, self.unproven = Waiting(), Unproven()
        self._fd = -1  # open only while nothing waits; else every append takes the slow path
        self._segment_start, self._file = 0, NO_FILE  # the segment that is open
        self._disk_end = 0  # while no segment is open; else the size of its file is the truth
        self._room = 0  # bytes until the next check; a guess is enough
        self._retry_at, self._sealed, self._busy = 0.0, False, False
        self._refusing = False  # the disk refused a record, and has not taken one since
        self._troubles: list[tuple[str, str]] = []

    def open(self) -> None:
        """Open the first segment now; OSError if the directory cannot be written."""
        with self._lock:
            self._begin(self._open_segment())

    def ready(self) -> WriterLog | None:
        """Return the log; a forked child has none before its first use. None if it cannot be."""
        with self._lock:
            if self.log is None:
                self._drain()
        self._report()
        return self.log

    def append(self, line: bytes) -> None:
        """Write one record, which ends with a newline and holds no other."""
        with self._lock:
            try:
                written = write(self._fd, line)
            except OSError:
                self._keep(line)
            else:
                if written == len(line):
                    self.unproven.add(line)
                    self._room = room = self._room - written
                    if room > 0:
                        return
                    self._check()
                else:
                    if is_file(self._fd, self._file):
                        cut(self._fd, written)
                    self._keep(line)
        self._report()

    def if_free(self, task: Callable[[], None]) -> bool:
        """
        Run `task`, which may append, if that needs no waiting; False if it was not run.

        For code that may be running in a finalizer: in any thread, in the middle of an append.
        """
        lock = self._lock
        if lock._is_owned() or not lock.acquire(blocking=False):  # type: ignore[attr-defined]  # noqa: SLF001 - as threading.Condition does
            return False
        try:
            task()
        finally:
            lock.release()
        return True

    def recover(self) -> None:
        """Try the disk again for what waits, and notice a segment that was deleted under us."""
        with self._lock:
            if self.waiting:
                self._drain()
            else:
                self._prove()
        self._report()

    @property
    def end(self) -> int:
        """The offset after the last record, those that wait in memory included."""
        with self._lock:
            return self._end_on_disk(self._fd) + self.waiting.bytes

    @property
    def segment_start(self) -> int | None:
        """Where the segment that is being written starts."""
        return self._segment_start if self._fd >= 0 else None

    def read(self, at: int) -> Chunk:
        """Return records from offset `at` on, from the disk or from memory."""
        with self._lock:
            log, disk_end = self.log, self._end_on_disk(self._fd)
            if at >= disk_end:
                return self.waiting.read(at, disk_end)
        return log.read(at, disk_end) if log else Chunk((), at)

    def taken(self, offset: int) -> None:
        """Forget waiting records before `offset`: every backend has them."""
        if not self.waiting:
            return
        with self._lock:
            while self.waiting and self._disk_end + len(self.waiting.first) <= offset:
                self._disk_end += self.waiting.forget_first()  # the next segment starts behind it

    def close(self, *, sealed: bool) -> tuple[WriterLog | None, int]:
        """
        Stop writing and return the log and where it ends.

        A later append starts a new log, for the next process; when sealed, it waits in memory.
        """
        with self._lock:
            self._prove()
            self._sealed, self._refusing = sealed, False
            self._let_go()
            if self.waiting:
                self._drop(len(self.waiting), "the disk refused them until the end")
            self.waiting.clear()
            ended = self.log, self._disk_end
            self.log, self._disk_end = None, 0
        self._report()
        return ended

    def forked(self) -> Writer:
        """In a forked child: let go of what is the parent's; return a writer for the child."""
        self._let_go()
        if self.log is not None:
            self.log.unlock()
        return Writer(
            self.root, self._names, limits=self._limits, fsync=self._fsync, alarms=self._alarms
        )

    # From here on: called with the lock held.

    def _keep(self, line: bytes) -> None:
        self._let_go()
        self.waiting.add(line)
        now, most = time.monotonic(), self._limits.waiting_bytes_max
        if not self._refusing or (self.waiting.bytes > most and now >= self._retry_at):
            self._retry_at = now + RETRY_S
            self._drain()
        if self.waiting.bytes > most:
            self.waiting.forget_last()
            self._drop(1, "the disk refuses them and memory is full")

    def _drain(self) -> None:
        """Write what waits to a new segment, which stays open only if that succeeds."""
        if self._busy:
            return  # a signal handler's append: it waits, and what it interrupted writes it
        self._busy = True
        fd = -1
        try:
            fd = self._open_segment()
            self._write_waiting(fd)
            self._begin(fd)
            self._refusing = False
        except OSError as error:
            self._refused(error)
            self._disk_end = self._end_on_disk(fd)
            close(fd)
        finally:
            self._busy = False

    def _write_waiting(self, fd: int) -> None:
        while self.waiting:
            write_whole(fd, self.waiting.first)
            self.waiting.forget_first()
            if self._fsync and not self.waiting:
                sync(fd)

    def _check(self) -> None:
        try:
            if self._fsync:
                sync(self._fd)
        except OSError as error:
            self._refused(error)
        self._prove()
        if self._fd >= 0 and self._left() <= 0:
            self._let_go()
            self._drain()

    def _left(self) -> int:
        """How many bytes more the open segment may hold."""
        return self._segment_start + self._limits.segment_bytes_max - self._end_on_disk(self._fd)

    def _prove(self) -> None:
        """If the descriptor is not our file's any more, go on in another segment."""
        if self._fd < 0:
            return
        if is_file(self._fd, self._file):
            self._begin(self._fd)
            return
        self._troubles.append(("deleted", "a segment was deleted or closed under us"))
        self._write_again()
        self._let_go()
        self._drain()

    def _begin(self, fd: int) -> None:
        """Write to a descriptor that has just been seen to be our file's."""
        self._fd = fd
        self._room = 0 if self._fsync else min(self._left(), UNPROVEN_BYTES_MAX)
        self.unproven.prove(self._end_on_disk(fd))

    def _write_again(self) -> None:
        """Give a deleted segment a file again, with all that our descriptor still holds."""
        try:
            if self.log is not None and is_file(self._fd, self._file, also_deleted=True):
                self.log.write_again(self._segment_start, self._fd)
        except OSError as error:
            self._troubles.append(("lost", f"it cannot be written again ({error.strerror})"))

    def _open_segment(self) -> int:
        if self._sealed:
            raise OSError(errno.EBADF, "the meter is shut down")
        if self.log is None:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.log = WriterLog.create(self.root, self._names)
        elif not self.log.directory.is_dir():
            self.log.restore()
        if bytes_under(self.root) >= self._limits.journal_bytes_max:
            held = f"the journal holds its maximum of {self._limits.journal_bytes_max} bytes"
            raise OSError(errno.EDQUOT, held)
        fd = open_to_append(self.log.segment_path(self._disk_end), fsync=self._fsync)
        self._segment_start, self._file = self._disk_end, identity(fd)
        return fd

    def _end_on_disk(self, fd: int) -> int:
        if fd < 0 or self.log is None:
            return self._disk_end
        with contextlib.suppress(OSError):  # somebody closed it
            if identity(fd) == self._file:
                return self._segment_start + os.fstat(fd).st_size
        return self.log.end(at_least=self._segment_start)

    def _let_go(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            was_busy, self._busy = self._busy, True
            self._disk_end = self._end_on_disk(fd)
            if is_file(fd, self._file, also_deleted=True):
                close(fd)
            else:
                self.waiting.add_before(self.unproven.beyond(self._disk_end))
            self.unproven.prove(self._disk_end)
            self._busy = was_busy

    def _refused(self, error: OSError) -> None:
        self._refusing = True
        why = f"the journal cannot be written ({error.strerror}); records wait in memory"
        self._troubles.append(("disk", why))

    def _drop(self, records: int, why: str) -> None:
        self.dropped += records
        self._troubles.append(("dropped", f"records are lost: {why}"))

    def _report(self) -> None:
        """Log outside the lock: a logging handler may make metered calls of its own."""
        troubles, self._troubles = self._troubles, []
        for kind, message in troubles:
            self._alarms.sound(kind, message)
        if not troubles and self._fd >= 0:
            self._alarms.over("disk", "the journal can be written again")
