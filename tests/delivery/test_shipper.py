"""The shipper: through failures, around bad events, never faster than it is told."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.delivery.records import (
    PATIENCE_S,
    Sink,
    delivering,
    event,
    line,
    record,
    resolve,
    wait_until,
)
from tokenmeter.delivery.deadletters import DeadLetters
from tokenmeter.delivery.journal import Journal
from tokenmeter.delivery.protocol import Receipt, Rejection, TransientError
from tokenmeter.delivery.sender import BATCH_EVENTS_MAX
from tokenmeter.delivery.shipper import BACKOFF_BASE_S, BACKOFF_CAP_S, Shipper, Wiring
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


def test_flush_returns_when_the_backend_has_everything_in_order(tmp_path: Path) -> None:
    sink = Sink()
    ids = [f"evt_{n}" for n in range(BATCH_EVENTS_MAX * 2 + 1)]
    with delivering(sink, tmp_path) as delivery:
        for each in ids:
            delivery.append(record(each))
        assert delivery.flush(PATIENCE_S)
        assert sink.ids == ids
    assert max(map(len, sink.sent)) <= BATCH_EVENTS_MAX


def test_events_arrive_without_a_flush(tmp_path: Path) -> None:
    sink = Sink()
    with delivering(sink, tmp_path) as delivery:
        delivery.append(record("evt_1"))
        wait_until(lambda: bool(sink.ids))
    assert sink.ids == ["evt_1"]


@pytest.mark.parametrize(
    "error",
    [TransientError("busy"), ConnectionError("gone"), TimeoutError(), RuntimeError("a bug")],
    ids=repr,
)
def test_a_backend_that_fails_for_a_while_gets_everything_in_the_end(
    tmp_path: Path, error: Exception
) -> None:
    sink = Sink(raising(4, error))
    with delivering(sink, tmp_path) as delivery:
        for n in range(3):
            delivery.append(record(f"evt_{n}"))
        assert delivery.flush(PATIENCE_S)
        assert sorted(sink.ids) == ["evt_0", "evt_1", "evt_2"]
    assert letters(tmp_path) == []


@pytest.mark.parametrize("bad", [[0], [999], [0, 1, 2], [10, 11, 500, 998], list(range(0, 40, 2))])
def test_bad_events_are_set_apart_and_the_rest_goes_through(
    tmp_path: Path, bad: list[int]
) -> None:
    ids = [f"evt_{n}" for n in range(1_000)]
    wrong = [ids[n] for n in bad]
    sink = Sink(refusing(*wrong))
    with delivering(sink, tmp_path) as delivery:
        for each in ids:
            delivery.append(record(each))
        assert delivery.flush(PATIENCE_S)
        assert delivery.health()["dead_letters"] == len(wrong)
    assert sorted(sink.ids) == sorted(set(ids) - set(wrong))
    assert sorted(buried(tmp_path)) == sorted(wrong)
    assert {letter["reason"] for letter in letters(tmp_path)} == {
        "ValueError: one of these is bad"
    }


def test_an_outage_that_looks_like_bad_events_buries_nothing(tmp_path: Path) -> None:
    sink = Sink(raising(10_000, RuntimeError("the backend has a bug")))
    journal, shipper = by_hand(tmp_path, sink)
    for n in range(300):
        journal.append(line(f"evt_{n}"))
    shipper.step()
    assert len(sink.sent) < 100
    assert letters(tmp_path) == []
    assert journal.depth("sink")[0] == 300
    sink._before = None
    shipper.hurry()
    assert shipper.step()
    assert sorted(sink.ids) == sorted(f"evt_{n}" for n in range(300))


def test_a_single_bad_event_is_found_out_when_another_one_comes(tmp_path: Path) -> None:
    sink = Sink(refusing("evt_bad"))
    with delivering(sink, tmp_path) as delivery:
        delivery.append(record("evt_bad"))
        assert not delivery.flush(0.3)
        assert letters(tmp_path) == []
        delivery.append(record("evt_good"))
        assert delivery.flush(PATIENCE_S)
    assert sink.ids == ["evt_good"]
    assert buried(tmp_path) == ["evt_bad"]


def test_a_rejected_event_is_a_dead_letter_with_its_reason_and_sent_once(tmp_path: Path) -> None:
    sink = Answering(Receipt(1, (Rejection("evt_0", "unknown meter at https://u:pw@host"),)))
    with delivering(sink, tmp_path) as delivery:
        delivery.append(record("evt_0"))
        delivery.append(record("evt_1"))
        assert delivery.flush(PATIENCE_S)
    assert [each for batch in sink.sent for each in batch] == ["evt_0", "evt_1"]
    (letter,) = letters(tmp_path)
    assert letter["event"] == event("evt_0").to_dict()
    assert letter["backend"] == "sink"
    assert letter["reason"] == "unknown meter at https://***@host"


def test_a_receipt_that_names_unknown_events_is_ignored_with_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    unknown = Receipt(1, (Rejection("evt_other", "?"),))
    sink = Answering(unknown, unknown)
    with delivering(sink, tmp_path) as delivery:
        for n in range(2):
            delivery.append(record(f"evt_{n}"))
            assert delivery.flush(PATIENCE_S)
    assert letters(tmp_path) == []
    assert len([each for each in caplog.messages if "was not sent" in each]) == 1


@pytest.mark.parametrize("nonsense", [None, 7, "ok", Receipt(1, 5), Receipt(1, ("x",))], ids=repr)  # type: ignore[arg-type]
def test_a_receipt_that_makes_no_sense_loses_nothing(tmp_path: Path, nonsense: object) -> None:
    sink = Answering(nonsense)
    with delivering(sink, tmp_path) as delivery:
        delivery.append(record("evt_1"))
        assert delivery.flush(PATIENCE_S)
        assert "eceipt" in delivery.health()["last_error"]
    assert sink.sent == [["evt_1"], ["evt_1"]]
    assert sink.ids == ["evt_1"]
    assert letters(tmp_path) == []


def test_a_backend_that_raises_systemexit_does_not_end_delivery(tmp_path: Path) -> None:
    sink = Sink(raising(1, SystemExit()))  # type: ignore[arg-type]
    with delivering(sink, tmp_path) as delivery:
        delivery.append(record("evt_1"))
        assert delivery.flush(PATIENCE_S)
    assert sink.ids == ["evt_1"]


def test_waiting_grows_up_to_its_cap_and_starts_small_again(tmp_path: Path) -> None:
    sink = Sink(raising(30, TransientError()))
    journal, shipper = by_hand(tmp_path, sink)
    journal.append(line("evt_1"))
    delays: list[float] = []
    for _ in range(30):
        shipper._retry_at = 0.0
        assert not shipper.step()
        delays.append(shipper._retry_at - time.monotonic())
        assert not shipper.step()
    assert BACKOFF_BASE_S * 0.4 < delays[0] <= BACKOFF_BASE_S
    assert BACKOFF_CAP_S * 0.4 < delays[-1] <= BACKOFF_CAP_S
    assert delays[5] > delays[0] * 8
    assert len(set(delays[15:])) > 1
    shipper.hurry()
    assert shipper.step()
    assert shipper.health()["failures"] == 0


def test_a_backend_that_names_a_time_is_left_alone_until_then(tmp_path: Path) -> None:
    sink = Sink(raising(1, TransientError("slow down", retry_after_s=0.4)))
    with delivering(sink, tmp_path) as delivery:
        delivery.append(record("evt_1"))
        assert not delivery.flush(0.2)
        assert len(sink.sent) == 1
        assert delivery.flush(PATIENCE_S)
    assert len(sink.sent) == 2


def test_newer_events_join_a_batch_that_waits(tmp_path: Path) -> None:
    sink = Sink(raising(1, TransientError()))
    journal, shipper = by_hand(tmp_path, sink)
    journal.append(line("evt_1"))
    shipper.step()
    journal.append(line("evt_2"))
    shipper.hurry()
    shipper.step()
    assert sink.sent == [["evt_1"], ["evt_1", "evt_2"]]


def test_a_record_that_cannot_be_resolved_is_a_dead_letter(tmp_path: Path) -> None:
    def picky(record: dict[str, Any]) -> Sequence[Event]:
        if record.get("event_id") == "evt_1":
            raise KeyError("model")
        return resolve(record)

    sink = Sink()
    with delivering(sink, tmp_path, resolve=picky) as delivery:
        for n in range(3):
            delivery.append(record(f"evt_{n}"))
        assert delivery.flush(PATIENCE_S)
    assert sink.ids == ["evt_0", "evt_2"]
    (letter,) = letters(tmp_path)
    assert letter["record"] == record("evt_1")
    assert letter["reason"] == "KeyError: 'model'"


def test_a_record_may_become_no_event_or_several(tmp_path: Path) -> None:
    def shaped(record: dict[str, Any]) -> Sequence[Event]:
        return [event(f"{record['id']}_{n}") for n in range(record["count"])]

    sink = Sink()
    with delivering(sink, tmp_path, resolve=shaped) as delivery:
        for n, count in enumerate([0, 2, 0, BATCH_EVENTS_MAX * 2 + 1, 0]):
            delivery.append({"id": f"evt_{n}", "count": count})
        assert delivery.flush(PATIENCE_S)
        assert delivery.health()["bytes"] == 0
    assert len(sink.ids) == 2 + BATCH_EVENTS_MAX * 2 + 1
    assert max(map(len, sink.sent)) == BATCH_EVENTS_MAX


def test_resolving_may_wait_too(tmp_path: Path) -> None:
    left = [2]

    def busy(record: dict[str, Any]) -> Sequence[Event]:
        if left[0] and record["event_id"] == "evt_1":
            left[0] -= 1
            raise TransientError("the job table is locked")
        return resolve(record)

    sink = Sink()
    with delivering(sink, tmp_path, resolve=busy) as delivery:
        delivery.append(record("evt_0"))
        delivery.append(record("evt_1"))
        delivery.append(record("evt_2"))
        wait_until(lambda: left == [0])
        assert sink.ids[:1] == ["evt_0"]
        assert delivery.flush(PATIENCE_S)
    assert sink.ids == ["evt_0", "evt_1", "evt_2"]
    assert letters(tmp_path) == []


@pytest.mark.parametrize("garbage", [b"{\n", b"\n", b"7\n", b"\xff\xfe\n", b"[" * 100_000 + b"\n"])
def test_a_record_that_is_no_json_object_is_skipped_and_counted(
    tmp_path: Path, garbage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    sink = Sink()
    with delivering(sink, tmp_path) as delivery:
        delivery.append(record("evt_1"))
        delivery.append_line(garbage)
        delivery.append_line(garbage)
        delivery.append(record("evt_2"))
        assert delivery.flush(PATIENCE_S)
        assert delivery.health()["torn"] == 2
    assert sink.ids == ["evt_1", "evt_2"]
    assert len([each for each in caplog.messages if "skipped" in each]) == 1


def test_a_dead_letter_that_cannot_be_written_keeps_its_event(tmp_path: Path) -> None:
    (tmp_path / "dead").touch()
    sink = Sink(refusing("evt_bad"))
    with delivering(sink, tmp_path) as delivery:
        delivery.append(record("evt_bad"))
        delivery.append(record("evt_good"))
        assert not delivery.flush(0.5)
        (tmp_path / "dead").unlink()
        assert delivery.flush(PATIENCE_S)
    assert buried(tmp_path) == ["evt_bad"]


def test_a_backend_that_never_returns_holds_neither_flush_nor_close(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    forever = threading.Event()
    sink = Sink(waiting_for(forever))
    with delivering(sink, tmp_path) as delivery:
        delivery.append(record("evt_1"))
        began = time.monotonic()
        assert not delivery.flush(0.3)
        assert delivery.health()["backends"]["sink"]["sending_s"] > 0
        assert not delivery.close(0.3)
        assert time.monotonic() - began < 2.0
    assert "does not return" in caplog.text
    with delivering(Sink(), tmp_path) as after:
        assert after.flush(PATIENCE_S)
        assert isinstance(after.backend, Sink)
        assert after.backend.ids == ["evt_1"]
    forever.set()


def test_a_slow_backend_does_not_hold_the_others(tmp_path: Path) -> None:
    forever = threading.Event()
    slow, fast = Sink(waiting_for(forever)), Sink()
    with delivering([slow, fast], tmp_path) as delivery:
        for n in range(10):
            delivery.append(record(f"evt_{n}"))
        wait_until(lambda: len(fast.ids) == 10)
        assert not delivery.flush(0.1)
        assert slow.ids == []
        forever.set()
        assert delivery.flush(PATIENCE_S)
    assert slow.ids == fast.ids


def test_each_backend_goes_on_where_it_stopped(tmp_path: Path) -> None:
    failing, good = Sink(raising(10_000, TransientError())), Sink()
    with delivering([failing, good], tmp_path) as delivery:
        delivery.append(record("evt_1"))
        wait_until(lambda: good.ids == ["evt_1"])
        wait_until(lambda: delivery.health()["backends"]["sink~2"]["bytes"] == 0)
    first, second = Sink(), Sink()
    with delivering([first, second], tmp_path) as delivery:
        assert delivery.flush(PATIENCE_S)
    assert (first.ids, second.ids) == (["evt_1"], [])
