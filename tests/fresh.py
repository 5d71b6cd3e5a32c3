"""
Processes of their own, forked from one that has imported what they need and done nothing else.

What a process of ours imports costs a second; that one pays it once, for all of a session.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Mapping
from multiprocessing.process import BaseProcess
from pathlib import Path

FRESH = multiprocessing.get_context("forkserver")
FRESH.set_forkserver_preload(
    [
        "genai_prices.data",
        "psycopg",
        "tests.asgi.upstream",
        "tests.engine.made",
        "tests.engine.sold",
        "tokenmeter.asgi",
        "tokenmeter.engine.backend",
        "tokenmeter.pricing.pricebook",
        "uvicorn",
    ]
)


def started(
    program: str, *arguments: str, environment: Mapping[str, str], said: Path | None = None
) -> BaseProcess:
    """Start a program as `python -c` would; `said` gets what it writes."""
    process = FRESH.Process(target=_run, args=(program, arguments, dict(environment), said))
    process.start()
    return process


def ran(
    program: str, *arguments: str, said: Path, timeout_s: float
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end; what it wrote, errors included, is its `stdout`."""
    process = started(program, *arguments, environment=os.environ, said=said)
    process.join(timeout_s)
    assert process.exitcode is not None, f"it has not ended: {said.read_text()}"
    return subprocess.CompletedProcess(arguments, process.exitcode, said.read_text(), "")


def _run(
    program: str, arguments: tuple[str, ...], environment: dict[str, str], said: Path | None
) -> None:
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["-c", *arguments]
    if said is not None:
        with said.open("wb") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
    exec(compile(program, "<program>", "exec"), {"__name__": "__main__"})
