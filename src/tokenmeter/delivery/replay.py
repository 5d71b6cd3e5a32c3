"""Give dead letters another chance: back into the journal of the backend that refused them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenmeter.delivery.deadletters import DEAD, HELD, locked
from tokenmeter.delivery.files import sync
from tokenmeter.delivery.writerlog import WriterLog
from tokenmeter.lines import to_line

READ_LETTERS_BYTES_MAX = 1024 * 1024 * 1024  # of one file; a replay holds it in memory

Letter = Mapping[str, Any]
Change = Callable[[Letter], Mapping[str, Any] | None]


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay did: letters that are in the journal again, and letters that stay."""

    again: int = 0
    left: int = 0


def replay_dead(state_dir: Path, backend: str | None = None) -> Replayed:
    """Put the dead letters, of one backend or all, into the journal again."""
    return _replay(state_dir, DEAD, backend, _as_it_was)


def attribute_held(state_dir: Path, customer: str, run_id: str | None = None) -> Replayed:
    """Name the customer of the events that are held back, of one run or all; they go on."""

    def attributed(letter: Letter) -> Mapping[str, Any] | None:
        event: Mapping[str, Any] = letter.get("event") or {}
        if run_id is not None and event.get("properties", {}).get("run_id") != run_id:
            return None
        return {**event, "external_customer_id": customer}

    return _replay(state_dir, HELD, None, attributed)


def letters(state_dir: Path, kind: str) -> Iterator[Letter]:
    """Yield the letters of a kind, `DEAD` or `HELD`; what is no letter is left out."""
    for path in sorted((state_dir / kind).glob("*.jsonl")):
        with path.open("rb") as lines:
            for line in lines:
                letter = _letter(line)
                if letter is not None:
                    yield letter


def _as_it_was(letter: Letter) -> Mapping[str, Any] | None:
    return letter.get("event") or letter.get("record")


def _replay(state_dir: Path, kind: str, backend: str | None, change: Change) -> Replayed:
    again = left = 0
    for path in sorted((state_dir / kind).glob("*.jsonl")):
        if backend is None or path.stem == backend:
            done = _replay_file(state_dir, path, change)
            again, left = again + done.again, left + done.left
    return Replayed(again, left)


def _replay_file(state_dir: Path, path: Path, change: Change) -> Replayed:
    """The journal has the records before the file loses them: better twice than never."""
    with locked(path) as fd:
        lines = os.pread(fd, READ_LETTERS_BYTES_MAX, 0).splitlines(keepends=True)
        records: list[bytes] = []
        stay: list[bytes] = []
        for line in lines:
            letter = _letter(line)
            record = change(letter) if letter is not None else None
            if record is None:
                stay.append(line)
            else:
                records.append(to_line(record))
        if records:
            _write_log(state_dir / "journal", path.stem, records)
            _keep_only(path, stay)
    return Replayed(len(records), len(stay))


def _write_log(root: Path, backend: str, records: list[bytes]) -> None:
    """Leave a log as a process that ended would; whoever serves the backend adopts it."""
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    log = WriterLog.create(root, [backend])
    try:
        with log.segment_path(0).open("xb") as segment:
            segment.writelines(records)
            segment.flush()
            sync(segment.fileno())
    except OSError:
        log.finish([backend])
        raise
    log.unlock()


def _keep_only(path: Path, stay: list[bytes]) -> None:
    if stay:
        fresh = path.with_suffix(".new")
        with fresh.open("wb") as file:
            file.writelines(stay)
            file.flush()
            sync(file.fileno())
        fresh.replace(path)  # the old file has no name then: who waits for it looks again
    else:
        path.unlink()


def _letter(line: bytes) -> Letter | None:
    try:
        letter: object = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return letter if isinstance(letter, dict) else None
