"""Processes that end at bad moments and in bad ways: what they had is there, once."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.delivery.journals import die, opened
from tests.delivery.records import PATIENCE_S, Sink, delivering, leftovers, line, run_python
from tests.delivery.table import Table
from tests.delivery.test_processes import APPEND_FOREVER, NEVER, delivered, killed_after
from tokenmeter.delivery.facade import EXIT_TIMEOUT_S
from tokenmeter.delivery.protocol import Receipt, Rejection
from tokenmeter.event import Event

SHORT_SEGMENTS = """
    from tokenmeter.delivery.journal import Journal
    from tokenmeter.delivery.limits import Limits
    Journal.__init__.__kwdefaults__["limits"] = Limits(segment_bytes_max=400)
"""
INTO_TABLE = """
    from tests.delivery.table import Table
    def start(path):
        return Delivery(Table(Path(path) / "table.db"), Path(path), resolve=resolve)
"""
ADOPTERS = 4
LOGS = 12


@pytest.mark.parametrize("backend", [NEVER, INTO_TABLE], ids=["never taken", "taken"])
def test_kill_9_in_the_midst_of_opening_and_deleting_segments(
    tmp_path: Path, backend: str
) -> None:
    dice = random.Random(17)
    said: list[str] = []
    for _ in range(6):
        setup = SHORT_SEGMENTS + backend
        process = run_python(APPEND_FOREVER, tmp_path, setup=setup)
        said += killed_after(process, dice.randrange(200, 900))
    if backend is NEVER:
        found = delivered(tmp_path)
    else:
        with delivering(Table(tmp_path / "table.db"), tmp_path) as delivery:
            assert delivery.flush(PATIENCE_S)
        found = Table.ids(tmp_path / "table.db")
    assert set(said) <= set(found)
    assert len(found) == len(set(found)) <= len(said) + 6
    assert leftovers(tmp_path) == []


class Refusing(Sink):
    """Takes nothing, ever."""

    def send(self, events: object) -> Receipt:
        assert isinstance(events, tuple)
        given: tuple[Event, ...] = events
        return Receipt(0, tuple(Rejection(each.event_id, "bad") for each in given))


def test_kill_9_in_the_midst_of_dead_letters_loses_none_and_damages_none(tmp_path: Path) -> None:
    start = """
        from tests.delivery.test_endings import Refusing
        def start(path):
            return Delivery(Refusing(), Path(path), resolve=resolve)
    """
    dice = random.Random(18)
    said: list[str] = []
    for _ in range(5):
        process = run_python(APPEND_FOREVER, tmp_path, setup=start)
        said += killed_after(process, dice.randrange(500, 3_000))
    with delivering(Refusing(), tmp_path) as delivery:
        assert delivery.flush(PATIENCE_S)
    letters = [
        json.loads(each) for each in (tmp_path / "dead" / "sink.jsonl").read_bytes().splitlines()
    ]
    assert {each["reason"] for each in letters} == {"bad"}
    assert set(said) <= {each["event"]["event_id"] for each in letters}
    assert leftovers(tmp_path) == []


def test_processes_that_adopt_at_once_deliver_each_record_once(tmp_path: Path) -> None:
    ids = [f"evt_{log}_{n}" for log in range(LOGS) for n in range(20)]
    for log in range(LOGS):
        journal = opened(tmp_path)
        for n in range(20):
            journal.append(line(f"evt_{log}_{n}"))
        die(journal)
    script = """
        sink = Sink()
        delivery = Delivery(sink, Path(sys.argv[1]), resolve=resolve)
        print("ready", flush=True)
        sys.stdin.readline()
        assert delivery.flush(PATIENCE_S)
        assert delivery.close(PATIENCE_S)
        print(*sink.ids, sep="\\n")
    """
    processes = [run_python(script, tmp_path) for _ in range(ADOPTERS)]
    for each in processes:
        assert each.stdout is not None
        assert each.stdout.readline() == "ready\n"
    for each in processes:
        assert each.stdin is not None
        each.stdin.write("go\n")
        each.stdin.flush()
    said = [each.communicate(timeout=PATIENCE_S)[0].split() for each in processes]
    assert [each.returncode for each in processes] == [0] * ADOPTERS
    found = [each for own in said for each in own]
    assert sorted(found) == sorted(ids)
    assert leftovers(tmp_path) == []


def test_an_adopter_that_is_killed_is_adopted_with_what_it_adopted(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    for n in range(50):
        journal.append(line(f"evt_{n}"))
    die(journal)
    script = """
        delivery = start(sys.argv[1])
        delivery.append(record(f"evt_own_{os.getpid()}"))
        delivery.adopt()
        os.write(1, f"evt_own_{os.getpid()}\\n".encode())
        time.sleep(60)
    """
    own = [killed_after(run_python(script, tmp_path, setup=NEVER), 1)[0] for _ in range(3)]
    assert sorted(delivered(tmp_path)) == sorted([*(f"evt_{n}" for n in range(50)), *own])
    assert leftovers(tmp_path) == []


ENDS = {
    "SIGTERM": ("os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM),
    "SIGTERM, handled": (
        "signal.signal(15, lambda *_: sys.exit(3)); os.kill(os.getpid(), 15); time.sleep(5)",
        3,
    ),
    "SIGHUP": (  # nohup, which may have started us, ignores it
        "signal.signal(signal.SIGHUP, signal.SIG_DFL); os.kill(os.getpid(), signal.SIGHUP)",
        -signal.SIGHUP,
    ),
    "os._exit": ("os._exit(4)", 4),
    "abort": ("os.abort()", -signal.SIGABRT),
    "an exception": ("raise SystemExit(5)", 5),
    "the end": ("pass", 0),
}


@pytest.mark.parametrize(("end", "code"), ENDS.values(), ids=ENDS.keys())
def test_a_process_with_daemon_threads_at_work_ends_as_it_would_without_us(
    tmp_path: Path, end: str, code: int
) -> None:
    script = """
        import faulthandler, resource, signal, threading
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        delivery = start(sys.argv[1])
        told = threading.Event()

        def work(worker):
            for n in range(10**9):
                delivery.append(record(f"evt_{worker}_{n}"))
                os.write(1, f"evt_{worker}_{n}\\n".encode())
                if n == 200:
                    told.set()

        for worker in range(3):
            threading.Thread(target=work, args=(worker,), daemon=True).start()
        told.wait()
        exec(sys.argv[2])
    """
    began = time.monotonic()
    process = run_python(script, tmp_path, end, setup=INTO_TABLE)
    out, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == code
    assert time.monotonic() - began < EXIT_TIMEOUT_S + PATIENCE_S / 2
    with delivering(Table(tmp_path / "table.db"), tmp_path) as delivery:
        assert delivery.flush(PATIENCE_S)
    found = Table.ids(tmp_path / "table.db")
    said = [each for each in out.split("\n")[:-1] if each.startswith("evt_")]
    assert set(said) <= set(found)
    assert len(found) == len(set(found)) <= len(said) + 3
    # A folder that it had only begun to make holds nothing, and is swept a minute later.
    assert [each for each in leftovers(tmp_path) if not each.name.startswith(".")] == []


@pytest.mark.parametrize("method", ["send", "close"])
def test_a_backend_that_hangs_for_ever_holds_the_end_only_so_long(
    tmp_path: Path, method: str
) -> None:
    script = """
        import threading
        sink = Sink()
        delivery = Delivery(sink, Path(sys.argv[1]), resolve=resolve)
        delivery.append(record("evt_1"))
        if sys.argv[2] != "send":
            assert delivery.flush(PATIENCE_S)
        setattr(sink, sys.argv[2], lambda *_: threading.Event().wait())
        delivery.append(record("evt_2"))
        began = time.monotonic()
        delivery.flush(0.3)
        delivery.close(0.5)
        print(time.monotonic() - began)
    """
    process = run_python(script, tmp_path, method)
    out, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0
    assert float(out) < 3.0
    assert delivered(tmp_path) in (["evt_2"], [], ["evt_1", "evt_2"])


@pytest.mark.parametrize("how", ["spawn", "forkserver", "fork"])
def test_workers_of_multiprocessing_deliver_what_they_record(tmp_path: Path, how: str) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    process = subprocess.run(
        [sys.executable, str(program), str(tmp_path), how],
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S * 2,
    )
    assert process.returncode == 0, process.stderr
    found = Table.ids(tmp_path / "table.db")
    assert sorted(found) == sorted(f"evt_{w}_{n}" for w in range(-1, 3) for n in range(50))
    assert leftovers(tmp_path) == []


PROGRAM = f"""
import multiprocessing, sys, threading
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from tests.delivery.records import *
from tests.delivery.table import Table

