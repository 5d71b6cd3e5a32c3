"""Backends that fail as they are told, and what became of the events."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.delivery.records import (
    Sink,
    resolve,
)
from tokenmeter.delivery.deadletters import DeadLetters
from tokenmeter.delivery.journal import Journal
from tokenmeter.delivery.protocol import Receipt
from tokenmeter.delivery.shipper import Shipper
from tokenmeter.delivery.wiring import Wiring
from tokenmeter.event import Event


class Answering(Sink):
    """Returns what it is told to return, once per send; then behaves."""

    def __init__(self, *answers: object) -> None:
        super().__init__()
        self.answers = list(answers)

    def send(self, events: Sequence[Event]) -> Receipt:
        receipt = super().send(events)
        return self.answers.pop(0) if self.answers else receipt  # type: ignore[return-value]


def raising(count: int, error: Exception) -> Callable[[Sequence[Event]], None]:
    left = [count]

    def before(events: Sequence[Event]) -> None:
        if left[0]:
            left[0] -= 1
            raise error

    return before


def refusing(*bad: str) -> Callable[[Sequence[Event]], None]:
    def before(events: Sequence[Event]) -> None:
        if any(event.event_id in bad for event in events):
            raise ValueError("one of these is bad")

    return before


def waiting_for(signal: threading.Event) -> Callable[[Sequence[Event]], None]:
    def before(events: Sequence[Event]) -> None:
        signal.wait()

    return before


def letters(state_dir: Path) -> list[dict[str, Any]]:
    return [
        json.loads(each)
        for path in sorted(state_dir.glob("dead/*.jsonl"))
        for each in path.read_text().splitlines()
    ]


def buried(state_dir: Path) -> list[str]:
    return [letter["event"]["event_id"] for letter in letters(state_dir)]


def by_hand(state_dir: Path, sink: Any, resolve_: Any = resolve) -> tuple[Journal, Shipper]:
    """A shipper whose thread does not run: the test takes the steps."""
    journal = Journal(state_dir, ["sink"])
    wiring = Wiring(journal, DeadLetters(state_dir), resolve_, lambda: None)
    return journal, Shipper(sink, "sink", wiring)
