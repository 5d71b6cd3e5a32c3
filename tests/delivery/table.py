"""A backend for tests with several processes."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from tests.delivery.records import (
    PATIENCE_S,
)
from tokenmeter.delivery.protocol import Receipt
from tokenmeter.event import Event


class Table:
    """A backend that survives its process: a table with each event once."""

    name = "table"

    def __init__(self, path: Path) -> None:
        self._path = path
        self._db: sqlite3.Connection | None = None

    def send(self, events: Sequence[Event]) -> Receipt:
        rows = [(event.event_id, os.getpid()) for event in events]
        if self._db is None:
            self._db = sqlite3.connect(self._path, timeout=PATIENCE_S, check_same_thread=False)
            self._db.execute("CREATE TABLE IF NOT EXISTS event (id TEXT PRIMARY KEY, process INT)")
        with self._db:
            self._db.executemany("INSERT OR IGNORE INTO event VALUES (?, ?)", rows)
        return Receipt(len(events))

    def close(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None

    before_fork = close

    @staticmethod
    def ids(path: Path) -> list[str]:
        with closing(sqlite3.connect(path)) as db:
            return [row[0] for row in db.execute("SELECT id FROM event ORDER BY rowid")]
