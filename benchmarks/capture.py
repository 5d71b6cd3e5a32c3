"""
What watching a call costs: the bare openai client, ours, and the instrumentations of others.

    python benchmarks/capture.py            all, about five minutes
    python benchmarks/capture.py --quick    about one
    python benchmarks/capture.py --setup    install the peers' environments anew, then measure

Every subject runs in a process of its own, in an environment of its own (made on demand below
~/.cache/tokenmeter-bench), against the same server inside the process, and is compared with the
bare client in that same process: blocks take turns, the median of the paired differences
counts. CPU time of all threads. Ours writes its journal and ships it; peers export to nothing.
What a tap would cost that does the least by hand is measured, too (capture_byhand).
The goals: a call at most 1/5 of the cheapest peer's, a chunk at most 1 us. Exit code 1 if missed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

from capture_envs import PEERS, NotInstalledError, last_line, python_of

CALL_GOAL = 1 / 5  # of the cheapest peer
CHUNK_GOAL_US = 1.0
ROUNDS, SECONDS = 2, 4.0  # per case
QUICK_ROUNDS, QUICK_SECONDS = 1, 0.8
SUBJECT_S_MAX = 180
WORKER = Path(__file__).with_name("capture_worker.py")
CASES = ("call sync", "call async", "chunk sync", "chunk async")
OURS, BY_HAND = "tokenmeter", "by-hand"

Figures = dict[str, dict[str, float]]  # by case


@dataclass
class Row:
    """What was measured of one subject, or why it was not."""

    name: str
    title: str
    rounds: list[Figures] = field(default_factory=list[Figures])
    versions: dict[str, str] = field(default_factory=dict[str, str])
    problem: str = ""

    def us(self, case: str, figure: str = "added_us") -> float | None:
        """The mean of the rounds; None if this was not measured."""
        found = [figures[case][figure] for figures in self.rounds if case in figures]
        return statistics.fmean(found) if found else None

    @property
    def tokens_arrived(self) -> bool:
        """Whether each kind of call was reported with its tokens."""
        return all(case["seen"] for figures in self.rounds for case in figures.values())


def measure(row: Row, python: Path, seconds: float) -> None:
    """Run a subject once more."""
    command = [str(python), str(WORKER), row.name, str(seconds)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=SUBJECT_S_MAX, check=True
        )
    except subprocess.CalledProcessError as error:
        row.problem = f"failed: {last_line(error.stderr)}"
        return
    except subprocess.TimeoutExpired:
        row.problem = f"failed: took more than {SUBJECT_S_MAX} s"
        return
    found = json.loads(last_line(done.stdout))
    row.rounds.append(found["cases"])
    row.versions.update(found["versions"])


def rows(*, rounds: int, seconds: float, fresh: bool) -> list[Row]:
    """Measure all subjects, in turn."""
    here = Path(sys.executable)
    pythons: dict[str, Path] = {OURS: here, BY_HAND: here}
    measured = [Row(OURS, OURS), Row(BY_HAND, "no meter: a tap by hand, no checks")]
    for peer in PEERS:
        row = Row(peer.name, peer.title)
        measured.append(row)
        try:
            pythons[peer.name] = python_of(peer, fresh=fresh)
        except NotInstalledError as error:
            row.problem = f"not installed: {error}"
    for number in range(rounds):
        for row in measured:
            if not row.problem:
                print(f"round {number + 1}: {row.title}", file=sys.stderr, flush=True)
                measure(row, pythons[row.name], seconds)
    return measured


def lines(measured: list[Row]) -> Iterator[str]:
    """Write the table."""
    yield f"{'CPU us, all threads':36}" + "".join(f"{case:>13}" for case in CASES) + "  tokens"
    ours = measured[0]
    bare = [_median_bare(measured, case) for case in CASES]
    yield _line("the bare client", bare, "")
    yield "added to it by:"
    if ours.problem:
        yield f"{ours.title:36}{ours.problem}"
        return
    yield _line(ours.title, [ours.us(case) for case in CASES], _arrived(ours))
    callers = [ours.us(case, "caller_us") for case in CASES]
    yield _line("  of that, in the caller's thread", callers, "")
    asking = [None, None, *(ours.us(f"edited {case}") for case in CASES[2:])]
    yield _line("  when it has to ask for the usage", asking, "")
    for row in measured[1:]:
        if row.problem:
            yield f"{row.title:36}{row.problem}"
        else:
            yield _line(row.title, [row.us(case) for case in CASES], _arrived(row))


def _median_bare(measured: list[Row], case: str) -> float | None:
    found = [us for row in measured if (us := row.us(case, "bare_us")) is not None]
    return statistics.median(found) if found else None


def _line(title: str, figures: list[float | None], last: str) -> str:
    shown = "".join(f"{'-' if us is None else f'{us:.1f}':>13}" for us in figures)
    return f"{title:36}{shown}{last:>8}"


def _arrived(row: Row) -> str:
    return "yes" if row.tokens_arrived else "NO"


def verdicts(measured: list[Row]) -> Iterator[tuple[str, bool]]:
    """Say for each goal how near we are, and whether it is met."""
    ours = measured[0]
    for case in CASES[:2]:
        peers = [(us, row.title) for row in measured[2:] if (us := row.us(case)) is not None]
        mine, least = ours.us(case), measured[1].us(case)
        if mine is None or not peers:
            yield f"{case}: cannot be compared", False
            continue
        cheapest, title = min(peers)
        met = mine <= cheapest * CALL_GOAL
        by_hand = "" if least is None else f" (by hand: {least / cheapest:.2f})"
        yield f"{case}: {mine / cheapest:.2f} of {title}{by_hand}, goal {CALL_GOAL}", met
    for case in CASES[2:]:
        worst = max(ours.us(case) or 0.0, ours.us(f"edited {case}") or 0.0)
        yield f"{case}: {worst:.2f} us, goal {CHUNK_GOAL_US}", 0 < worst <= CHUNK_GOAL_US


def machine() -> Iterator[str]:
    """Say where and when this was measured."""
    model = platform.processor() or platform.machine()
    about = Path("/proc/cpuinfo")
    if about.exists():
        names = [row for row in about.read_text().splitlines() if row.startswith("model name")]
        model = names[0].partition(":")[2].strip() if names else model
    load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
    yield f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {model}, {os.cpu_count()} cores, load {load}"
    yield f"{platform.system()}, Python {platform.python_version()}"


def main() -> int:
    """Print the table; 0 if the goals are met."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--quick", action="store_true", help="about one minute, less exact")
    parser.add_argument("--setup", action="store_true", help="install the peers anew")
    options = parser.parse_args()
    missing = [name for name in ("openai", "httpx2", "tokenmeter") if find_spec(name) is None]
    if missing:
        print(f"{', '.join(missing)} must be installed: pip install -e '.[demo]'")
        return 2
    head = list(machine())
    rounds, seconds = (QUICK_ROUNDS, QUICK_SECONDS) if options.quick else (ROUNDS, SECONDS)
    measured = rows(rounds=rounds, seconds=seconds, fresh=options.setup)
    print(*head, "", *lines(measured), "", sep="\n")
    versions = {name: version for row in measured for name, version in row.versions.items()}
    print(", ".join(f"{name} {version}" for name, version in sorted(versions.items())), "\n")
    said = list(verdicts(measured))
    for goal, met in said:
        print(f"{goal}: {'met' if met else 'MISSED'}")
    return 0 if all(met for _, met in said) else 1


if __name__ == "__main__":
    sys.exit(main())
