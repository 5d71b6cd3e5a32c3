"""Records between the journal and the backend, in the order in which they were read."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import repeat

from tokenmeter.delivery.slices import GROUP_MAX, let_others_in
from tokenmeter.delivery.writerlog import WriterLog
from tokenmeter.event import Event


@dataclass(slots=True, eq=False)
class _Run:
    """
    Records that stand one after another in a log: the offset after each, and its events' number.

    Numbers, not an object a record: Python's collector, which halts the user's threads too, has
    a third of the objects to look at.
    """

    log: WriterLog
    read_at: float
    ends: deque[int] = field(default_factory=deque[int])
    counts: deque[int] = field(default_factory=deque[int])


class InFlight:
    """What one shipper has read and its backend has not settled yet."""

    def __init__(self) -> None:
        self.events: deque[Event] = deque()
        self.records = 0  # those that became no event included
        self._runs: deque[_Run] = deque()

    @property
    def oldest_at(self) -> float | None:
        """When the first record was read; None if there is none."""
        first = next(iter(self._runs.copy()), None)
        return first.read_at if first is not None and self.records else None

    def begin(self, log: WriterLog) -> None:
        """The records that are added from now on are of this log, and have just been read."""
        if self._runs and not self._runs[-1].ends:
            self._runs.pop()  # nothing was added
        self._runs.append(_Run(log, time.monotonic()))

    def add(self, end: int, events: Event | Sequence[Event]) -> None:
        """Add a record: what it became, and the offset after it."""
        run = self._runs[-1]
        if isinstance(events, Event):
            self.events.append(events)
            run.counts.append(1)
        else:
            self.events.extend(events)
            run.counts.append(len(events))
        run.ends.append(end)
        self.records += 1

    def add_each(self, ends: Sequence[int], events: Sequence[Event]) -> None:
        """Add records that became one event each."""
        run = self._runs[-1]
        run.ends.extend(ends)
        run.counts.extend(repeat(1, len(ends)))
        self.events.extend(events)
        self.records += len(ends)

    def settle(self, settled: set[int], saw: Callable[[Event], None]) -> dict[WriterLog, int]:
        """
        Take from the front the records all of whose events are `settled`, which forgets them.

        Returns up to where each log is done. Most often that is everything, and quick then.
        """
        if len(settled) == len(self.events):
            return self._settle_all(settled, saw)
        done: dict[WriterLog, int] = {}
        while self._runs:
            run = self._runs[0]
            while run.ends:
                if not self._first_are_in(settled, run.counts[0]):
                    return done
                done[run.log] = run.ends.popleft()
                self.records -= 1
                for _ in range(run.counts.popleft()):
                    event = self.events.popleft()
                    settled.discard(id(event))
                    saw(event)
                let_others_in()
            self._runs.popleft()
        return done

    def _settle_all(self, settled: set[int], saw: Callable[[Event], None]) -> dict[WriterLog, int]:
        settled.clear()
        done = {run.log: run.ends[-1] for run in self._runs if run.ends}
        self._runs.clear()
        self.records = 0
        while self.events:
            for _ in range(min(GROUP_MAX, len(self.events))):
                saw(self.events.popleft())
            let_others_in()
        return done

    def _first_are_in(self, settled: set[int], count: int) -> bool:
        return all(id(self.events[place]) in settled for place in range(count))
