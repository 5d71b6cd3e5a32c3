"""Four processes, a server that fails in every way: each good event once, each bad one dead."""

from __future__ import annotations

import random
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import pytest  # noqa: TC002

from tests.delivery.cloud import KEY, rows_in
from tests.delivery.failing import letters
from tests.delivery.records import ROOT, run_python

PROCESSES = 4
EVENTS = 50_000
POISON_EVERY = 2_503
PATIENCE_S = 120.0
UP_S = (0.6, 1.8)  # how long a server lives before it is killed
KILLS_MAX = 4

METERED = """
    from tests.delivery.cloud import POISON
    from tokenmeter import TokenMeter

    url, path, process, count, every = sys.argv[1:]
    meter = TokenMeter(url, state_dir=path)
    for n in range(int(count)):
        poison = {POISON: "1"} if n % int(every) == 0 else {}
        meter.record("text_generated", {"input_tokens": n}, customer=f"cust_{n % 7}",
                     event_id=f"evt_{process}_{n}", **poison)
    print("recorded", flush=True)
    deadline = time.monotonic() + float(os.environ["PATIENCE_S"])
    while not meter.flush(1.0):
        assert time.monotonic() < deadline, meter.health()
    assert meter.health()["records"] == 0
    assert meter.shutdown()
"""


class Server:
    """The cloud in a process of its own, on one port through all its lives."""

    def __init__(self, log: Path) -> None:
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            self.port: int = found.getsockname()[1]
        self.log, self.lives = log, 0
        self.start()

    @property
    def url(self) -> str:
        return f"flexprice+http://127.0.0.1:{self.port}/v1?timeout_s=1"

    def start(self) -> None:
        self.lives += 1
        command = ["-m", "tests.delivery.cloud", str(self.port), str(self.log), str(self.lives)]
        self.process = subprocess.Popen(
            [sys.executable, *command],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
        )

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)


@contextmanager
def server(log: Path) -> Generator[Server]:
    made = Server(log)
    try:
        yield made
    finally:
        made.kill()


def until_done(processes: list[subprocess.Popen[str]], meanwhile: Callable[[], None]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    try:
        while any(each.poll() is None for each in processes):
            assert time.monotonic() < deadline, "the processes do not end"
            meanwhile()
    finally:
        for each in processes:
            each.kill()
            each.communicate()
    assert [each.returncode for each in processes] == [0] * len(processes)


def test_fifty_thousand_events_through_a_server_that_fails_in_every_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKENMETER_FLEXPRICE_API_KEY", KEY)
    monkeypatch.setenv("PATIENCE_S", str(PATIENCE_S))
    count, log, state = EVENTS // PROCESSES, tmp_path / "taken", tmp_path / "state"
    dice = random.Random(6)
    with server(log) as cloud:
        processes = [
            run_python(METERED, cloud.url, state, p, count, POISON_EVERY) for p in range(PROCESSES)
        ]

        def kill_and_restart() -> None:
            time.sleep(dice.uniform(*UP_S))
            if cloud.lives <= KILLS_MAX:
                cloud.kill()
                time.sleep(0.3)
                cloud.start()

        until_done(processes, kill_and_restart)
        assert cloud.lives > 2
    every = {f"evt_{p}_{n}" for p in range(PROCESSES) for n in range(count)}
    poisoned = {f"evt_{p}_{n}" for p in range(PROCESSES) for n in range(0, count, POISON_EVERY)}
    rows = rows_in(log)
    stored = set(rows)  # Flexprice collapses copies that agree in id, customer and timestamp
    assert len(rows) > len(stored), "the server never lied: nothing was sent again"
    assert sorted(row[0] for row in stored) == sorted(every - poisoned)
    assert all(customer == f"cust_{int(i.split('_')[2]) % 7}" for i, customer, _ in stored)
    dead = letters(state)
    assert sorted(each["event"]["event_id"] for each in dead) == sorted(poisoned)
    assert {each["reason"] for each in dead} == {"HTTP 400: properties are poisoned"}
    assert list((state / "journal").iterdir()) == []
