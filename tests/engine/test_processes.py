from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from tests.engine.made import ingest_overlapping, numbered, url
from tests.fresh import FRESH
from tokenmeter.engine.local import Engine

ROOT = Path(__file__).resolve().parents[2]
WAIT_S = 60


def run_script(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=WAIT_S, check=False
    )


def test_four_processes_open_a_new_file_at_once_and_store_every_event_once(
    tmp_path: Path,
) -> None:
    database = url(tmp_path / "usage.db")
    with ProcessPoolExecutor(4, mp_context=FRESH) as pool:
        sent = [
            pool.submit(ingest_overlapping, database, first, 400, 7 + first % 13)
            for first in (0, 100, 200, 300)
        ]
        assert [future.result(timeout=WAIT_S) for future in sent] == [400] * 4
    with Engine(database) as engine:
        page = engine.events(limit=1000)
        assert list(page.events) == numbered(700)[::-1]
        assert engine.conflicts() == []


KILLED = """
import os, signal, sys
from tests.engine.made import numbered
from tokenmeter.engine.local import Engine
Engine(sys.argv[1]).ingest(numbered(50))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_was_ingested_outlives_a_killed_process(tmp_path: Path) -> None:
    database = url(tmp_path / "usage.db")
    assert run_script(KILLED, database).returncode == -9
    with Engine(database) as engine:
        assert engine.usage()[0].events == 50


FORKED = """
import os, sys, threading
from tests.engine.made import made
from tokenmeter.engine.local import Engine

engine = Engine(sys.argv[1])
stop = threading.Event()

def write():
    count = 0
    while not stop.is_set():
        engine.ingest([made(f"thread_{count}", customer="thread")])
        count += 1
    written.append(count)

written = []
thread = threading.Thread(target=write)
thread.start()
children = []
for child in range(5):
    pid = os.fork()
    if pid == 0:
        for i in range(20):
            engine.ingest([made(f"child_{child}_{i}", customer="child")])
        os._exit(0)
    children.append(pid)
    engine.ingest([made(f"parent_{child}", customer="parent")])
codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
stop.set()
thread.join()
engine.close()
assert codes == [0] * 5, codes
print(written[0])
"""


def test_forks_in_the_midst_of_writing_lose_and_break_nothing(tmp_path: Path) -> None:
    database = url(tmp_path / "usage.db")
    done = run_script(FORKED, database)
    assert done.returncode == 0, done.stderr
    with Engine(database) as engine:
        rows = engine.usage(by=["customer"])
        counts = {row.group["customer"]: row.events for row in rows}
        assert counts == {"child": 100, "parent": 5, "thread": int(done.stdout)}
        with engine._store.reading() as connection:
            assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"


OVERTAKEN = """
import os, sys, threading, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 says that a fork is bold
from tests.engine.made import made
from tokenmeter.engine.local import Engine
from tokenmeter.engine.store import forks

forks.FORK_WAIT_S_MAX = 0.05
engine = Engine(sys.argv[1])
engine.ingest([made()])
inside, leave = threading.Event(), threading.Event()

def read():
    with engine._store.reading() as connection:
        connection.exec_driver_sql("SELECT * FROM events").all()
        inside.set()
        leave.wait()

thread = threading.Thread(target=read)
thread.start()
inside.wait()
pid = os.fork()
if pid == 0:
    os._exit(engine.usage()[0].events)
code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
leave.set()
thread.join()
engine.ingest([made("evt_2")])
engine.close()
print(code)
"""


def test_a_fork_does_not_wait_for_ever_for_a_long_question(tmp_path: Path) -> None:
    done = run_script(OVERTAKEN, url(tmp_path / "usage.db"))
    assert (done.stdout, done.stderr) == ("1\n", "")
