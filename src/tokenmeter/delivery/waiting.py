"""Records in memory: those that the disk refuses, and those that may not have reached it."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import accumulate

from tokenmeter.delivery.writerlog import READ_BYTES_MAX, Chunk


class Waiting:
    """Records that wait for the disk, in order."""

    __slots__ = ("_lines", "bytes")

    def __init__(self) -> None:
        self.bytes = 0
        self._lines: deque[bytes] = deque()

    def __len__(self) -> int:
        return len(self._lines)

    @property
    def first(self) -> bytes:
        """The record that is written next."""
        return self._lines[0]

    def add(self, line: bytes) -> None:
        """Let a record wait behind all others."""
        self._lines.append(line)
        self.bytes += len(line)

    def add_before(self, lines: Sequence[bytes]) -> None:
        """Let records wait before all others."""
        self._lines.extendleft(reversed(lines))
        self.bytes += sum(map(len, lines))

    def forget_first(self) -> int:
        """Forget the first record; return its length."""
        length = len(self._lines.popleft())
        self.bytes -= length
        return length

    def forget_last(self) -> None:
        """Forget the last record."""
        self.bytes -= len(self._lines.pop())

    def clear(self) -> None:
        """Forget all."""
        self._lines.clear()
        self.bytes = 0

    def read(self, at: int, disk_end: int) -> Chunk:
        """Return records from offset `at` on, where the first one stands at `disk_end`."""
        lines: list[tuple[int, bytes]] = []
        offset, length = disk_end, 0
        for line in self._lines:
            start, offset = offset, offset + len(line)
            if start >= at and length < READ_BYTES_MAX:
                lines.append((offset, line[:-1]))
                length += len(line)
        return Chunk(lines, lines[-1][0] if lines else offset)


class Unproven:
    """
    Records written since the descriptor was last seen to be our file's.

    Other code may close it and get its number for a file of its own, which takes what we write.
    """

    __slots__ = ("_lines", "_proofs", "add", "start")

    def __init__(self) -> None:
        self._lines: list[bytes] = []
        self._proofs = 0  # that were about any
        self.add = self._lines.append  # once per record, on the caller's path
        self.start = 0  # the offset that the first one was to have

    @property
    def mark(self) -> tuple[int, int]:
        """Another with each record, and the same without."""
        return self._proofs, len(self._lines)

    def prove(self, end: int) -> None:
        """They are in our file, which ends there; the next ones are not yet known to be."""
        if self._lines:
            self._proofs += 1
        self._lines.clear()
        self.start = end

    def beyond(self, end: int) -> Sequence[bytes]:
        """Return the records that are not in our file, which ends there."""
        ends = accumulate(map(len, self._lines), initial=self.start)
        next(ends)  # where the first one begins
        return [line for line, its_end in zip(self._lines, ends, strict=True) if its_end > end]
