"""Delivery as the meter holds it."""

from __future__ import annotations

import gc
import threading
import time
from pathlib import Path

import pytest

from tests.delivery.records import (
    PATIENCE_S,
    Sink,
    delivering,
    line,
    record,
    resolve,
    wait_until,
)
from tokenmeter.delivery.backends.fanout import FanOut
from tokenmeter.delivery.backends.memory import MemoryBackend
from tokenmeter.delivery.facade import Delivery
from tokenmeter.errors import ConfigurationError


def threads() -> list[str]:
    return [each.name for each in threading.enumerate() if each.name.startswith("tokenmeter")]


def test_memory_needs_no_directory_and_leaves_none() -> None:
    delivery = Delivery("memory:", None, resolve=resolve)
    home = delivery._home
    delivery.append(record("evt_1"))
    assert list(home.glob("journal/*/*.jsonl"))
    assert delivery.flush(PATIENCE_S)
    assert delivery.close(PATIENCE_S)
    assert not home.exists()
    assert isinstance(delivery.backend, MemoryBackend)
    assert [event.event_id for event in delivery.backend.events] == ["evt_1"]


def test_an_append_after_the_end_of_a_private_journal_does_no_harm() -> None:
    delivery = Delivery("memory:", None, resolve=resolve)
    home = delivery._home
    delivery.close(PATIENCE_S)
    delivery.append(record("evt_1"))
    assert not home.exists()
    assert delivery.close(PATIENCE_S)


def test_any_other_backend_needs_a_directory() -> None:
    sink = Sink()
    with pytest.raises(ConfigurationError, match="state directory"):
        Delivery(["console:", "memory:"], None, resolve=resolve)
    with pytest.raises(ConfigurationError, match="no backend is known"):
        Delivery(["memory:", sink, "nonsense:"], None, resolve=resolve)
    assert sink.closed == 1


def test_a_directory_that_cannot_be_written_closes_what_was_opened(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    sink = Sink()
    with pytest.raises(ConfigurationError, match="cannot be written"):
        Delivery(sink, tmp_path / "file" / "state", resolve=resolve)
    assert sink.closed == 1


def test_no_thread_starts_before_the_first_use(tmp_path: Path) -> None:
    before = threads()
    with delivering(Sink(), tmp_path) as delivery:
        assert threads() == before
        delivery.append(record("evt_1"))
        assert len(threads()) == len(before) + 1
    assert threads() == before


def test_closing_closes_each_backend_once_even_if_it_was_never_used(tmp_path: Path) -> None:
    sinks = [Sink(), Sink()]
    delivery = Delivery(sinks, tmp_path, resolve=resolve)
    assert delivery.close(PATIENCE_S)
    assert delivery.close(PATIENCE_S)
    assert [sink.closed for sink in sinks] == [1, 1]


def test_a_backend_that_fails_to_close_is_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Stubborn(Sink):
        def close(self) -> None:
            raise RuntimeError("no")

    delivery = Delivery(Stubborn(), tmp_path, resolve=resolve)
    delivery.append(record("evt_1"))
    assert delivery.close(PATIENCE_S)
    assert "close() raised RuntimeError('no')" in caplog.text


def test_the_backend_is_the_object_or_a_fan_out_of_them(tmp_path: Path) -> None:
    first, second = Sink(), Sink()
    with delivering(first, tmp_path) as delivery:
        assert delivery.backend is first
    with delivering([first, second], tmp_path) as delivery:
        assert isinstance(delivery.backend, FanOut)
        assert delivery.backend.backends == (first, second)
    with delivering(FanOut([first, second]), tmp_path) as delivery:
        delivery.append(record("evt_1"))
        assert delivery.flush(PATIENCE_S)
    assert first.ids == second.ids == ["evt_1"]


def test_a_line_is_appended_as_it_is(tmp_path: Path) -> None:
    sink = Sink()
    with delivering(sink, tmp_path) as delivery:
        delivery.append_line(line("evt_1"))
        assert delivery.flush(PATIENCE_S)
    assert sink.ids == ["evt_1"]


def test_what_finalizers_leave_is_run_before_a_flush(tmp_path: Path) -> None:
    sink = Sink()
    with delivering(sink, tmp_path) as delivery:

        class Stream:
            def __del__(self) -> None:
                delivery.defer(lambda: delivery.append(record("evt_1")))

        cycle = [Stream()]
        cycle.append(cycle)  # type: ignore[arg-type]
        del cycle
        gc.collect()
        assert delivery.flush(PATIENCE_S)
        assert sink.ids == ["evt_1"]


def test_what_finalizers_leave_is_run_without_a_flush(tmp_path: Path) -> None:
    sink = Sink()
    with delivering(sink, tmp_path) as delivery:
        delivery.start()
        delivery.defer(lambda: delivery.append(record("evt_1")))
        wait_until(lambda: bool(sink.ids))
    assert sink.ids == ["evt_1"]


def test_a_deferred_call_that_raises_stops_nothing_and_is_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sink = Sink()
    with delivering(sink, tmp_path) as delivery:
        for _ in range(3):
            delivery.defer(lambda: 1 // 0)  # type: ignore[arg-type]
        delivery.defer(lambda: delivery.append(record("evt_1")))
        assert delivery.flush(PATIENCE_S)
    assert sink.ids == ["evt_1"]
    assert len([each for each in caplog.messages if "ZeroDivisionError" in each]) == 1


def test_a_deferred_call_that_hangs_does_not_hold_flush(tmp_path: Path) -> None:
    running, release = threading.Event(), threading.Event()

    def hang() -> None:
        running.set()
        release.wait()

    with delivering(Sink(), tmp_path) as delivery:
        delivery.start()
        delivery.defer(hang)
        assert running.wait(PATIENCE_S)
        began = time.monotonic()
        assert not delivery.flush(0.2)
        assert time.monotonic() - began < PATIENCE_S
        release.set()
        assert delivery.flush(PATIENCE_S)


def test_finalizers_cannot_fill_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tokenmeter.delivery.facade.DEFERRED_MAX", 2)
    with delivering(Sink(), tmp_path) as delivery:
        for _ in range(5):
            delivery.defer(lambda: None)
        assert delivery.health()["dropped"] == 3


def test_health_tells_what_waits_how_long_and_why(tmp_path: Path) -> None:
    def down(_: object) -> None:
        raise ConnectionError("no route to https://user:hunter2@host")

    sink = Sink(down)
    with delivering(sink, tmp_path) as delivery:
        for n in range(3):
            delivery.append(record(f"evt_{n}"))
        wait_until(lambda: len(sink.sent) > 1)
        health = delivery.health()
        assert health["records"] == 3
        assert health["bytes"] == sum(len(line(f"evt_{n}")) for n in range(3))
        assert 0 < health["oldest_age_s"] < PATIENCE_S
        assert health["dead_letters"] == health["dropped"] == health["torn"] == 0
        assert "no route" in health["last_error"]
        assert "hunter2" not in str(health)
        assert health["backends"]["sink"]["failures"] > 0
        sink._before = None
        assert delivery.flush(PATIENCE_S)
        health = delivery.health()
        assert (health["records"], health["bytes"], health["oldest_age_s"]) == (0, 0, 0.0)


def test_what_is_left_at_the_end_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def down(_: object) -> None:
        raise ConnectionError

    delivery = Delivery(Sink(down), tmp_path, resolve=resolve)
    delivery.append(record("evt_1"))
    assert not delivery.close(0.1)
    assert "not everything is delivered" in caplog.text
