"""What is read and not settled yet: settled from the front, each log up to where it is done."""

from __future__ import annotations

import gc
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tests.delivery.records import event
from tokenmeter.delivery.inflight import InFlight
from tokenmeter.delivery.writerlog import WriterLog
from tokenmeter.event import Event

A, B = (WriterLog(Path(name), -1, {}) for name in "ab")
# For each record: its log, how many events it became, and whether they are settled.
RECORDS = st.lists(st.tuples(st.booleans(), st.integers(0, 3), st.booleans()), max_size=12)


@given(RECORDS)
def test_records_leave_from_the_front_once_all_their_events_are_settled(
    records: list[tuple[bool, int, bool]],
) -> None:
    flight, settled = InFlight(), set[int]()
    expected: dict[WriterLog, int] = {}
    gone, open_before = 0, False
    kept: list[Event] = []
    for end, (first, count, done) in enumerate(records, start=1):
        log = A if first else B
        events = [event(f"evt_{end}_{n}") for n in range(count)]
        kept += events
        flight.begin(log)
        if count == 1:
            flight.add_each([end], events)
        else:
            flight.add(end, events)
        if done:
            settled.update(map(id, events))
        open_before = open_before or not (done or not count)
        if not open_before:
            expected[log] = end
            gone += count
    saw: list[Event] = []
    assert flight.settle(settled, saw.append) == expected
    assert saw == kept[:gone]
    assert list(flight.events) == kept[gone:]
    assert flight.records == len(records) - sum(
        end <= max(expected.values(), default=0) for end in range(1, len(records) + 1)
    )
    assert settled.isdisjoint(map(id, saw))
    assert (flight.oldest_at is None) == (not flight.records)


def test_an_event_that_stands_twice_is_settled_with_its_record() -> None:
    flight, one = InFlight(), event("evt_1")
    flight.begin(A)
    flight.add(5, [one, one])
    flight.add(9, event("evt_2"))
    assert flight.settle({id(one)}, lambda _: None) == {A: 5}
    assert flight.records == 1


def test_a_record_in_flight_is_one_object_for_the_collector() -> None:
    flight, events = InFlight(), [event(f"evt_{n}") for n in range(1_000)]
    flight.begin(A)
    gc.collect()
    before = len(gc.get_objects())
    for end, each in enumerate(events):
        flight.add(end, each)
    assert len(gc.get_objects()) - before < 100
