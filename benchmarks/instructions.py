"""
How many instructions watching a call takes, beside what others take: the same in every hour.

    python benchmarks/instructions.py                     all: a quarter of an hour
    python benchmarks/instructions.py tokenmeter by-hand  some, about two minutes each

CPU time changes with the machine and its hour, instructions do not. valgrind counts those of all
threads, outside the kernel: of MANY calls less those of FEW, so that starting up falls out, less
the bare client's. The calls are those of capture.py. Needs valgrind (`apt install valgrind`).
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from capture_envs import PEERS, NotInstalledError, python_of

FEW, MANY = 50, 250
WARM = 5
RUN_S_MAX = 900
BARE, OURS, BY_HAND = "bare", "tokenmeter", "by-hand"
_COLLECTED = re.compile(r"Collected : (\d+)")


def call(name: str, times: int) -> None:
    """Make calls and end at once: this is what is counted."""
    import gc

    from capture_worker import Caller, Switch

    switch = None if name == BARE else Switch(name)
    caller = Caller()
    caller.call(WARM)
    gc.collect()
    gc.freeze()
    gc.disable()  # when it runs depends on what was imported
    caller.call(times)
    if switch is not None:
        switch.subject.settle()
    os._exit(0)


def started(python: Path, name: str, times: int) -> subprocess.Popen[str]:
    """Start a run that is counted."""
    tool = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
    command = [*tool, str(python), __file__, "--count", name, str(times)]
    same = {**os.environ, "PYTHONHASHSEED": "0"}
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=same)


def instructions(python: Path, name: str) -> float:
    """Return the instructions of one call; both runs at once, on two cores."""
    runs = [started(python, name, times) for times in (FEW, MANY)]
    said = [run.communicate(timeout=RUN_S_MAX)[1] for run in runs]
    found = [_COLLECTED.search(each) for each in said]
    if found[0] is None or found[1] is None:
        raise SystemExit(f"{name} was not counted: {said[0].strip()[-300:]}")
    return (int(found[1][1]) - int(found[0][1])) / (MANY - FEW)


def main(wanted: list[str]) -> None:
    """Print what each subject adds to the bare client, and its ratio to the cheapest peer."""
    here = Path(sys.executable)
    pythons = {OURS: here, BY_HAND: here}
    for peer in PEERS:
        if not wanted or peer.name in wanted:
            try:
                pythons[peer.name] = python_of(peer, fresh=False)
            except NotInstalledError as error:
                print(f"{peer.name}: not installed: {error}")
    bare = instructions(here, BARE)
    print(f"{BARE:12} {bare:12,.0f} instructions a call", flush=True)
    added: dict[str, float] = {}
    for name, python in pythons.items():
        if not wanted or name in wanted:
            added[name] = instructions(python, name) - bare
            print(f"{name:12} {added[name]:+12,.0f}", flush=True)
    peers = [added[name] for name in added if name not in (OURS, BY_HAND)]
    for name in (OURS, BY_HAND):
        if peers and name in added:
            print(f"{name}: {added[name] / min(peers):.2f} of the cheapest peer")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--count"]:
        call(sys.argv[2], int(sys.argv[3]))
    else:
        main(sys.argv[1:])
