"""One process's records on disk: segments, a lock, and a cursor per backend."""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import accumulate
from pathlib import Path

from tokenmeter.delivery.cursors import cursors_in, ends_a_record, is_cursor, persist, strike
from tokenmeter.delivery.files import (
    NO_FILE,
    close,
    copy,
    identity,
    is_file,
    locked,
    size,
    sync,
    unwritten_s,
)

READ_BYTES_MAX = 256 * 1024  # read at once; a longer record is read whole
ABANDONED_S = 3_600.0  # a log without a lock file that nobody has written for so long
LOCK = "lock"
_SEGMENT = ".jsonl"
_DIGITS = 20


@dataclass(frozen=True, slots=True)
class Chunk:
    """
    Lines as they stand in a log, each with the offset just after it, and where to go on.

    `torn` is what was skipped, in bytes: a record whose writer died in the middle of it, or
    what is missing because somebody cut or deleted the segment.
    """

    lines: Sequence[tuple[int, bytes]]
    next_at: int
    torn: int = 0


class WriterLog:
    """
    A directory that one process writes: ``<start>.jsonl`` segments of one long log.

    Offsets count bytes from the writer's first record; a segment is named by the offset it
    starts at. `cursors` says for each backend up to where it has taken the records; a record
    belongs to the backends that were configured when it was written. Whoever holds the flock
    on `lock` owns the directory: the writer, then one process that delivers what it left.
    """

    def __init__(self, directory: Path, lock_fd: int, cursors: dict[str, int]) -> None:
        self.directory = directory
        self.cursors = cursors
        self._hold(lock_fd)
        self._oldest: int | None = None  # the first segment, as last seen

    @classmethod
    def create(cls, root: Path, names: Sequence[str]) -> WriterLog:
        """Make a directory of our own below `root`, already locked when others can see it."""
        name = f"{time.time_ns() // 1_000_000:013d}-{os.getpid()}-{os.urandom(4).hex()}"
        unseen = root / f".{name}"
        unseen.mkdir(mode=0o700, parents=True)
        log = cls(unseen, -1, dict.fromkeys(names, 0))
        try:
            log.restore()
            log._show(root / name)
        except OSError:
            log.unlock()
            remove(unseen)
            raise
        return log

    @classmethod
    def adopt(cls, directory: Path) -> WriterLog | None:
        """Take over the directory of a process that has ended; None if it is alive."""
        try:
            lock_fd = locked(directory / LOCK, 0)
        except FileNotFoundError:
            with contextlib.suppress(OSError):
                directory.rmdir()  # an empty rest; one with records in it stays for a while
                return None
            idle_s = unwritten_s(directory, _SEGMENT)
            if idle_s is None or idle_s < ABANDONED_S:
                return None  # a living process may have lost its lock file
            lock_fd = locked(directory / LOCK, os.O_CREAT)
        if lock_fd is None:
            return None
        try:
            return cls(directory, lock_fd, cls.ended(directory).cursors)
        except OSError:
            os.close(lock_fd)
            raise

    @classmethod
    def seen(cls, directory: Path) -> WriterLog:
        """Look at a directory that stays its owner's."""
        return cls(directory, -1, cursors_in(directory))

    @classmethod
    def ended(cls, directory: Path) -> WriterLog:
        """As `seen`, where the writer is gone: no cursor can be true that is beyond its end."""
        log = cls.seen(directory)
        log.mend()
        return log

    def segment_path(self, start: int) -> Path:
        """Return the path of the segment that starts at this offset."""
        return self.directory / f"{start:0{_DIGITS}d}{_SEGMENT}"

    def restore(self) -> None:
        """Make lock and cursors; also again, after somebody deleted the directory under us."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not (self.directory / LOCK).exists():
            self.lock_again()
        for backend, offset in self.cursors.items():
            persist(self.directory, backend, offset)

    def write_again(self, start: int, fd: int) -> None:
        """Give a segment that was deleted a file again, with what its descriptor still holds."""
        self.restore()
        copy(fd, self.segment_path(start))

    def end(self, *, at_least: int | None = None) -> int:
        """Return the offset after the last byte; `at_least`, or a cursor, where it is gone."""
        last = self.segments()[-1:]
        found = last[0] + size(self.segment_path(last[0])) if last else 0
        return found if at_least is None else max(found, at_least, *self.cursors.values())

    def segments(self) -> list[int]:
        """Return the offsets at which segments start, in order."""
        try:
            names = os.listdir(self.directory)  # noqa: PTH208  twice as fast as iterdir()
        except FileNotFoundError:
            return []
        stems = (name.removesuffix(_SEGMENT) for name in names if name.endswith(_SEGMENT))
        return sorted(int(stem) for stem in stems if stem.isdigit())

    def read(self, at: int, end: int) -> Chunk:
        """Return whole lines from offset `at` on, none beyond `end` (exclusive)."""
        starts = self.segments()
        start = max((s for s in starts if s <= at), default=None)
        following = min((s for s in starts if s > at), default=end)
        if start is None:
            return Chunk((), following, torn=following - at)
        content = _content(self.segment_path(start), at - start, min(following, end) - at)
        cut = content.rfind(b"\n") + 1
        if cut:
            return Chunk(_split(content[:cut], at), at + cut)
        next_at = at + len(content) if content else following
        return Chunk((), next_at, torn=next_at - at)

    def add(self, lines: Sequence[bytes]) -> None:
        """Write records to a segment of their own, behind all others. The writer is gone."""
        behind = max(self.end(), *self.cursors.values(), 0)  # a power cut may have cut the end
        with self.segment_path(behind).open("wb") as segment:
            segment.writelines(lines)
            segment.flush()
            sync(segment.fileno())

    def count(self, at: int, end: int) -> int:
        """Count the records between two offsets."""
        found = 0
        while at < end:
            chunk = self.read(at, end)
            found += len(chunk.lines)
            at = chunk.next_at
        return found

    def advance(self, backend: str, offset: int, *, writing: int | None = None) -> None:
        """
        Remember that `backend` has taken everything before `offset`, and delete what all have.

        The segment that starts at `writing` is kept. OSError: it holds until this process ends.
        """
        self.cursors[backend] = offset
        persist(self.directory, backend, offset)
        if writing is not None and writing == self._oldest:
            return  # there is no other segment
        taken = min(self.cursors.values())
        starts = self.segments()
        self._oldest = starts[0] if starts else None
        for start in starts:
            if start >= taken or start == writing:
                break  # one that starts there may have been opened this moment
            path = self.segment_path(start)
            if start + size(path) <= taken:
                path.unlink(missing_ok=True)

    def finish(self, names: Sequence[str]) -> None:
        """Strike out backends that have taken everything; remove the log if none is left."""
        try:
            if self.cursors.keys() <= set(names):
                remove(self.directory)
            else:
                for backend in names:
                    strike(self.directory, backend)
        finally:
            self.unlock()

    @property
    def held(self) -> bool:
        """Whether this process owns the directory."""
        return self._lock_fd >= 0

    def unlock(self) -> None:
        """Let another process have it. In a forked child: let go of the parent's lock."""
        if is_file(self._lock_fd, self._lock_file, also_deleted=True):  # else it is unlocked
            close(self._lock_fd)
        self._hold(-1)

    def lock_again(self) -> None:
        """Take the lock anew, unless we still have it: other code may close our descriptor."""
        if not is_file(self._lock_fd, self._lock_file):
            self.unlock()
            lock_fd = locked(self.directory / LOCK, os.O_CREAT)
            self._hold(-1 if lock_fd is None else lock_fd)

    def _hold(self, lock_fd: int) -> None:
        self._lock_fd = lock_fd
        self._lock_file = NO_FILE if lock_fd < 0 else identity(lock_fd)

    def mend(self) -> None:
        """Put back to the start each cursor that cannot be true: better sent twice than never."""
        for backend, offset in self.cursors.items():
            if not self._may_be(offset):
                self.cursors[backend] = 0

    def _may_be(self, cursor: int) -> bool:
        """Say whether a backend can have taken all that is before a cursor, and no more."""
        starts = self.segments()
        start = max((s for s in starts if s <= cursor), default=cursor)
        if not starts or cursor == start:
            return True
        return cursor <= self.end() and ends_a_record(self.segment_path(start), cursor - start)

    def _show(self, path: Path) -> None:
        """Take the name under which others see us."""
        if not self.held:  # by whom it would be taken for a dead process's
            raise OSError(errno.EAGAIN, "a journal folder was swept while it was made")
        self.directory = self.directory.rename(path)


