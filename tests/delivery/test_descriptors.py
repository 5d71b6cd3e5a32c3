"""Somebody closes our descriptors, as code that makes a process a daemon does."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest

from tests.delivery.journals import segments
from tests.delivery.records import (
    PATIENCE_S,
    Sink,
    delivering,
    finish,
    leftovers,
    line,
    resolve,
    run_python,
)
from tokenmeter.delivery.facade import Delivery
from tokenmeter.delivery.writer import UNPROVEN_BYTES_MAX
from tokenmeter.delivery.writerlog import WriterLog


def segment_fd(delivery: Delivery) -> int:
    """The descriptor of our segment, found as an outsider would find it."""
    (own,) = segments(delivery._home)
    numbers = [int(each.name) for each in Path("/proc/self/fd").iterdir()]
    for fd in numbers:
        with contextlib.suppress(OSError):  # the descriptor of the listing itself
            if os.path.samestat(own.stat(), os.fstat(fd)):
                return fd
    raise AssertionError("no descriptor is open on the segment")


@pytest.mark.parametrize(
    ("taken", "gone"),
    [(False, False), (True, False), (False, True)],
    ids=["closed", "another file's", "closed, and the file deleted"],
)
def test_a_descriptor_that_is_closed_under_us_costs_no_record_and_no_exception(
    tmp_path: Path, taken: bool, gone: bool
) -> None:
    sink = Sink()
    with delivering(sink, tmp_path / "state") as delivery:
        delivery.append_line(line("evt_0"))
        assert delivery.flush(PATIENCE_S)
        fd = segment_fd(delivery)
        if gone:
            segments(tmp_path / "state")[0].unlink()
        os.close(fd)
        theirs = tmp_path / "theirs"
        if taken:
            assert os.open(theirs, os.O_RDWR | os.O_CREAT) == fd
            delivery._journal.recover()  # as the shipper does before each batch
        for n in range(1, 4):
            delivery.append_line(line(f"evt_{n}"))
        assert delivery.flush(PATIENCE_S)
        assert delivery.health()["dropped"] == 0
        if taken:
            assert os.fstat(fd).st_size == 0  # still open, and nothing of ours in it
            os.close(fd)
    assert sink.ids == ["evt_0", "evt_1", "evt_2", "evt_3"]


@pytest.mark.parametrize("ended", ["flushed", "closed", "refused by what stands there", "full"])
def test_records_written_to_a_descriptor_that_became_another_files_are_delivered(
    tmp_path: Path, ended: str
) -> None:
    sink = Sink()
    delivery = Delivery(sink, tmp_path / "state", resolve=resolve)
    stop = delivery._journal._writer._lock  # the shipper does not look in between
    with stop:
        for n in range(3):
            delivery.append_line(line(f"evt_{n}"))
        fd = segment_fd(delivery)
        os.close(fd)
        theirs = tmp_path / "theirs"
        assert os.open(theirs, os.O_RDWR | os.O_CREAT) == fd
        count = 3 + (UNPROVEN_BYTES_MAX // len(line("evt_1000")) + 2 if ended == "full" else 3)
        for n in range(3, count):
            delivery.append_line(line(f"evt_{n}"))
        assert os.fstat(fd).st_size  # the damage to theirs is done; ours is not
        if ended == "refused by what stands there":
            os.close(fd)
            assert os.open(os.devnull, os.O_RDONLY) == fd
            delivery.append_line(line(f"evt_{count}"))
            count += 1
    if ended != "closed":
        assert delivery.flush(PATIENCE_S)
    assert delivery.close(PATIENCE_S)
    assert os.fstat(fd)  # still open
    os.close(fd)
    assert sink.ids == [f"evt_{n}" for n in range(count)]
    assert leftovers(tmp_path / "state") == []


def test_a_lock_that_other_code_has_closed_is_taken_again_and_not_closed_twice(
    tmp_path: Path,
) -> None:
    with delivering(Sink(), tmp_path) as delivery:
        delivery.append_line(line("evt_0"))
        assert delivery.flush(PATIENCE_S)
        own = delivery._journal._writer.log
        assert own is not None
        with delivery._journal._writer._lock:
            os.close(own._lock_fd)
            taken = os.open(tmp_path / "theirs", os.O_RDWR | os.O_CREAT)
        delivery._journal.recover()
        assert WriterLog.adopt(own.directory) is None  # it is alive, and others see it
    os.fstat(taken)
    os.close(taken)


def test_a_process_that_closes_all_its_descriptors_goes_on(tmp_path: Path) -> None:
    script = """
        path = Path(sys.argv[1])
        sink = Sink()
        delivery = Delivery(sink, path, resolve=resolve)
        delivery.append_line(line("evt_0"))
        assert delivery.flush(20)
        os.closerange(3, 1024)
        for n in range(1, 100):
            delivery.append_line(line(f"evt_{n}"))
        assert delivery.flush(20), delivery.health()
        assert sink.ids == [f"evt_{n}" for n in range(100)], sink.ids
        assert delivery.close(5)
        print("ok")
    """
    assert finish(run_python(script, tmp_path)) == "ok\n"


def test_a_process_without_a_descriptor_left_loses_nothing_and_raises_nothing(
    tmp_path: Path,
) -> None:
    script = """
        import resource
        from tokenmeter.delivery.journal import Journal
        from tokenmeter.delivery.limits import Limits
        Journal.__init__.__kwdefaults__["limits"] = Limits(segment_bytes_max=2_000)

        sink = Sink()
        delivery = Delivery(sink, Path(sys.argv[1]), resolve=resolve)
        delivery.append_line(line("evt_0"))
        assert delivery.flush(20)
        (Path(sys.argv[1]) / "dead").mkdir()
        (Path(sys.argv[1]) / "dead" / "sink.jsonl").write_text("{}\\n")
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
        taken = []
        try:
            while True:
                taken.append(os.dup(0))
        except OSError:
            pass
        for n in range(1, 100):
            delivery.append_line(line(f"evt_{n}"))
        delivery.flush(0.3)
        assert "Too many open files" in delivery.health()["last_error"]
        for fd in taken:
            os.close(fd)
        delivery.append_line(line("evt_100"))
        assert delivery.flush(20), delivery.health()
        assert sink.ids == [f"evt_{n}" for n in range(101)], sink.ids
        health = delivery.health()
        assert (health["dropped"], health["torn"], health["dead_letters"]) == (0, 0, 1), health
        assert delivery.close(5)
        print("ok")
    """
    assert finish(run_python(script, tmp_path)) == "ok\n"
    assert leftovers(tmp_path) == []
