"""Events for the engine's tests, and the child processes that ingest them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tokenmeter.engine.local import Engine
from tokenmeter.event import Event, Property

START = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)


def made(
    event_id: str = "evt_1",
    *,
    customer: str = "cust_1",
    event_name: str = "text_generated",
    at: datetime = START,
    properties: Mapping[str, Property] | None = None,
) -> Event:
    """Return an event; without properties it has a little usage."""
    filled = {"input_tokens": 10, "output_tokens": 5} if properties is None else properties
    return Event(event_name, event_id, customer, at, filled)


def numbered(count: int) -> list[Event]:
    """Return `count` events, a second apart."""
    return [made(f"evt_{i}", at=START + timedelta(seconds=i)) for i in range(count)]


def url(path: Path) -> str:
    """Return the backend URL of a file."""
    return f"sqlite:///{path}"


def ingest_overlapping(database: str, first: int, count: int, batch: int) -> int:
    """Ingest numbered events from `first` on, batch by batch; return how many were accepted."""
    events = numbered(first + count)[first:]
    with Engine(database) as engine:
        receipts = [engine.ingest(events[i : i + batch]) for i in range(0, count, batch)]
    return sum(receipt.accepted for receipt in receipts)


def longest_ingest(database: str, first: int, count: int, batch: int) -> float:
    """Ingest numbered events from `first` on, batch by batch; return the longest wait in s."""
    events = numbered(first + count)[first:]
    waits = [0.0]
    with Engine(database) as engine:
        for i in range(0, count, batch):
            started = time.monotonic()
            engine.ingest(events[i : i + batch])
            waits.append(time.monotonic() - started)
    return max(waits)
