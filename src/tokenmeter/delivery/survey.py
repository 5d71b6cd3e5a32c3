"""A state directory seen from outside: what waits in it, for whom, and since when."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tokenmeter.delivery.deadletters import DEAD
from tokenmeter.delivery.replay import letters
from tokenmeter.delivery.writerlog import LOCK, WriterLog
from tokenmeter.event import parse_timestamp

REASONS_MAX = 20  # dead letters are counted by reason; rarer ones are left out
PROBE_BYTES = 4_096


@dataclass(frozen=True, slots=True)
class Waiting:
    """What one backend has not taken yet, over all processes."""

    backend: str
    records: int = 0
    bytes: int = 0
    oldest_age_s: float = 0.0
    torn: int = 0  # records that cannot be read
    processes: int = 0  # that are alive and write for it
    ended: int = 0  # that left something behind


def survey(state_dir: Path) -> list[Waiting]:
    """Look at all logs without touching them."""
    found: dict[str, Waiting] = {}
    for directory in sorted((state_dir / "journal").glob("[!.]*")):
        # A log may be delivered and removed while we look at it.
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            alive = _alive(directory)
            log = WriterLog.seen(directory) if alive else WriterLog.ended(directory)
            for name in log.cursors:
                seen = _waiting(log, name, alive=alive)
                found[name] = _added(found.get(name, Waiting(name)), seen)
    return list(found.values())


def reasons(state_dir: Path) -> dict[str, int]:
    """Count dead letters by reason, the most frequent first."""
    counted = Counter(str(letter.get("reason")) for letter in letters(state_dir, DEAD))
    return dict(counted.most_common(REASONS_MAX))


def write_error(state_dir: Path) -> str | None:
    """Try to write to the state directory; say what hinders it."""
    probe = state_dir / f".doctor-{os.getpid()}"
    try:
        try:
            with probe.open("xb") as file:
                file.write(b"\0" * PROBE_BYTES)
                file.flush()
                os.fsync(file.fileno())
        finally:
            probe.unlink(missing_ok=True)
    except OSError as error:
        return error.strerror or str(error)
    return None


def _waiting(log: WriterLog, name: str, *, alive: bool) -> Waiting:
    at, end = log.cursors[name], log.end()
    length = max(0, end - at)
    records = torn = 0
    oldest: float | None = None
    while at < end:
        chunk = log.read(at, end)
        for _, line in chunk.lines:
            age = _age_s(line)
            torn += age is None
            oldest = age if oldest is None else oldest
        records += len(chunk.lines)
        torn += 1 if chunk.torn else 0
        if chunk.next_at <= at:
            break
        at = chunk.next_at
    return Waiting(name, records, length, oldest or 0.0, torn, int(alive), int(not alive))


def _added(one: Waiting, other: Waiting) -> Waiting:
    return Waiting(
        one.backend,
        one.records + other.records,
        one.bytes + other.bytes,
        max(one.oldest_age_s, other.oldest_age_s),
        one.torn + other.torn,
        one.processes + other.processes,
        one.ended + other.ended,
    )


def _age_s(line: bytes) -> float | None:
    """How long ago a record says it happened; None if it is no record."""
    try:
        record: object = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict):
        return None
    stated = record.get("timestamp")
    try:
        moment = parse_timestamp(stated) if isinstance(stated, str) else None
    except ValueError:
        moment = None
    return max(0.0, (datetime.now(UTC) - moment).total_seconds()) if moment else 0.0


def _alive(directory: Path) -> bool:
    try:
        fd = os.open(directory / LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False  # the file is lost; whoever looks later takes the log over
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False
