"""The journal: what is appended is on disk, whole, bounded, and found again."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest

from tests.delivery.journals import NAME, deliver, die, opened, segments, written
from tests.delivery.records import line
from tokenmeter.delivery.journal import Journal
from tokenmeter.delivery.limits import Limits
from tokenmeter.delivery.writerlog import READ_BYTES_MAX, WriterLog


def test_an_appended_record_is_in_a_file_when_append_returns(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    journal.append(line("evt_1"))
    journal.append(line("evt_2"))
    assert [path.read_bytes() for path in segments(tmp_path)] == [line("evt_1") + line("evt_2")]


def test_threads_never_mix_their_records(tmp_path: Path) -> None:
    journal = opened(tmp_path, Limits(segment_bytes_max=2_000))
    lines = [[line(f"evt_{t}_{n}") for n in range(200)] for t in range(4)]

    def append_all(own: list[bytes]) -> None:
        for each in own:
            journal.append(each)

    threads = [threading.Thread(target=append_all, args=(own,)) for own in lines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = written(journal)
    assert sorted(found) == sorted(each for own in lines for each in own)
    for own in lines:
        assert [each for each in found if each in set(own)] == own
    assert len(segments(tmp_path)) > 10


@pytest.mark.parametrize("extra", [-1, 0, 1])
def test_a_segment_is_closed_when_it_reaches_its_size(tmp_path: Path, extra: int) -> None:
    first, second = line("evt_1"), line("evt_2")
    journal = opened(tmp_path, Limits(segment_bytes_max=len(first) + extra))
    journal.append(first)
    journal.append(second)
    assert len(segments(tmp_path)) == (3 if extra <= 0 else 2)
    assert written(journal) == [first, second]


def test_a_segment_goes_when_every_backend_has_it(tmp_path: Path) -> None:
    journal = Journal(tmp_path, ["a", "b"], limits=Limits(segment_bytes_max=1))
    journal.append(line("evt_1"))
    journal.append(line("evt_2"))
    (log,) = journal.logs("a")
    journal.advance(log, "a", journal.end(log))
    assert len(segments(tmp_path)) == 3
    journal.advance(log, "b", len(line("evt_1")))
    assert len(segments(tmp_path)) == 2
    journal.advance(log, "b", journal.end(log))
    assert [path.stat().st_size for path in segments(tmp_path)] == [0]


def test_a_journal_that_is_delivered_leaves_nothing_behind(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    journal.append(line("evt_1"))
    deliver(journal)
    journal.close()
    assert list((tmp_path / "journal").iterdir()) == []


def test_what_a_dead_process_left_is_adopted_from_its_cursor_on(tmp_path: Path) -> None:
    dead = opened(tmp_path)
    for n in range(4):
        dead.append(line(f"evt_{n}"))
    (log,) = dead.logs(NAME)
    dead.advance(log, NAME, len(line("evt_0")) * 2)
    die(dead)
    journal = opened(tmp_path)
    journal.adopt()
    assert written(journal) == [line("evt_2"), line("evt_3")]
    deliver(journal)
    journal.close()
    assert list((tmp_path / "journal").iterdir()) == []


def test_a_live_process_is_not_robbed(tmp_path: Path) -> None:
    alive, other = opened(tmp_path), opened(tmp_path)
    alive.append(line("evt_1"))
    other.adopt(now=True)
    assert written(other) == []
    alive.close()
    other.adopt(now=True)
    assert written(other) == [line("evt_1")]


def test_records_are_delivered_only_where_they_were_meant_to_go(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    dead = Journal(tmp_path, ["production"])
    dead.append(line("evt_1"))
    die(dead)
    journal = opened(tmp_path)
    journal.adopt(now=True)
    journal.adopt(now=True)
    assert written(journal) == []
    assert journal.elsewhere_bytes == len(line("evt_1"))
    assert [each for each in caplog.messages if "production" in each] == caplog.messages[:1]
    journal.close()
    again = Journal(tmp_path, ["production"])
    again.adopt(now=True)
    assert len(again.logs("production")) == 2


def test_a_log_for_two_backends_is_delivered_by_two_processes(tmp_path: Path) -> None:
    dead = Journal(tmp_path, ["a", "b"])
    dead.append(line("evt_1"))
    die(dead)
    for name, left in (("a", 1), ("b", 0)):
        journal = Journal(tmp_path, [name])
        journal.adopt(now=True)
        log = journal.logs(name)[0]
        assert [each for _, each in journal.read(log, 0).lines] == [line("evt_1")[:-1]]
        journal.advance(log, name, journal.end(log))
        journal.close()
        assert len(segments(tmp_path)) == left


@pytest.mark.parametrize("cut", range(1, len(line("evt_2"))))
def test_a_record_that_was_cut_off_is_skipped(tmp_path: Path, cut: int) -> None:
    dead = opened(tmp_path)
    dead.append(line("evt_1"))
    dead.append(line("evt_2"))
    die(dead)
    (segment,) = segments(tmp_path)
    os.truncate(segment, segment.stat().st_size - cut)
    journal = opened(tmp_path)
    journal.adopt(now=True)
    assert written(journal) == [line("evt_1")]


def test_a_record_longer_than_one_read_is_read_whole(tmp_path: Path) -> None:
    long = b'"' + b"x" * (READ_BYTES_MAX + 10) + b'"\n'
    journal = opened(tmp_path)
    for each in (line("evt_1"), long, line("evt_2")):
        journal.append(each)
    assert written(journal) == [line("evt_1"), long, line("evt_2")]


@pytest.mark.parametrize("content", [b"", b"-1", b"zzz", b"\0\0\0"])
def test_a_cursor_that_cannot_be_read_starts_over(tmp_path: Path, content: bytes) -> None:
    dead = opened(tmp_path)
    dead.append(line("evt_1"))
    deliver(dead)
    die(dead)
    next(tmp_path.glob("journal/*/*.cursor")).write_bytes(content)
    journal = opened(tmp_path)
    journal.adopt(now=True)
    assert written(journal) == [line("evt_1")]


def test_a_foreign_file_and_an_empty_directory_in_the_journal_do_no_harm(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    (tmp_path / "journal" / "empty").mkdir()
    (tmp_path / "journal" / "file").touch()
    journal.adopt(now=True)
    assert not (tmp_path / "journal" / "empty").exists()
    assert written(journal) == []


def test_a_deleted_lock_file_is_not_taken_for_a_dead_process(tmp_path: Path) -> None:
    alive, other = opened(tmp_path), opened(tmp_path)
    alive.append(line("evt_1"))
    (log,) = alive.logs(NAME)
    (log.directory / "lock").unlink()
    other.adopt(now=True)
    assert written(other) == []
    assert written(alive) == [line("evt_1")]


def test_a_record_after_the_end_is_kept_for_the_next_process(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    journal.close()
    journal.append(line("evt_late"))
    die(journal)
    after = opened(tmp_path)
    after.adopt(now=True)
    assert written(after) == [line("evt_late")]


def test_a_signal_handler_may_append_while_an_append_is_interrupted(tmp_path: Path) -> None:
    journal = opened(tmp_path, Limits(segment_bytes_max=10_000))
    count = 0

    def handler(*_: object) -> None:
        nonlocal count
        count += 1
        journal.append(line(f"evt_signal_{count}"))

    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    try:
        for n in range(3_000):
            journal.append(line(f"evt_{n}"))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert count > 0
    assert len(set(written(journal))) == len(written(journal)) == 3_000 + count


def test_a_log_is_named_only_when_it_is_locked(tmp_path: Path) -> None:
    log = WriterLog.create(tmp_path, [NAME])
    assert WriterLog.adopt(log.directory) is None
    assert [path.name for path in tmp_path.iterdir()] == [log.directory.name]
    log.unlock()
    assert WriterLog.adopt(log.directory) is not None