path = Path(sys.argv[1])

def work(worker):
    delivery = shared or Delivery(Table(path / "table.db"), path, resolve=resolve)
    for n in range(50):
        delivery.append(record(f"evt_{{worker}}_{{n}}"))
    assert delivery.close(PATIENCE_S)  # multiprocessing's children run no atexit

shared = None
if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[2])
    if sys.argv[2] == "fork":
        shared = Delivery(f"sqlite:///{{path}}/unused.db", path, resolve=resolve)
        shared = Delivery(Table(path / "table.db"), path, resolve=resolve)
        shared.append(record("evt_-1_0"))
    started = []
    def start():  # a fork in a thread, while the main thread appends
        for worker in range(3):
            started.append(context.Process(target=work, args=(worker,)))
            started[-1].start()
    thread = threading.Thread(target=start)
    thread.start()
    own = shared or Delivery(Table(path / "table.db"), path, resolve=resolve)
    for n in range(shared is not None, 50):
        own.append(record(f"evt_-1_{{n}}"))
    thread.join()
    for each in started:
        each.join()
    assert [each.exitcode for each in started] == [0, 0, 0]
    assert own.close(PATIENCE_S)
"""


def test_an_exit_after_other_code_closed_our_files_raises_nothing(tmp_path: Path) -> None:
    script = """
        os.dup2(1, 2)  # what is printed there, we read
        start(sys.argv[1]).append(record("evt_1"))
        os.closerange(3, 200)  # as a daemon does
    """
    said, _ = run_python(script, tmp_path, setup=NEVER).communicate(timeout=PATIENCE_S)
    assert "Traceback" not in said
