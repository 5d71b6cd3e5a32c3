"""One bad event never holds the others, and is never lost from sight."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.delivery.failing import (
    Answering,
    buried,
    by_hand,
    letters,
    raising,
    refusing,
)
from tests.delivery.records import (
    PATIENCE_S,
    Sink,
    delivering,
    event,
    line,
    record,
    resolve,
)
from tokenmeter.delivery.protocol import Receipt, Rejection
from tokenmeter.event import Event


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


@pytest.mark.parametrize("error", [KeyError("x"), RuntimeError("no"), TypeError()], ids=repr)
def test_a_backend_that_raises_when_it_is_asked_what_it_can_harms_no_call(
    tmp_path: Path, error: Exception
) -> None:
    class Grumpy(Sink):
        def __getattribute__(self, name: str) -> object:
            if name in {"batch_events_max", "before_fork", "health", "check"}:
                raise error
            return super().__getattribute__(name)

    sink = Grumpy()
    with delivering(sink, tmp_path) as delivery:
        delivery.append(record("evt_1"))
        assert delivery.flush(PATIENCE_S)
        assert delivery.health()["backends"]["sink"]["failures"] == 0
        delivery.before_fork()
        delivery.after_fork()
    assert sink.ids == ["evt_1"]


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


class Touchy:
    """Raises whatever it is asked."""

    def __getattr__(self, name: str) -> object:
        raise RuntimeError(name)

    def __repr__(self) -> str:
        return "Touchy()"


NONSENSE: list[Any] = [None, 7, "ok", (1, ()), {"accepted": 1}, Touchy()]
REJECTED: list[Any] = [5, ("x",), (None,), (Touchy(),), 7.5, None]


@pytest.mark.parametrize(
    "nonsense", [*NONSENSE, *(Receipt(1, rejected) for rejected in REJECTED)], ids=repr
)
def test_a_receipt_that_makes_no_sense_loses_nothing(tmp_path: Path, nonsense: object) -> None:
    sink = Answering(nonsense)
    with delivering(sink, tmp_path) as delivery:
        delivery.append(record("evt_1"))
        assert delivery.flush(PATIENCE_S)
        assert "eceipt" in delivery.health()["last_error"]
    assert sink.sent == [["evt_1"], ["evt_1"]]
    assert sink.ids == ["evt_1"]
    assert letters(tmp_path) == []


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
