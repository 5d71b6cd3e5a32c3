"""Real processes: killed, forked, sharing a directory, ending."""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from tests.delivery.records import (
    PATIENCE_S,
    Sink,
    delivering,
    finish,
    record,
    run_python,
    wait_until,
)
from tokenmeter.delivery.protocol import Receipt
from tokenmeter.event import Event

if TYPE_CHECKING:
    import pytest

NEVER = """
    import threading
    never = Sink(lambda events: threading.Event().wait() and None)
    def start(path):
        return Delivery(never, Path(path), resolve=resolve)
"""
APPEND_FOREVER = """
    delivery = start(sys.argv[1])
    n = 0
    while True:
        delivery.append(record(f"evt_{os.getpid()}_{n}"))
        os.write(1, f"evt_{os.getpid()}_{n}\\n".encode())
        n += 1
"""


class Table:
    """A backend that survives its process: a table with each event once."""

    name = "table"

    def __init__(self, path: Path) -> None:
        self._path = path
        self._db: sqlite3.Connection | None = None

    def send(self, events: Sequence[Event]) -> Receipt:
        rows = [(event.event_id, os.getpid()) for event in events]
        if self._db is None:
            self._db = sqlite3.connect(self._path, timeout=PATIENCE_S, check_same_thread=False)
            self._db.execute("CREATE TABLE IF NOT EXISTS event (id TEXT PRIMARY KEY, process INT)")
        with self._db:
            self._db.executemany("INSERT OR IGNORE INTO event VALUES (?, ?)", rows)
        return Receipt(len(events))

    def close(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None

    before_fork = close

    @staticmethod
    def ids(path: Path) -> list[str]:
        with closing(sqlite3.connect(path)) as db:
            return [row[0] for row in db.execute("SELECT id FROM event ORDER BY rowid")]


def killed_after(process: subprocess.Popen[str], records: int) -> list[str]:
    """Kill -9 the process once it said that it appended so many; return all it said."""
    assert process.stdout is not None
    said = [process.stdout.readline() for _ in range(records)]
    process.kill()
    said += process.stdout.read().splitlines(keepends=True)
    process.communicate(timeout=PATIENCE_S)
    return [each.strip() for each in said if each.endswith("\n")]


def delivered(state_dir: Path) -> list[str]:
    sink = Sink()
    with delivering(sink, state_dir) as delivery:
        assert delivery.flush(PATIENCE_S)
        assert delivery.health()["bytes"] == 0
    return sink.ids


def leftovers(state_dir: Path) -> list[Path]:
    return list((state_dir / "journal").iterdir())


def test_kill_9_loses_no_finished_append(tmp_path: Path) -> None:
    dice = random.Random(7)
    said: list[str] = []
    for _ in range(5):
        process = run_python(APPEND_FOREVER, tmp_path, setup=NEVER)
        said += killed_after(process, dice.randrange(1, 400))
    found = delivered(tmp_path)
    assert set(said) <= set(found)
    assert len(found) <= len(said) + 5  # one append may have finished without being told
    assert len(set(found)) == len(found)
    assert leftovers(tmp_path) == []


def test_kill_9_while_events_are_delivered_loses_and_doubles_nothing(tmp_path: Path) -> None:
    table = tmp_path / "table.db"
    start = """
        from tests.delivery.test_processes import Table
        def start(path):
            return Delivery(Table(Path(path) / "table.db"), Path(path), resolve=resolve)
    """
    dice = random.Random(8)
    said: list[str] = []
    for _ in range(4):
        process = run_python(APPEND_FOREVER, tmp_path, setup=start)
        said += killed_after(process, dice.randrange(3_000, 20_000))
    with delivering(Table(table), tmp_path) as delivery:
        assert delivery.flush(PATIENCE_S)
    found = Table.ids(table)
    assert set(said) <= set(found)
    assert len(found) <= len(said) + 4
    order = {each: place for place, each in enumerate(found)}
    by_process: dict[str, list[int]] = {}
    for each in said:
        by_process.setdefault(each.split("_")[1], []).append(order[each])
    assert all(places == sorted(places) for places in by_process.values())
    assert leftovers(tmp_path) == []


def test_two_processes_share_a_directory(tmp_path: Path) -> None:
    script = """
        from tests.delivery.test_processes import Table
        path = Path(sys.argv[1])
        delivery = Delivery(Table(path / "table.db"), path, resolve=resolve)
        for n in range(2_000):
            delivery.append(record(f"evt_{sys.argv[2]}_{n}"))
            if n % 500 == 0:
                assert delivery.flush(PATIENCE_S)
        assert delivery.close(PATIENCE_S)
    """
    for process in [run_python(script, tmp_path, n) for n in range(2)]:
        finish(process)
    found = Table.ids(tmp_path / "table.db")
    assert sorted(found) == sorted(f"evt_{p}_{n}" for p in range(2) for n in range(2_000))
    for p in "01":
        own = [each for each in found if each.startswith(f"evt_{p}_")]
        assert own == [f"evt_{p}_{n}" for n in range(2_000)]
    assert leftovers(tmp_path) == []


def test_a_process_that_lives_adopts_what_a_killed_one_leaves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tokenmeter.delivery.journal.ADOPT_INTERVAL_S", 0.05)
    sink = Sink()
    with delivering(sink, tmp_path) as delivery:
        delivery.append(record("evt_mine"))
        process = run_python(APPEND_FOREVER, tmp_path, setup=NEVER)
        said = killed_after(process, 50)
        wait_until(lambda: set(said) <= set(sink.ids))
        assert "evt_mine" in sink.ids


def test_a_disk_that_takes_nothing_does_not_keep_events_from_the_backend(tmp_path: Path) -> None:
    script = """
        import resource
        sink = Sink()
        delivery = Delivery(sink, Path(sys.argv[1]), resolve=resolve)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        for n in range(1_000):
            delivery.append(record(f"evt_{n}"))
        assert delivery.flush(PATIENCE_S)
        assert sink.ids == [f"evt_{n}" for n in range(1_000)]
        health = delivery.health()
        assert (health["bytes"], health["waiting_bytes"], health["dropped"]) == (0, 0, 0)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        delivery.append(record("evt_after"))
        assert delivery.flush(PATIENCE_S)
        print(len(sink.ids))
    """
    assert finish(run_python(script, tmp_path)).strip() == "1001"
    assert leftovers(tmp_path) == []


def test_a_clean_end_delivers_everything_and_leaves_nothing(tmp_path: Path) -> None:
    script = """
        delivery = Delivery("console:", Path(sys.argv[1]), resolve=resolve)
        for n in range(100):
            delivery.append(record(f"evt_{n}"))
    """
    shown = finish(run_python(script, tmp_path)).splitlines()
    assert [each.split()[3] for each in shown] == [f"evt_{n}" for n in range(100)]
    assert leftovers(tmp_path) == []


def test_the_end_of_a_process_waits_only_so_long_for_a_hanging_backend(tmp_path: Path) -> None:
    script = """
        import tokenmeter.delivery.facade as facade
        facade.EXIT_TIMEOUT_S = 0.3
        delivery = start(sys.argv[1])
        delivery.append(record("evt_1"))
    """
    finish(run_python(script, tmp_path, setup=NEVER))
    assert delivered(tmp_path) == ["evt_1"]


def test_finalizers_that_ran_last_are_heard_at_exit(tmp_path: Path) -> None:
    script = """
        delivery = Delivery("console:", Path(sys.argv[1]), resolve=resolve)
        delivery.defer(lambda: delivery.append(record("evt_1")))
    """
    assert "evt_1" in finish(run_python(script, tmp_path))


FORKS = """
    import warnings
    from tests.delivery.test_processes import Table
    warnings.simplefilter("ignore", DeprecationWarning)
    path = Path(sys.argv[1])
    delivery = Delivery(Table(path / "table.db"), path, resolve=resolve)
    def append(name, count=300):
        for n in range(count):
            delivery.append(record(f"evt_{name}_{n}"))
"""


def expected(*names: str, count: int = 300) -> list[str]:
    return sorted(f"evt_{name}_{n}" for name in names for n in range(count))


def rows(path: Path) -> dict[str, set[str]]:
    """Which process delivered whose records."""
    with closing(sqlite3.connect(path)) as db:
        found: dict[str, set[str]] = {}
        for event_id, process in db.execute("SELECT id, process FROM event"):
            found.setdefault(event_id.split("_")[1], set()).add(str(process))
    return found


def test_a_forked_child_delivers_its_own_records_and_not_the_parents(tmp_path: Path) -> None:
    script = """
        append("parent")
        child = os.fork()
        if not child:
            append("child")
            assert delivery.flush(PATIENCE_S)
            print(os.getpid(), flush=True)
            os._exit(0)
        append("parent2")
        assert os.waitpid(child, 0)[1] == 0
        assert delivery.flush(PATIENCE_S)
        print(os.getpid())
    """
    child, parent = finish(run_python(script, tmp_path, setup=FORKS)).split()
    assert sorted(Table.ids(tmp_path / "table.db")) == expected("parent", "parent2", "child")
    found = rows(tmp_path / "table.db")
    assert found == {"parent": {parent}, "parent2": {parent}, "child": {child}}
    assert leftovers(tmp_path) == []


def test_children_that_die_without_a_word_are_heard_by_the_parent(tmp_path: Path) -> None:
    script = """
        import signal
        children = []
        for name in "abc":
            child = os.fork()
            if not child:
                Table.send = lambda self, events: time.sleep(60)
                append(name)
                os.kill(os.getpid(), signal.SIGKILL)
            children.append(child)
        for child in children:
            os.waitpid(child, 0)
        assert delivery.flush(PATIENCE_S)
    """
    finish(run_python(script, tmp_path, setup=FORKS))
    assert sorted(Table.ids(tmp_path / "table.db")) == expected("a", "b", "c")
    assert leftovers(tmp_path) == []


def test_a_fork_in_the_middle_of_everything_neither_hangs_nor_loses(tmp_path: Path) -> None:
    script = """
        import threading
        stop = threading.Event()
        count = [0]
        def work():
            while not stop.is_set():
                delivery.append(record(f"evt_parent_{count[0]}"))
                count[0] += 1
        thread = threading.Thread(target=work)
        thread.start()
        for name in range(10):
            child = os.fork()
            if not child:
                append(f"child{name}", 20)
                os._exit(0 if delivery.flush(PATIENCE_S) else 1)
            assert os.waitpid(child, 0)[1] == 0
        stop.set()
        thread.join()
        assert delivery.flush(PATIENCE_S)
        print(count[0])
    """
    count = int(finish(run_python(script, tmp_path, setup=FORKS)))
    children = expected(*(f"child{n}" for n in range(10)), count=20)
    assert sorted(Table.ids(tmp_path / "table.db")) == sorted(
        children + expected("parent", count=count)
    )


def test_a_child_outlives_its_parent_without_holding_its_records_back(tmp_path: Path) -> None:
    script = """
        import signal
        delivery._shippers = []
        Table.send = lambda self, events: time.sleep(60)
        append("parent", 10)
        if not os.fork():
            sys.stdin.close()
            os.close(1)
            time.sleep(60)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    process = run_python(script, tmp_path, setup=FORKS)
    process.wait(PATIENCE_S)
    process.communicate()
    with delivering(Table(tmp_path / "table.db"), tmp_path) as delivery:
        assert delivery.flush(PATIENCE_S)
    assert sorted(Table.ids(tmp_path / "table.db")) == expected("parent", count=10)


def test_what_waits_for_finalizers_is_not_run_twice_by_a_fork(tmp_path: Path) -> None:
    script = """
        delivery.defer(lambda: delivery.append(record(f"evt_{os.getpid()}")))
        child = os.fork()
        if not child:
            delivery.flush(PATIENCE_S)
            os._exit(0)
        os.waitpid(child, 0)
        assert delivery.flush(PATIENCE_S)
        print(os.getpid())
    """
    parent = finish(run_python(script, tmp_path, setup=FORKS)).strip()
    assert Table.ids(tmp_path / "table.db") == [f"evt_{parent}"]


def test_a_forked_memory_meter_keeps_a_journal_of_its_own() -> None:
    script = """
        delivery = Delivery("memory:", None, resolve=resolve)
        home = delivery._home
        delivery.append(record("evt_parent"))
        assert delivery.flush(PATIENCE_S)
        child = os.fork()
        if not child:
            delivery.append(record("evt_child"))
            assert delivery.flush(PATIENCE_S)
            assert [e.event_id for e in delivery.backend.events] == ["evt_child"]
            assert delivery._home != home
            assert delivery.close(PATIENCE_S)
            os._exit(0 if home.exists() and not delivery._home.exists() else 1)
        assert os.waitpid(child, 0)[1] == 0
        if not (unused := os.fork()):
            sys.exit(0)
        assert os.waitpid(unused, 0)[1] == 0
        assert home.exists()
        assert [e.event_id for e in delivery.backend.events] == ["evt_parent"]
        assert delivery.close(PATIENCE_S)
        assert not home.exists()
        print(home)
    """
    assert "tokenmeter-" in finish(run_python(script))
