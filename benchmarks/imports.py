"""
What `import tokenmeter` costs, beside `import sqlite3, json, asyncio`. One run, one table.

    python benchmarks/imports.py

CPU time inside fresh processes that take turns, medians. The goal: at most twice the standard
library's. Exit code 1 if it is missed.
"""

from __future__ import annotations

import platform
import statistics
import subprocess
import sys

GOAL = 2.0
STARTS = 11  # counted; one more of each comes first, and writes the compiled files
STANDARD = "import sqlite3, json, asyncio"
OURS = "import tokenmeter"
EVERY_NAME = "import tokenmeter; [getattr(tokenmeter, name) for name in tokenmeter.__all__]"
USED = "import tokenmeter; tokenmeter.TokenMeter('memory:').instrument()"

_TIMED = """
import time
began = time.process_time()
{}
print(time.process_time() - began)
"""


def import_ms(statement: str) -> float:
    """Return the CPU time of one statement in a fresh process."""
    code = _TIMED.format(statement)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return float(done.stdout) * 1_000


def medians(statements: tuple[str, ...], starts: int = STARTS) -> dict[str, float]:
    """Return each statement's median; the first start of each does not count."""
    times: dict[str, list[float]] = {statement: [] for statement in statements}
    for _ in range(starts + 1):
        for statement in statements:
            times[statement].append(import_ms(statement))
    return {statement: statistics.median(found[1:]) for statement, found in times.items()}


def main() -> int:
    """Print the table; 0 if the goal is met."""
    found = medians((STANDARD, OURS, EVERY_NAME, USED))
    standard = found[STANDARD]
    print(f"{platform.machine()}, Python {platform.python_version()}, {STARTS} starts each\n")
    print(f"{'':66}{'CPU ms':>8}{'ratio':>8}")
    for name, ms in found.items():
        shown = "a meter that is switched on" if name == USED else name
        shown = "every public name" if name == EVERY_NAME else shown
        print(f"{shown:66}{ms:8.1f}{ms / standard:8.2f}")
    ratio = max(found[OURS], found[EVERY_NAME]) / standard
    print(f"\nThe goal is {GOAL} x: {'met' if ratio <= GOAL else 'MISSED'} ({ratio:.2f} x).")
    return 0 if ratio <= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
