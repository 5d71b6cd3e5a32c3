"""Journals without a shipper: open, read, abandon."""

from __future__ import annotations

from pathlib import Path

from tokenmeter.delivery.journal import Journal
from tokenmeter.delivery.limits import Limits

NAME = "sink"


def segments(state_dir: Path) -> list[Path]:
    return sorted(state_dir.glob("journal/*/*.jsonl"))


def written(journal: Journal) -> list[bytes]:
    """Every line of every log, as a shipper would read it."""
    found: list[bytes] = []
    for log in journal.logs(NAME):
        at = log.cursors[NAME]
        while at < journal.end(log):
            chunk = journal.read(log, at)
            found += [each + b"\n" for _, each in chunk.lines]
            assert chunk.next_at > at
            at = chunk.next_at
    return found


def deliver(journal: Journal) -> None:
    for log, end in journal.ends().items():
        journal.advance(log, NAME, end)


def opened(state_dir: Path, limits: Limits | None = None) -> Journal:
    return Journal(state_dir, [NAME], limits=limits or Limits())


def die(journal: Journal) -> None:
    """Leave everything as a killed process would: nothing flushed, locks gone."""
    journal.forked()
