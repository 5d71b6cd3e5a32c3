"""What a killed process had under way is reported once, whatever happens to who reports it."""

from __future__ import annotations

import json
import resource
from pathlib import Path

import pytest

from tests.delivery.journals import NAME, deliver, die, opened, segments, written
from tests.delivery.records import PATIENCE_S, Sink, delivering, leftovers, line, record
from tokenmeter.delivery.journal import Journal
from tokenmeter.delivery.opencalls import OPEN
from tokenmeter.event import attempt_id
from tokenmeter.lines import to_line


def call(call_id: str, attempt: int = 1) -> bytes:
    return json.dumps(
        {
            "event_name": "text_generated",
            "customer": "cust_1",
            "opened_at": 1795255200.123,
            "properties": {"provider": "openai", "call_id": call_id, "attempt": attempt},
        }
    ).encode()


def finished(call_id: str, attempt: int = 1) -> bytes:
    known = {"call_id": call_id, "attempt": attempt, "outcome": "success"}
    return to_line({**record(f"evt_{call_id}"), "properties": known})


def killed(state_dir: Path, *under_way: str, done: tuple[str, ...] = ()) -> None:
    journal = opened(state_dir)
    for call_id in under_way:
        journal.enter(call(call_id))
    for call_id in done:
        journal.append(finished(call_id))
    die(journal)


def delivered(state_dir: Path) -> list[tuple[str, str]]:
    sink = Sink()
    with delivering(sink, state_dir) as delivery:
        assert delivery.flush(PATIENCE_S)
    assert leftovers(state_dir) == []
    return [(event.event_id, str(event.properties["outcome"])) for event in sink.events]


def test_a_call_under_way_is_an_unknown_event_and_a_finished_one_is_not(tmp_path: Path) -> None:
    killed(tmp_path, "call_1", "call_2", "call_3", done=("call_2",))
    expected = [(attempt_id(each, 1), "unknown") for each in ("call_1", "call_3")]
    assert sorted(delivered(tmp_path)) == sorted([("evt_call_2", "success"), *expected])


def test_a_second_attempt_under_way_is_not_taken_for_the_first(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    journal.append(finished("call_1", 1))
    journal.enter(call("call_1", 2))
    die(journal)
    assert (attempt_id("call_1", 2), "unknown") in delivered(tmp_path)


def test_it_is_reported_once_though_whoever_reports_is_killed_too(tmp_path: Path) -> None:
    killed(tmp_path, "call_1")
    for _ in range(3):
        heir = opened(tmp_path)
        heir.adopt(now=True)
        die(heir)
    assert delivered(tmp_path) == [(attempt_id("call_1", 1), "unknown")]
    assert delivered(tmp_path) == []


def test_it_is_not_written_twice_when_its_report_was_cut_short(tmp_path: Path) -> None:
    killed(tmp_path, "call_1", "call_2")
    (log,) = (tmp_path / "journal").iterdir()
    slots = (log / OPEN).read_bytes()
    heir = opened(tmp_path)
    heir.adopt(now=True)
    die(heir)
    reported = max(log.glob("*.jsonl"))
    reported.write_bytes(reported.read_bytes()[:-20])  # killed in the midst of the second record
    (log / OPEN).write_bytes(slots)
    assert sorted(delivered(tmp_path)) == sorted(
        (attempt_id(each, 1), "unknown") for each in ("call_1", "call_2")
    )


def test_a_call_whose_record_is_delivered_already_is_not_reported(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    journal.enter(call("call_1"))
    journal.append(finished("call_1"))
    deliver(journal)
    die(journal)
    assert delivered(tmp_path) == []


def test_a_report_is_found_though_a_power_cut_took_what_was_delivered(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    journal.enter(call("call_1"))
    for n in range(5):
        journal.append(line(f"evt_{n}"))
    deliver(journal)
    (segment,) = segments(tmp_path)
    die(journal)
    segment.write_bytes(segment.read_bytes()[:100])
    assert delivered(tmp_path) == [(attempt_id("call_1", 1), "unknown")]


@pytest.mark.parametrize("junk", [b"", b"{", b"{}\n", b'{"properties":7}\n', b"\xff" * 2_000])
def test_a_damaged_file_of_calls_reports_none_and_holds_nothing_up(
    tmp_path: Path, junk: bytes
) -> None:
    killed(tmp_path, done=("call_1",))
    (log,) = (tmp_path / "journal").iterdir()
    (log / OPEN).write_bytes(junk.ljust(1_024, b"\0"))
    assert delivered(tmp_path) == [("evt_call_1", "success")]


def test_a_full_disk_keeps_the_report_for_later(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    killed(tmp_path, "call_1")
    heir = Journal(tmp_path, [NAME])
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        heir.adopt(now=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert written(heir) == []
    assert "calls under way wait" in caplog.text
    heir.adopt(now=True)
    assert len(written(heir)) == 1
    heir.close()


def test_health_counts_them(tmp_path: Path) -> None:
    killed(tmp_path, "call_1", "call_2")
    with delivering(Sink(), tmp_path) as delivery:
        assert delivery.flush(PATIENCE_S)
        assert delivery.health()["unfinished"] == 2
