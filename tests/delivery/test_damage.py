"""Damage on the disk costs the record that it hit, and no other."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.delivery.journals import die, opened, segments
from tests.delivery.records import PATIENCE_S, Sink, delivering, event, leftovers, line
from tokenmeter.delivery.deadletters import DeadLetters, count
from tokenmeter.delivery.replay import replay_dead
from tokenmeter.delivery.survey import survey
from tokenmeter.delivery.writerlog import ABANDONED_S
from tokenmeter.event import Event
from tokenmeter.lines import to_line, whole_records

A, B, C = (line(f"evt_{n}") for n in "abc")
CUT = A[: len(A) // 2]
HALF = A.replace(b"cust_001", b"cust_\xc3")  # the first byte of a character of two

DAMAGES: dict[str, tuple[bytes, list[str]]] = {
    "two records glued": (A[:-1] + B + C, ["evt_a", "evt_b", "evt_c"]),
    "three records glued": (A[:-1] + B[:-1] + C, ["evt_a", "evt_b", "evt_c"]),
    "one cut short, others behind it": (CUT + B + C, ["evt_b", "evt_c"]),
    "one cut short at the end": (A + B + C[:-9], ["evt_a", "evt_b"]),
    "one whole but for its newline": (A + B[:-1], ["evt_a"]),
    "half a character": (HALF + B, ["evt_b"]),
    "half a character at the end": (A + HALF[: HALF.index(b"\xc3") + 1], ["evt_a"]),
    "zeros at the end": (A + B + bytes(4096), ["evt_a", "evt_b"]),
    "zeros, then records": (bytes(4096) + A + B, ["evt_a", "evt_b"]),
    "zeros in between": (A + bytes(100) + B + C, ["evt_a", "evt_b", "evt_c"]),
    "zeros within": (A[:20] + bytes(40) + A[60:] + B, ["evt_b"]),
    "empty lines": (b"\n\n" + A + b"\n" + B, ["evt_a", "evt_b"]),
    "other line ends": (A[:-1] + b"\r\n" + B, ["evt_a", "evt_b"]),
    "other JSON": (b'[]\n"x"\n7\nnull\n' + A, ["evt_a"]),
    "deep nesting": (b"[" * 100_000 + b"\n" + A, ["evt_a"]),
    "nothing": (b"", []),
}


def as_it_is(given: Event) -> Event:
    return given


@pytest.mark.parametrize("priced", [True, False], ids=["read fast", "read as records"])
@pytest.mark.parametrize(("content", "whole"), DAMAGES.values(), ids=DAMAGES.keys())
def test_every_whole_record_of_a_damaged_segment_is_delivered_once(
    tmp_path: Path, content: bytes, whole: list[str], priced: bool
) -> None:
    journal = opened(tmp_path)
    journal.append(A)
    die(journal)
    segments(tmp_path)[0].write_bytes(content)
    sink = Sink()
    more = {"price": as_it_is} if priced else {}
    with delivering(sink, tmp_path, **more) as delivery:
        delivery.append_line(line("evt_own"))
        assert delivery.flush(PATIENCE_S)
        assert delivery.health()["dropped"] == 0
        assert delivery.health()["dead_letters"] == 0
    assert sorted(sink.ids) == sorted([*whole, "evt_own"])
    assert leftovers(tmp_path) == []


def test_a_text_that_looks_like_a_record_is_not_taken_for_one() -> None:
    text = A.decode().rstrip()
    sly = Event("a", "evt_1", "c", event("x").timestamp, {"model": text})
    cut = to_line(sly.to_record())[:-1]
    assert [each["event_id"] for each in whole_records(cut + cut)] == ["evt_1", "evt_1"]
    assert whole_records(cut[:-1]) == []


def test_a_letter_behind_one_that_was_cut_short_can_be_read_and_replayed(tmp_path: Path) -> None:
    dead = DeadLetters(tmp_path)
    dead.bury("sink", "bad", event("evt_1"))
    path = tmp_path / "dead" / "sink.jsonl"
    path.write_bytes(path.read_bytes()[:-20])  # its writer died
    dead.bury("sink", "bad", event("evt_2"))
    dead.bury("sink", "bad", event("evt_3"))
    assert count(tmp_path, "dead") == 3
    assert replay_dead(tmp_path).again == 2
    sink = Sink()
    with delivering(sink, tmp_path) as delivery:
        assert delivery.flush(PATIENCE_S)
    assert sorted(sink.ids) == ["evt_2", "evt_3"]
    assert count(tmp_path, "dead") == 1  # the damaged one stays for a person


def test_a_state_directory_that_is_removed_while_the_backend_is_down_costs_no_record(
    tmp_path: Path,
) -> None:
    down = True

    def refuse(_events: Sequence[Event]) -> None:
        if down:
            raise ConnectionRefusedError

    sink = Sink(before=refuse)
    home = tmp_path / "state"
    with delivering(sink, home) as delivery:
        for n in range(50):
            delivery.append_line(line(f"evt_{n}"))
        assert not delivery.flush(0.3)
        shutil.rmtree(home)
        for n in range(50, 100):
            delivery.append_line(line(f"evt_{n}"))
        down = False
        assert delivery.flush(PATIENCE_S)
        assert delivery.health()["torn"] == 0
    assert [each.event_id for each in sink.events] == [f"evt_{n}" for n in range(100)]


def aged(directory: Path, by_s: float) -> None:
    moment = time.time() - by_s
    for path in segments(directory):
        os.utime(path, (moment, moment))


def test_a_log_that_lost_its_lock_file_is_delivered_once_that_nobody_writes_it(
    tmp_path: Path,
) -> None:
    journal = opened(tmp_path)
    journal.append(A)
    die(journal)
    (lock,) = tmp_path.glob("journal/*/lock")
    lock.unlink()
    (waiting,) = survey(tmp_path)
    assert (waiting.records, waiting.ended) == (1, 1)
    sink = Sink()
    with delivering(sink, tmp_path) as delivery:
        assert delivery.flush(PATIENCE_S)
        assert [
            each.event_id for each in sink.events
        ] == []  # who knows whether its process is alive
        aged(tmp_path, ABANDONED_S)
        assert delivery.flush(PATIENCE_S)
    assert [each.event_id for each in sink.events] == ["evt_a"]
    assert leftovers(tmp_path) == []


def test_a_log_that_lost_its_cursors_is_delivered_from_its_beginning(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    journal.append(A + B)
    die(journal)
    for cursor in tmp_path.glob("journal/*/*.cursor"):
        cursor.unlink()
    sink = Sink()
    with delivering(sink, tmp_path) as delivery:
        assert delivery.flush(PATIENCE_S)
    assert [each.event_id for each in sink.events] == ["evt_a", "evt_b"]
    assert leftovers(tmp_path) == []


WRONG_CURSORS = {
    "beyond the end": b"999999",
    "just beyond the end": b"%d" % (len(A + B + C) + 1),
    "within a record": b"%d" % (len(A) + 5),
    "negative": b"-5",
    "nothing": b"",
    "zeros": bytes(8),
    "no number": b"\xff\xfe12",
    "too long to be one": b"9" * 5_000,
    "with a line end": b"%d\n" % len(A),
}


@pytest.mark.parametrize("content", WRONG_CURSORS.values(), ids=WRONG_CURSORS.keys())
def test_a_cursor_that_cannot_be_true_costs_no_record(tmp_path: Path, content: bytes) -> None:
    journal = opened(tmp_path)
    for each in (A, B, C):
        journal.append(each)
    die(journal)
    (cursor,) = tmp_path.glob("journal/*/*.cursor")
    cursor.write_bytes(content)
    assert [seen.records for seen in survey(tmp_path)] == [3]
    sink = Sink()
    with delivering(sink, tmp_path) as delivery:
        assert delivery.flush(PATIENCE_S)
        assert delivery.health()["torn"] == 0
    assert sink.ids == ["evt_a", "evt_b", "evt_c"]
    assert leftovers(tmp_path) == []


def test_a_cursor_that_is_no_file_costs_no_record(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    journal.append(A)
    die(journal)
    (cursor,) = tmp_path.glob("journal/*/*.cursor")
    cursor.unlink()
    cursor.mkdir()
    sink = Sink()
    with delivering(sink, tmp_path) as delivery:
        assert delivery.flush(PATIENCE_S)
    assert sink.ids == ["evt_a"]


@pytest.mark.parametrize("taken", [len(A), len(A + B), len(A + B + C)])
def test_a_cursor_at_the_end_of_a_record_is_believed(tmp_path: Path, taken: int) -> None:
    journal = opened(tmp_path)
    for each in (A, B, C):
        journal.append(each)
    die(journal)
    (cursor,) = tmp_path.glob("journal/*/*.cursor")
    cursor.write_bytes(b"%d" % taken)
    sink = Sink()
    with delivering(sink, tmp_path) as delivery:
        assert delivery.flush(PATIENCE_S)
    assert b"".join(map(line, sink.ids)) == (A + B + C)[taken:]
