"""The caller's path: one os.write per record; memory when the disk refuses."""

from __future__ import annotations

import contextlib
import errno
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from os import write
from pathlib import Path

from tokenmeter.delivery.alarms import Alarms
from tokenmeter.delivery.files import close, cut, is_file, sync, sync_directories
from tokenmeter.delivery.limits import Limits
from tokenmeter.delivery.writerlog import READ_BYTES_MAX, Chunk, WriterLog, bytes_under

RETRY_S = 1.0  # between two tries of the disk by callers, once that memory is full too


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
        self.dropped = self.waiting_bytes = 0
        self.root = root
        self._names, self._limits = tuple(names), limits
        self._fsync, self._alarms = fsync, alarms
        # Re-entrant: a signal handler that makes a metered call may interrupt an append.
        self._lock = threading.RLock()
        self._waiting: deque[bytes] = deque()
        self._fd = -1  # open only while nothing waits; else every append takes the slow path
        self._segment_start = self._file = 0  # the segment that is open, and its inode
        self._disk_end = 0  # while no segment is open; else the size of its file is the truth
        self._room = 0  # bytes until the next check; a guess is enough
        self._retry_at = 0.0
        self._sealed = self._busy = False
        self._refusing = False  # the disk refused a record, and has not taken one since
        self._troubles: list[tuple[str, str]] = []

    def open(self) -> None:
        """Open the first segment now; OSError if the directory cannot be written."""
        with self._lock:
            self._fd = self._open_segment()

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
                self._room = room = self._room - written
                if room > 0 and written == len(line):
                    return
                if written == len(line):
                    self._check()
                else:
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
            if self._waiting:
                self._drain()
            elif self._fd >= 0 and not is_file(self._fd, self._file):
                self._troubles.append(("deleted", "a segment was deleted or closed under us"))
                self._write_again()
                self._let_go()
                self._drain()
        self._report()

    @property
    def end(self) -> int:
        """The offset after the last record, those that wait in memory included."""
        with self._lock:
            return self._end_on_disk(self._fd) + self.waiting_bytes

    @property
    def segment_start(self) -> int | None:
        """The offset at which the segment that is being written starts."""
        return self._segment_start if self._fd >= 0 else None

    def read(self, at: int) -> Chunk:
        """Return records from offset `at` on, from the disk or from memory."""
        with self._lock:
            log, disk_end = self.log, self._end_on_disk(self._fd)
            if at >= disk_end:
                return self._read_waiting(at)
        return log.read(at, disk_end) if log else Chunk((), at)

    def taken(self, offset: int) -> None:
        """Forget waiting records before `offset`: every backend has them."""
        if not self._waiting:
            return
        with self._lock:
            while self._waiting and self._disk_end + len(self._waiting[0]) <= offset:
                self._disk_end += self._forget_first()  # a gap; the next segment starts behind it

    def close(self, *, sealed: bool) -> tuple[WriterLog | None, int]:
        """
        Stop writing and return the log and where it ends.

        A later append starts a new log, for the next process; when sealed, it waits in memory.
        """
        with self._lock:
            self._sealed, self._refusing = sealed, False
            self._let_go()
            if self._waiting:
                self._drop(len(self._waiting), "the disk refused them until the end")
            self._waiting.clear()
            ended = self.log, self._disk_end
            self.log, self._disk_end, self.waiting_bytes = None, 0, 0
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
        self._waiting.append(line)
        self.waiting_bytes += len(line)
        now = time.monotonic()
        if not self._refusing or (self._overfull() and now >= self._retry_at):
            self._retry_at = now + RETRY_S
            self._drain()
        if self._overfull():
            self.waiting_bytes -= len(self._waiting.pop())
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
            self._fd = fd
            self._refusing = False
        except OSError as error:
            self._refused(error)
            self._disk_end = self._end_on_disk(fd)
            close(fd)
        finally:
            self._busy = False

    def _write_waiting(self, fd: int) -> None:
        while self._waiting:
            self._write(fd, self._waiting[0])
            self._forget_first()
            if self._fsync and not self._waiting:
                sync(fd)

    def _write(self, fd: int, line: bytes) -> None:
        written = os.write(fd, line)
        if written != len(line):
            cut(fd, written)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _check(self) -> None:
        try:
            if self._fsync:
                sync(self._fd)
            if os.fstat(self._fd).st_size >= self._limits.segment_bytes_max:
                self._let_go()
                self._drain()
        except OSError as error:
            self._refused(error)

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
        path = self.log.segment_path(self._disk_end)
        fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if self._fsync:
                sync_directories(self.log.directory, self.root)
        except OSError:
            close(fd)
            raise
        self._segment_start, self._file = self._disk_end, os.fstat(fd).st_ino
        self._room = 0 if self._fsync else self._limits.segment_bytes_max
        return fd

    def _end_on_disk(self, fd: int) -> int:
        if fd < 0 or self.log is None:
            return self._disk_end
        with contextlib.suppress(OSError):  # somebody closed it
            found = os.fstat(fd)
            if found.st_ino == self._file:
                return self._segment_start + found.st_size
        return self.log.end(at_least=self._segment_start)

    def _let_go(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            was_busy, self._busy = self._busy, True
            self._disk_end = self._end_on_disk(fd)
            if is_file(fd, self._file, also_deleted=True):  # else it is somebody else's by now
                close(fd)
            self._busy = was_busy

    def _forget_first(self) -> int:
        length = len(self._waiting.popleft())
        self.waiting_bytes -= length
        return length

    def _read_waiting(self, at: int) -> Chunk:
        lines: list[tuple[int, bytes]] = []
        offset, length = self._disk_end, 0
        for line in self._waiting:
            start, offset = offset, offset + len(line)
            if start >= at and length < READ_BYTES_MAX:
                lines.append((offset, line[:-1]))
                length += len(line)
        return Chunk(lines, lines[-1][0] if lines else offset)

    def _overfull(self) -> bool:
        return self.waiting_bytes > self._limits.waiting_bytes_max

    def _refused(self, error: OSError) -> None:
        self._refusing = True
        message = f"the journal cannot be written ({error.strerror}); records wait in memory"
        self._troubles.append(("disk", message))

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
