"""Records and backends for the delivery tests, also used by the processes they start."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tokenmeter.delivery.backends.memory import MemoryBackend
from tokenmeter.delivery.facade import Delivery
from tokenmeter.delivery.protocol import Receipt
from tokenmeter.event import Event
from tokenmeter.lines import to_line

ROOT = Path(__file__).parents[2]
MOMENT = datetime(2026, 11, 21, 10, tzinfo=UTC)
PRELUDE = "import os, sys, time\nfrom pathlib import Path\nfrom tests.delivery.records import *\n"
PATIENCE_S = 20.0  # the machine may be busy; nothing waits this long when it works


def event(event_id: str) -> Event:
    return Event("text_generated", event_id, "cust_001", MOMENT, {"input_tokens": 12})


def record(event_id: str) -> dict[str, Any]:
    return event(event_id).to_dict()


def line(event_id: str) -> bytes:
    return to_line(record(event_id))


def resolve(record: dict[str, Any]) -> Sequence[Event]:
    return [Event.from_dict(record)]


class Sink(MemoryBackend):
    """A memory backend that counts, and fails as it is told; its name survives restarts."""

    name = "sink"

    def __init__(self, before: Callable[[Sequence[Event]], None] | None = None) -> None:
        super().__init__()
        self.sent: list[list[str]] = []
        self.closed = 0
        self._before = before

    def send(self, events: Sequence[Event]) -> Receipt:
        self.sent.append([event.event_id for event in events])
        if self._before is not None:
            self._before(events)
        return super().send(events)

    def close(self) -> None:
        self.closed += 1

    @property
    def ids(self) -> list[str]:
        return [event.event_id for event in self.events]


@contextmanager
def delivering(spec: Any, state_dir: Path | None, **more: Any) -> Generator[Delivery]:
    delivery = Delivery(spec, state_dir, resolve=more.pop("resolve", resolve), **more)
    try:
        yield delivery
    finally:
        delivery.close(0.0)


def leftovers(state_dir: Path) -> list[Path]:
    return list((state_dir / "journal").iterdir())


def run_python(script: str, *arguments: object, setup: str = "") -> subprocess.Popen[str]:
    """Start a process that can import this module; its standard output is a pipe."""
    return subprocess.Popen(
        [
            sys.executable,
            "-c",
            PRELUDE + textwrap.dedent(setup) + textwrap.dedent(script),
            *map(str, arguments),
        ],
        stdout=subprocess.PIPE,
        stdin=subprocess.PIPE,
        cwd=ROOT,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *_python_path()])},
    )


def _python_path() -> list[str]:
    return [each for each in os.environ.get("PYTHONPATH", "").split(os.pathsep) if each]


def finish(process: subprocess.Popen[str]) -> str:
    with process:
        try:
            out, _ = process.communicate(timeout=3 * PATIENCE_S)  # it may itself wait, and imports
        finally:
            process.kill()  # one that hangs is not left to the next test
    assert process.returncode == 0
    return out


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)
