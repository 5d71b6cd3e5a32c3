"""Forked children: their own log, their own thread, and nothing of the parent."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from tests.delivery.records import (
    PATIENCE_S,
    delivering,
    finish,
    leftovers,
    run_python,
)
from tests.delivery.table import Table

FORKS = """
    import warnings
    from tests.delivery.table import Table
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
