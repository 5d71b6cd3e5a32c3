"""What the shippers of one delivery are given by whoever knows what a record means."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tokenmeter.delivery.deadletters import DeadLetters
from tokenmeter.delivery.journal import Journal
from tokenmeter.event import Event
from tokenmeter.lines import record_of

Record = dict[str, Any]
Resolve = Callable[[Record], Sequence[Event]]
Wait = Callable[[Sequence[Event]], None]


@dataclass(frozen=True, slots=True)
class Wiring:
    """
    What the shippers of one delivery share.

    `read` makes of a line the event that it is, or the record that it holds; None if it is
    damaged. `resolve` turns a record into events and `price` an event into what is sent; both may
    be called again for the same line. `chores` runs before each batch is read, and soon if
    `has_chores` says so; each of `waits` runs before a batch is sent, with its events: it may
    wait, and must not raise.
    """

    journal: Journal
    dead: DeadLetters
    resolve: Resolve
    chores: Callable[[], None]
    read: Callable[[bytes], Event | Record | None] = record_of
    price: Callable[[Event], Event] = lambda event: event
    has_chores: Callable[[], bool] = lambda: True
    waits: list[Wait] = field(default_factory=list["Wait"])
