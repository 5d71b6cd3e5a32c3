"""Real processes: killed, forked, sharing a directory, ending."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.delivery.records import (
    PATIENCE_S,
    Sink,
    delivering,
    finish,
    leftovers,
    record,
    run_python,
    wait_until,
)
from tests.delivery.table import Table

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
        from tests.delivery.table import Table
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
        from tests.delivery.table import Table
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


@pytest.mark.skipif(
    (3, 12) <= sys.version_info < (3, 12, 2),
    reason="these start no thread any more then (CPython's gh-113964): the next process delivers",
)
def test_finalizers_that_ran_last_are_heard_at_exit(tmp_path: Path) -> None:
    script = """
        delivery = Delivery("console:", Path(sys.argv[1]), resolve=resolve)
        delivery.defer(lambda: delivery.append(record("evt_1")))
    """
    assert "evt_1" in finish(run_python(script, tmp_path))