def bytes_under(root: Path) -> int:
    """Return how many bytes all segments below `root` take."""
    found = 0
    with os.scandir(root) as logs:  # much faster than pathlib, and a caller may be waiting
        for log in logs:
            with contextlib.suppress(OSError), os.scandir(log) as files:
                found += sum(f.stat().st_size for f in files if f.name.endswith(_SEGMENT))
    return found


def _split(content: bytes, at: int) -> list[tuple[int, bytes]]:
    lines = BytesIO(content).readlines()  # bytes.split() looks at each byte by itself
    ends = accumulate(map(len, lines), initial=at)
    next(ends)  # where the first one begins
    return [(end, line[:-1]) for end, line in zip(ends, lines, strict=True)]


def _content(path: Path, position: int, length: int) -> bytes:
    """Read at most READ_BYTES_MAX, or more if no line ends within that."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return b""
    try:
        content = os.pread(fd, min(length, READ_BYTES_MAX), position)
        if b"\n" not in content and len(content) < length:
            content = os.pread(fd, length, position)
    finally:
        os.close(fd)
    return content


def remove(directory: Path) -> None:
    """Delete the files, then the directory; whoever is killed meanwhile leaves nothing owed."""
    with contextlib.suppress(FileNotFoundError):
        for path in sorted(directory.iterdir(), key=_goes_after):
            path.unlink(missing_ok=True)
        directory.rmdir()


def _goes_after(path: Path) -> int:
    """The calls under way go first, or they are reported again; the cursors after the records."""
    if is_cursor(path):
        return 2
    return 3 if path.name == LOCK else int(path.suffix == _SEGMENT)
