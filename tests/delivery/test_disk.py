"""A disk that is full, gone, or slow: bounded, said once, made good."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import pytest

from tests.delivery.journals import NAME, opened, segments, written
from tests.delivery.records import finish, line, run_python
from tokenmeter.delivery.journal import Journal
from tokenmeter.delivery.limits import Limits
from tokenmeter.errors import ConfigurationError


def test_a_full_journal_keeps_a_bounded_rest_in_memory_and_says_so_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    size = len(line("evt_00"))
    journal = opened(
        tmp_path,
        Limits(segment_bytes_max=size, journal_bytes_max=size * 3, waiting_bytes_max=size * 4),
    )
    lines = [line(f"evt_{n:02}") for n in range(10)]
    for each in lines:
        journal.append(each)
    assert sum(path.stat().st_size for path in segments(tmp_path)) == size * 3
    assert journal.waiting_bytes == size * 4
    assert journal.dropped == 3
    assert written(journal) == lines[:7]
    assert len(caplog.records) == 2
    assert {each.levelno for each in caplog.records} == {logging.ERROR}
    assert "maximum" in caplog.messages[0]
    assert "lost" in caplog.messages[1]


def test_what_waits_goes_to_disk_when_there_is_room_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    size = len(line("evt_0"))
    journal = opened(tmp_path, Limits(segment_bytes_max=size, journal_bytes_max=size * 2))
    lines = [line(f"evt_{n}") for n in range(5)]
    for each in lines:
        journal.append(each)
    (log,) = journal.logs(NAME)
    journal.recover()
    assert journal.waiting_bytes == size * 3
    journal.advance(log, NAME, size * 2)
    journal.recover()
    assert journal.waiting_bytes == 0
    assert written(journal) == lines[2:]
    assert "can be written again" in caplog.messages[-1]
    journal.append(line("evt_5"))
    assert written(journal) == [*lines[2:], line("evt_5")]


def test_what_waits_can_be_delivered_without_the_disk(tmp_path: Path) -> None:
    size = len(line("evt_0"))
    journal = Journal(
        tmp_path, ["a", NAME], limits=Limits(segment_bytes_max=size, journal_bytes_max=size)
    )
    lines = [line(f"evt_{n}") for n in range(6)]
    for each in lines[:4]:
        journal.append(each)
    (log,) = journal.logs(NAME)
    journal.advance(log, NAME, size * 3)
    assert journal.waiting_bytes == size * 3
    journal.advance(log, "a", size * 2)
    assert journal.waiting_bytes == size * 2
    journal.advance(log, "a", size * 4)
    assert journal.waiting_bytes == size
    for each in lines[4:]:
        journal.append(each)
    journal.recover()
    assert journal.waiting_bytes == 0
    assert written(journal) == lines[3:]


def test_a_disk_that_fails_later_is_borne_in_silence_and_made_good(tmp_path: Path) -> None:
    out = finish(
        run_python(
            """
            import resource
            from tokenmeter.delivery.journal import Journal

            def limit(bytes_max):
                resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_max, resource.RLIM_INFINITY))

            journal = Journal(Path(sys.argv[1]), ["sink"])
            journal.append(line("evt_0"))
            limit(len(line("evt_0")) + 10)
            for n in range(1, 4):
                journal.append(line(f"evt_{n}"))
            in_new_segments = journal.waiting_bytes
            limit(50)
            for n in range(4, 6):
                journal.append(line(f"evt_{n}"))
            limit(0)
            for n in range(6, 7):
                journal.append(line(f"evt_{n}"))
            journal.recover()
            waiting = journal.waiting_bytes
            limit(resource.RLIM_INFINITY)
            journal.recover()
            print(in_new_segments, waiting // len(line("evt_0")), journal.waiting_bytes)
            """,
            tmp_path,
        )
    )
    assert out.split() == ["0", "3", "0"]
    journal = opened(tmp_path)
    journal.adopt(now=True)
    assert written(journal) == [line(f"evt_{n}") for n in range(7)]


def test_a_directory_deleted_under_us_is_made_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    journal = opened(tmp_path)
    journal.append(line("evt_1"))
    shutil.rmtree(tmp_path / "journal")
    journal.recover()
    journal.append(line("evt_2"))
    assert [path.read_bytes() for path in segments(tmp_path)] == [line("evt_1"), line("evt_2")]
    assert written(journal) == [line("evt_1"), line("evt_2")]
    assert "deleted" in caplog.text
    other = opened(tmp_path)
    other.adopt(now=True)
    assert written(other) == []


def test_a_deleted_segment_that_cannot_be_written_again_says_that_records_are_lost(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    journal = opened(tmp_path)
    journal.append(line("evt_1"))
    (segment,) = segments(tmp_path)
    segment.unlink()
    segment.touch()  # the name is taken: what is there now is somebody else's
    journal.recover()
    journal.append(line("evt_2"))
    assert written(journal) == [line("evt_2")]
    assert "cannot be written again" in caplog.text


@pytest.mark.parametrize("place", ["file/state", "/proc/state"])
def test_a_state_directory_that_cannot_be_made_is_an_error_at_start(
    tmp_path: Path, place: str
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match=r"TOKENMETER_HOME\.$") as raised:
        opened(tmp_path / place)
    assert str(tmp_path / place) in str(raised.value)


def test_an_unknown_durability_is_an_error_at_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="fsync"):
        Journal(tmp_path, [NAME], durability="always")  # type: ignore[arg-type]


@pytest.mark.parametrize(("durability", "synced"), [("fsync", 3), ("write", 0)])
def test_fsync_waits_for_the_disk_at_every_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, durability: str, synced: int
) -> None:
    calls: list[int] = []
    monkeypatch.setattr("tokenmeter.delivery.writer.sync", calls.append)
    journal = Journal(tmp_path, [NAME], durability=durability)  # type: ignore[arg-type]
    for n in range(3):
        journal.append(line(f"evt_{n}"))
    assert len(calls) == synced
    assert len(segments(tmp_path)) == 1


def test_fsync_journals_rotate_too(tmp_path: Path) -> None:
    journal = Journal(tmp_path, [NAME], durability="fsync", limits=Limits(segment_bytes_max=200))
    for n in range(4):
        journal.append(line(f"evt_{n}"))
    assert len(segments(tmp_path)) >= 2
    assert written(journal) == [line(f"evt_{n}") for n in range(4)]
