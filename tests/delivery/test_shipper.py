"""The shipper: through failures, around bad events, never faster than it is told."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.delivery.failing import (
    by_hand,
    letters,
    raising,
    waiting_for,
)
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
from tokenmeter.delivery.protocol import TransientError
from tokenmeter.delivery.sender import BATCH_EVENTS_MAX
from tokenmeter.delivery.shipper import BACKOFF_BASE_S, BACKOFF_CAP_S
from tokenmeter.event import Event


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
    for number in range(1, 31):
        shipper._retry_at = 0.0
        assert not shipper.step()
        delays.append(shipper._retry_at - time.monotonic())
        shipper._retry_at += PATIENCE_S  # the machine may be slower than the first pauses
        assert not shipper.step()
        assert len(sink.sent) == number
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
        assert time.monotonic() - began < PATIENCE_S
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
