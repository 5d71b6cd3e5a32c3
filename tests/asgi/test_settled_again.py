"""What could not be settled is settled later: all of it, and nothing twice."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from tests.engine.made import made
from tokenmeter.delivery.protocol import TransientError
from tokenmeter.enforcement import Ask, Limit, settling
from tokenmeter.enforcement.counters import MemoryCounters
from tokenmeter.enforcement.gate import Ticket, Together
from tokenmeter.enforcement.limits import LimitGate
from tokenmeter.enforcement.settling import Settler
from tokenmeter.errors import StoreBusyError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tokenmeter.event import Event

WAIT_S = 30.0
AWAY = (TransientError("the server is away"), StoreBusyError("the database is locked"))


@dataclass
class Away:
    """A gate whose ticket cannot be settled at first."""

    errors: list[Exception]
    settled: list[Sequence[Event]] = field(default_factory=list["Sequence[Event]"])
    done: threading.Event = field(default_factory=threading.Event)

    def admit(self, ask: Ask) -> Ticket:
        assert ask.customer
        return self

    def settle(self, events: Sequence[Event]) -> None:
        if self.errors:
            raise self.errors.pop()
        self.settled.append(events)
        self.done.set()


class Locked(MemoryCounters):
    """Counts whose second correction fails once."""

    def __init__(self) -> None:
        super().__init__()
        self.tries = 0
        self.corrected = Decimal(0)

    def correct(self, key: str, window: datetime, by: Decimal) -> None:
        self.tries += 1
        if self.tries == 2:
            raise StoreBusyError("the database is locked")
        super().correct(key, window, by)
        self.corrected += by


@pytest.mark.parametrize("error", AWAY)
def test_what_was_away_is_tried_again_and_the_others_are_settled_once(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(settling, "AGAIN_S", 0.01)
    first, second, third = Away([]), Away([error, error]), Away([])
    ticket = Together((first, second, third)).admit(Ask("acme"))
    events = [made()]
    Settler().add(lambda: ticket.settle(events))
    assert second.done.wait(WAIT_S)
    assert [gate.settled for gate in (first, second, third)] == [[events]] * 3


def test_a_limit_that_was_put_right_is_not_put_right_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(settling, "AGAIN_S", 0.01)
    counters, done = Locked(), threading.Event()
    rules = [Limit(per="month", tokens=99, by=(by,)) for by in ("customer", "model", "feature")]
    gate = LimitGate(rules, counters, lambda _event: Decimal(0))
    ticket = gate.admit(Ask("acme", feature="chat", model="gpt-4o"))

    def settle() -> None:
        ticket.settle([made()])
        done.set()

    Settler().add(settle)
    assert done.wait(WAIT_S)
    assert counters.corrected == 3 * (10 + 5)


class Leaving(MemoryCounters):
    """A database that takes the first count and is away for the second one."""

    def __init__(self) -> None:
        super().__init__()
        self.left: dict[str, Decimal] = {}
        self.back = threading.Event()

    def add(self, key: str, window: datetime, amount: Decimal, most: Decimal) -> bool:
        if self.left:
            raise StoreBusyError("the database is locked")
        self.left[key] = amount
        return super().add(key, window, amount, most)

    def correct(self, key: str, window: datetime, by: Decimal) -> None:
        super().correct(key, window, by)
        self.left[key] += by
        self.back.set()


def test_a_limit_gives_back_what_it_counted_for_a_call_of_which_a_later_one_cannot_be_read() -> (
    None
):
    counters = Leaving()
    rules = [Limit(per="month", requests=9), Limit(per="day", requests=9)]
    gate = LimitGate(rules, counters, lambda _event: Decimal(0))
    with pytest.raises(StoreBusyError):
        gate.admit(Ask("acme"))
    assert counters.back.wait(WAIT_S)
    assert list(counters.left.values()) == [Decimal(0)]
