"""Records are taken in groups, and from memory: what arrives is the same as one by one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest  # noqa: TC002  pytest reads the annotations
from hypothesis import given
from hypothesis import strategies as st

from tests.delivery.failing import letters
from tests.delivery.records import MOMENT, PATIENCE_S, Sink, delivering, event, line, record
from tokenmeter.delivery import shipper
from tokenmeter.delivery.fresh import Fresh
from tokenmeter.delivery.slices import GROUP_BYTES_MAX, GROUP_MAX, let_others_in
from tokenmeter.delivery.writerlog import _split
from tokenmeter.event import Event
from tokenmeter.lines import to_line

# Customers so long that the event's id does not tell one line from another for a glance.
CUSTOMERS = st.sampled_from(["", "c", "cust_001", "c" * 150, "c" * 300])
MADE = st.lists(st.tuples(CUSTOMERS, st.integers(0, 3), st.integers(0, 1)), max_size=8)


def made(customer: str, number: int, tokens: int) -> Event:
    return Event("text_generated", f"evt_{number}", customer, MOMENT, {"input_tokens": tokens})


@given(MADE, st.randoms(use_true_random=False))
def test_an_event_in_memory_is_that_of_its_line(
    chosen: list[tuple[str, int, int]], random: Any
) -> None:
    fresh, events = Fresh(), [made(*each) for each in chosen]
    for each in events:
        fresh.put(to_line(each.to_record()), each)
    random.shuffle(events)
    for each in events:
        assert fresh.read(to_line(each.to_record())[:-1]) == each


def test_an_event_in_memory_is_not_read_again() -> None:
    fresh, events = Fresh(), [event(f"evt_{n}") for n in range(100)]
    for each in events:
        fresh.put(to_line(each.to_record()), each)
    for each in events:
        assert fresh.read(to_line(each.to_record())[:-1]) is each


def test_a_line_that_was_cut_short_is_not_taken_for_the_event_that_it_began() -> None:
    fresh, one = Fresh(), made("c" * 300, 1, 5)
    written = to_line(one.to_record())
    fresh.put(written, one)
    assert fresh.read(written[:-20]) is None


@given(st.lists(st.binary(max_size=5).filter(lambda each: b"\n" not in each)), st.integers(0, 99))
def test_lines_are_split_at_newlines_alone(lines: list[bytes], at: int) -> None:
    found = _split(b"".join(each + b"\n" for each in lines), at)
    assert [each for _, each in found] == lines
    assert [end for end, _ in found] == [
        at + sum(len(each) + 1 for each in lines[: place + 1]) for place in range(len(lines))
    ]


def test_a_group_of_all_kinds_arrives_in_order_and_only_the_bad_one_is_buried(
    tmp_path: Path,
) -> None:
    def resolved(found: dict[str, Any]) -> Sequence[Event]:
        if "event_id" in found:
            return [Event.from_dict(found)]
        return [event(f"{found['id']}_{n}") for n in range(found["count"])]

    def price(found: Event) -> Event:
        if found.event_id == "evt_bad":
            raise KeyError("model")
        return found.with_properties({"cost_usd": "1"}) if found.event_id[:4] == "evt_" else found

    sink = Sink()
    with delivering(sink, tmp_path, resolve=resolved, price=price) as delivery:
        for number in range(3):
            delivery.append(record(f"evt_{number}"))
        delivery.append({"id": "job", "count": 2})
        delivery.append_line(b"{\n")
        delivery.append_line(b"{" + line("evt_whole"))
        delivery.append({"id": "none", "count": 0})
        for name in ("evt_bad", *(f"evt_{n}" for n in range(3, 3 + GROUP_MAX * 3))):
            delivery.append(record(name), event(name))
        assert delivery.flush(PATIENCE_S)
        assert delivery.health()["bytes"] == 0
        assert delivery.health()["torn"] == 2
    some = [f"evt_{n}" for n in range(3)]
    rest = [f"evt_{n}" for n in range(3, 3 + GROUP_MAX * 3)]
    assert sink.ids == [*some, "job_0", "job_1", "evt_whole", *rest]
    assert all(each.properties["cost_usd"] == "1" for each in sink.events if each.event_id in rest)
    (letter,) = letters(tmp_path)
    assert letter["reason"] == "KeyError: 'model'"


def test_large_records_let_others_in_after_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[None] = []

    def as_it_is(each: Event) -> Event:
        return each

    def counted() -> None:
        looked.append(None)
        let_others_in()

    sink = Sink()
    monkeypatch.setattr(shipper, "let_others_in", counted)
    with delivering(sink, tmp_path, price=as_it_is) as delivery:
        delivery.start()
        with delivery._shippers[0].sender.resolving:  # it waits at the first, till all are there
            for number in range(GROUP_MAX):
                delivery.append({**record(f"evt_{number}"), "source": "x" * GROUP_BYTES_MAX})
        assert delivery.flush(PATIENCE_S)
    assert len(looked) >= GROUP_MAX
    assert sink.ids == [f"evt_{n}" for n in range(GROUP_MAX)]
