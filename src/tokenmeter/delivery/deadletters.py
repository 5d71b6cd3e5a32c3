"""Events that no retry will deliver, kept with the reason until a person decides."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tokenmeter.delivery.masking import masked
from tokenmeter.delivery.protocol import TransientError
from tokenmeter.event import Event, timestamp_text


class DeadLetters:
    """
    A file of JSON lines per backend below ``<state_dir>/dead``, shared by all processes.

    Each line has `backend`, `reason`, `at` and either the `event` or the journal `record` that
    could not be turned into events. Nothing here is ever deleted by us.
    """

    def __init__(self, state_dir: Path) -> None:
        self.directory = state_dir / "dead"
        self._lock = threading.Lock()

    def bury(self, backend: str, reason: str, letter: Event | Mapping[str, Any]) -> None:
        """Write one down; TransientError if the disk refuses, so that nothing is lost."""
        fields: dict[str, Any] = {
            "backend": backend,
            "reason": masked(reason),
            "at": timestamp_text(datetime.now(UTC)),
        }
        if isinstance(letter, Event):
            fields["event"] = letter.to_dict()
        else:
            fields["record"] = letter
        line = json.dumps(fields, separators=(",", ":"), default=str).encode() + b"\n"
        try:
            self._write(self.directory / f"{backend}.jsonl", line)
        except OSError as error:
            raise TransientError(
                f"a dead letter cannot be written ({error.strerror}); its event waits"
            ) from error

    def count(self) -> int:
        """Count the dead letters of all processes."""
        found = 0
        for path in self.directory.glob("*.jsonl"):
            with path.open("rb") as letters:
                found += sum(1 for _ in letters)
        return found

    def forked(self) -> None:
        """In a forked child: a thread of the parent may have held the lock."""
        self._lock = threading.Lock()

    def _write(self, path: Path, line: bytes) -> None:
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        with self._lock:
            fd = os.open(path, flags, 0o600)
            try:
                written = os.write(fd, line)
            finally:
                os.close(fd)
        if written != len(line):
            raise OSError(28, "No space left on device")
