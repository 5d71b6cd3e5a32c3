"""The journal: what is appended is on disk, whole, bounded, and found again."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import threading
from pathlib import Path

import pytest

from tests.delivery.records import finish, line, run_python
from tokenmeter.delivery.journal import Journal
from tokenmeter.delivery.writer import Limits
from tokenmeter.delivery.writerlog import READ_BYTES_MAX, WriterLog
from tokenmeter.errors import ConfigurationError

NAME = "sink"


def segments(state_dir: Path) -> list[Path]:
    return sorted(state_dir.glob("journal/*/*.jsonl"))


def written(journal: Journal) -> list[bytes]:
    """Every line of every log, as a shipper would read it."""
    found: list[bytes] = []
    for log in journal.logs(NAME):
        at = log.cursors[NAME]
        while at < journal.end(log):
            chunk = journal.read(log, at)
            found += [each + b"\n" for _, each in chunk.lines]
            assert chunk.next_at > at
            at = chunk.next_at
    return found


def deliver(journal: Journal) -> None:
    for log, end in journal.ends().items():
        journal.advance(log, NAME, end)


def opened(state_dir: Path, limits: Limits | None = None) -> Journal:
    return Journal(state_dir, [NAME], limits=limits or Limits())


def die(journal: Journal) -> None:
    """Leave everything as a killed process would: nothing flushed, locks gone."""
    journal.forked()


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
    assert [path.read_bytes() for path in segments(tmp_path)] == [line("evt_2")]
    assert written(journal) == [line("evt_2")]
    assert "deleted" in caplog.text
    other = opened(tmp_path)
    other.adopt(now=True)
    assert written(other) == []


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
