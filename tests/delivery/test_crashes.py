"""Any sequence of appends, deliveries and crashes: nothing lost, nothing doubled, in order."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.delivery.records import Sink, line, resolve
from tokenmeter.delivery.deadletters import DeadLetters
from tokenmeter.delivery.journal import Journal
from tokenmeter.delivery.limits import Limits
from tokenmeter.delivery.protocol import TransientError
from tokenmeter.delivery.shipper import Shipper
from tokenmeter.delivery.wiring import Wiring
from tokenmeter.event import Event

NAME = "sink"


class Life:
    """A succession of processes over one state directory, delivering to one backend."""

    def __init__(self, state_dir: Path, segment_bytes_max: int) -> None:
        self.state_dir = state_dir
        self.limits = Limits(segment_bytes_max=segment_bytes_max)
        self.sink = Sink(self._before)
        self.failing = False
        self.expected: list[list[str]] = []  # per process: the records that are whole on disk
        self.start()

    def _before(self, events: Sequence[Event]) -> None:
        if self.failing:
            raise TransientError

    def _adopt(self) -> None:
        self.journal.adopt()

    def start(self) -> None:
        self.journal = Journal(self.state_dir, [NAME], limits=self.limits)
        wiring = Wiring(self.journal, DeadLetters(self.state_dir), resolve, self._adopt)
        self.shipper = Shipper(self.sink, NAME, wiring)
        self.expected.append([])

    def append(self, count: int) -> None:
        own = self.expected[-1]
        for _ in range(count):
            own.append(f"evt_{len(self.expected)}_{len(own)}")
            self.journal.append(line(own[-1]))

    def ship(self, batches: int, *, failing: bool) -> None:
        self.failing = failing
        for _ in range(batches):
            self.shipper.hurry()
            self.shipper.step()

    def crash(self, cut: int) -> None:
        """End as `kill -9` or a power cut does: the last `cut` bytes never reach the disk."""
        (log,) = [log for log in self.journal.logs(NAME) if log not in self.journal._adopted]
        segment = log.segment_path(log.segments()[-1])
        left = max(0, segment.stat().st_size - cut)
        survivors = segment.read_bytes()[:left].count(b"\n")
        torn = segment.read_bytes().count(b"\n") - survivors
        os.truncate(segment, left)
        if torn:
            gone = set(self.expected[-1][-torn:]) - set(self.sink.ids)
            self.expected[-1] = [each for each in self.expected[-1] if each not in gone]
        self.journal.forked()
        self.start()

    def settle(self) -> None:
        self.failing = False
        self.shipper.hurry()
        self.journal.adopt(now=True)
        while self.shipper.step():
            pass


STEPS = st.one_of(
    st.tuples(st.just("append"), st.integers(1, 30)),
    st.tuples(st.just("ship"), st.integers(1, 2)),
    st.tuples(st.just("fail"), st.integers(1, 2)),
    st.tuples(st.just("crash"), st.integers(0, 600)),
)


@settings(max_examples=150, deadline=None)
@given(
    steps=st.lists(STEPS, max_size=25),
    segment_bytes_max=st.sampled_from([1, 300, 1_000, 100_000]),
)
def test_every_whole_record_is_delivered_once_and_in_order(
    steps: list[tuple[str, int]], segment_bytes_max: int
) -> None:
    state_dir = Path(tempfile.mkdtemp())
    try:
        life = Life(state_dir, segment_bytes_max)
        for action, number in steps:
            if action == "append":
                life.append(number)
            elif action == "crash":
                life.crash(number)
            else:
                life.ship(number, failing=action == "fail")
        life.settle()
        assert sorted(life.sink.ids) == sorted(e for own in life.expected for e in own)
        for own in life.expected:
            assert [each for each in life.sink.ids if each in set(own)] == own
        life.journal.close()
        assert list((state_dir / "journal").iterdir()) == []
    finally:
        shutil.rmtree(state_dir)
