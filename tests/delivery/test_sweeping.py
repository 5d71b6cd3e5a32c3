"""Folders that a process was making when it was killed: swept, unless their maker is alive."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

import pytest

from tests.delivery.journals import NAME, die, opened, written
from tests.delivery.records import PATIENCE_S, Sink, delivering, leftovers, line, run_python
from tokenmeter.delivery.opencalls import OPEN
from tokenmeter.delivery.sweeping import SWEEP_AFTER_S
from tokenmeter.delivery.writerlog import LOCK, remove

SETUP = """
    import signal, fcntl
    from tokenmeter.delivery import writerlog
    from tokenmeter.delivery.journal import Journal

    path, where, kind = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])

    def stop(*_):
        os.write(1, b"here\\n")
        os.kill(os.getpid(), kind)
"""
MAKE = """
    if where == "before its lock":
        writerlog.locked = stop
    elif where == "with its lock":
        writerlog.persist = stop
    else:
        writerlog.WriterLog._show = stop
    Journal(path, ["sink"])
    os.write(1, b"made\\n")
    time.sleep(60)
"""
PLACES = ["before its lock", "with its lock", "before its name"]


def unseen(state_dir: Path) -> list[Path]:
    return [each for each in (state_dir / "journal").iterdir() if each.name.startswith(".")]


def age(state_dir: Path, seconds: float) -> None:
    for each in unseen(state_dir):
        then = time.time() - seconds
        os.utime(each, (then, then))


def look(state_dir: Path) -> None:
    """A process comes along, delivers, and goes."""
    with delivering(Sink(), state_dir) as delivery:
        delivery.append_line(line("evt_1"))
        assert delivery.flush(PATIENCE_S)


@pytest.mark.parametrize("where", PLACES)
def test_a_folder_whose_maker_was_killed_is_swept_when_it_is_old(
    tmp_path: Path, where: str
) -> None:
    with run_python(MAKE, tmp_path, where, int(signal.SIGKILL), setup=SETUP) as maker:
        assert maker.wait(PATIENCE_S) == -signal.SIGKILL
    assert len(unseen(tmp_path)) == 1
    look(tmp_path)
    assert len(unseen(tmp_path)) == 1  # it is not old yet
    age(tmp_path, SWEEP_AFTER_S + 1)
    look(tmp_path)
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("where", PLACES[1:])
def test_the_folder_of_a_process_that_sleeps_while_it_makes_it_is_left(
    tmp_path: Path, where: str
) -> None:
    with run_python(MAKE, tmp_path, where, int(signal.SIGSTOP), setup=SETUP) as maker:
        assert maker.stdout is not None
        assert maker.stdout.readline() == "here\n"
        os.waitpid(maker.pid, os.WUNTRACED)
        age(tmp_path, SWEEP_AFTER_S + 1)
        look(tmp_path)
        assert len(unseen(tmp_path)) == 1
        maker.kill()


def test_what_is_not_ours_is_left(tmp_path: Path) -> None:
    foreign = tmp_path / "journal" / ".git"
    foreign.mkdir(parents=True)
    (foreign / LOCK).write_text("somebody's")
    age(tmp_path, 10 * SWEEP_AFTER_S)
    look(tmp_path)
    assert (foreign / LOCK).read_text() == "somebody's"


@pytest.mark.parametrize("removed", range(6))
def test_a_process_killed_while_it_removes_what_is_delivered_leaves_nothing_owed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, removed: int
) -> None:
    journal = opened(tmp_path)
    journal.enter(b'{"event_name":"a","customer":"c","opened_at":1,"properties":{}}')
    journal.append(line("evt_1"))
    log = journal.logs(NAME)[0]
    log.advance(NAME, journal.end(log))
    die(journal)
    assert {each.name for each in log.directory.iterdir()} >= {OPEN, LOCK, f"{NAME}.cursor"}
    unlink, left = Path.unlink, [removed]

    def killed(path: Path, **options: bool) -> None:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        unlink(path, **options)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", killed)
        with contextlib.suppress(KeyboardInterrupt):
            remove(log.directory)
    sink = Sink()
    with delivering(sink, tmp_path) as delivery:
        assert delivery.flush(PATIENCE_S)
        assert delivery.health()["elsewhere_bytes"] == 0
        assert delivery.health()["last_error"] is None
    assert sink.ids == []
    assert leftovers(tmp_path) == []
    assert written(opened(tmp_path)) == []
