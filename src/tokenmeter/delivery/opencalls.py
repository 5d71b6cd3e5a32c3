"""
The calls that this process has under way, in a file that outlives it.

The file ``open`` stands in the directory of the process's own log (`WriterLog`), which is
created with it, locked by the same flock and adopted with it. It is SLOTS_MAX slots of
SLOT_BYTES each. A slot is free if its first byte is 0; else it holds one JSON object, a newline,
and whatever stood there before. `enter` fills a slot and `leave` frees it: two memory writes, no
system call, and the kernel keeps them when the process is killed.

A process that adopts the log finds in `left_open(directory)` what was under way, as records that
it can append to its own journal: events with ``outcome=unknown``, ``billable=false`` and
``usage_source=missing``. Their ids follow from call_id and attempt, so reporting twice is
harmless. The journal has a call before its slot is freed: a call whose `call_id` and `attempt`
stand in a record of that log was finished, and only its slot was not freed any more.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tokenmeter.event import SOURCE, attempt_id, timestamp_text

OPEN = "open"  # the file's name, beside `lock`
SLOT_BYTES = 512
SLOTS_MAX = 2048  # calls under way at once that are remembered; more are not
NO_SLOT = -1


class OpenCalls:
    """
    The open-call file of one process. `leave` takes no lock, `enter` only for its first call.

    The file is made when the first call opens. Where that fails, calls are not remembered.
    """

    __slots__ = ("_free", "_making", "_path", "_pid", "_slots", "trouble")

    def __init__(self, directory: Path) -> None:
        self.trouble: OSError | None = None  # why there is no file
        self._path = directory / OPEN
        self._pid = os.getpid()
        self._slots: mmap.mmap | None = None
        self._free: list[int] = []
        # One thread makes the file: a second one would cut it short under the first one's map,
        # and to write beyond the end of a mapped file is death. Re-entrant for signal handlers.
        self._making = threading.RLock()

    def enter(self, line: bytes) -> int:
        """Remember a call, one JSON object without a newline; returns what `leave` needs."""
        slots = self._slots or self._made()
        if slots is None or len(line) >= SLOT_BYTES:
            return NO_SLOT
        try:
            at = self._free.pop()
        except IndexError:
            return NO_SLOT
        slots[at : at + len(line) + 1] = line + b"\n"
        return self._pid * SLOTS_MAX + at // SLOT_BYTES

    def leave(self, entered: int) -> None:
        """Forget a call. One that a process before a fork entered is left alone."""
        pid, slot = divmod(entered, SLOTS_MAX)
        if self._slots is not None and pid == self._pid:
            self._slots[slot * SLOT_BYTES] = 0
            self._free.append(slot * SLOT_BYTES)

    def _made(self) -> mmap.mmap | None:
        with self._making:
            if self._slots is None and self.trouble is None:
                try:
                    slots = self._make()
                except OSError as error:
                    self.trouble = error
                    with contextlib.suppress(OSError):
                        self._path.unlink()
                else:
                    self._free = list(range(len(slots) - SLOT_BYTES, -1, -SLOT_BYTES))
                    self._slots = slots  # last: whoever sees it takes a slot
            return self._slots

    def _make(self) -> mmap.mmap:
        length = SLOTS_MAX * SLOT_BYTES
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(fd, 0, length)  # a full disk must not kill us with SIGBUS
            return mmap.mmap(fd, length)
        finally:
            os.close(fd)


def left_open(directory: Path) -> list[dict[str, Any]]:
    """Return the records of the calls that were under way when the log's process ended."""
    try:
        content = (directory / OPEN).read_bytes()
    except FileNotFoundError:
        return []
    found: list[dict[str, Any]] = []
    for at in range(0, len(content) - SLOT_BYTES + 1, SLOT_BYTES):
        line = content[at : at + SLOT_BYTES].partition(b"\n")[0]
        if line[:1] == b"{":
            with contextlib.suppress(ValueError, KeyError, TypeError):  # killed in mid-write
                found.append(_unknown(json.loads(line)))
    return found


_UNKNOWN = {"outcome": "unknown", "billable": "false", "usage_source": "missing"}


def _unknown(call: dict[str, Any]) -> dict[str, Any]:
    """Write the event of a call whose end nobody saw."""
    properties = call["properties"]
    return {
        "event_name": call["event_name"],
        "external_customer_id": call["customer"],
        "event_id": attempt_id(properties["call_id"], properties["attempt"]),
        "source": SOURCE,
        "timestamp": timestamp_text(datetime.fromtimestamp(call["opened_at"], UTC)),
        "properties": {**properties, "request_count": 1, **_UNKNOWN},
    }
