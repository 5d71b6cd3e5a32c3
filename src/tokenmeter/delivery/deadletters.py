"""Events that no retry will deliver, kept with the reason until a person decides."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import threading
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tokenmeter.delivery.alarms import Alarms
from tokenmeter.delivery.files import cut, sync
from tokenmeter.delivery.masking import masked
from tokenmeter.delivery.protocol import TransientError
from tokenmeter.event import Event, timestamp_text

DEAD = "dead"
HELD = "held"


Letter = Event | Mapping[str, Any]


class DeadLetters:
    """
    A file of JSON lines per backend below ``<state_dir>/dead``, shared by all processes.

    Each line has `backend`, `reason`, `at` and either the `event` or the journal `record` that
    could not be turned into events. What only waits for a customer is in ``held`` beside it.
    Nothing leaves these files but by a replay (`delivery.replay`).
    """

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir
        self._lock = threading.Lock()

    def bury(self, backend: str, reason: str, letter: Letter, *, held: bool = False) -> None:
        """Write one down; TransientError if the disk refuses, so that nothing is lost."""
        self.bury_all(backend, [(letter, reason)], held=held)

    def bury_all(
        self, backend: str, letters: Sequence[tuple[Letter, str]], *, held: bool = False
    ) -> None:
        """Write some down, each with its reason, and wait once for the disk; all or none."""
        lines = b"".join(_line(backend, letter, reason) for letter, reason in letters)
        path = self.state_dir / (HELD if held else DEAD) / f"{backend}.jsonl"
        try:
            with self._lock:
                _append(path, lines, durable=not held)
        except OSError as error:
            raise TransientError(
                f"a dead letter cannot be written ({error.strerror}); its event waits"
            ) from error

    def forked(self) -> None:
        """In a forked child: a thread of the parent may have held the lock."""
        self._lock = threading.Lock()


def _line(backend: str, letter: Letter, reason: str) -> bytes:
    fields: dict[str, Any] = {
        "backend": backend,
        "reason": masked(reason),
        "at": timestamp_text(datetime.now(UTC)),
    }
    if isinstance(letter, Event):
        fields["event"] = letter.to_dict()
    else:
        fields["record"] = letter
    return json.dumps(fields, separators=(",", ":"), default=str).encode() + b"\n"


def count(state_dir: Path, kind: str) -> int:
    """Count the letters of a kind, `DEAD` or `HELD`."""
    found = 0
    for path in (state_dir / kind).glob("*.jsonl"):
        with path.open("rb") as letters:
            found += sum(1 for _ in letters)
    return found


def counted(state_dir: Path, kind: str, alarms: Alarms) -> int:
    """Count them for health(), which must not raise; what cannot be read is alarmed."""
    try:
        return count(state_dir, kind)
    except OSError as error:
        alarms.sound("letters", f"letters cannot be counted ({error.strerror})")
        return 0


@contextmanager
def locked(path: Path) -> Generator[int]:
    """Open a file of letters for reading and appending; nobody else does meanwhile."""
    while True:
        fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            if os.fstat(fd).st_nlink:  # else a replay took the file away while we waited
                yield fd
                return
        finally:
            os.close(fd)


def _append(path: Path, lines: bytes, *, durable: bool) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with locked(path) as fd:
        length = os.fstat(fd).st_size
        if length and os.pread(fd, 1, length - 1) != b"\n":
            lines = b"\n" + lines  # behind one whose writer died in the midst of it
        written = os.write(fd, lines)
        if written != len(lines):
            cut(fd, written)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if durable:
            sync(fd)
