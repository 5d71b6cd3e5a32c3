"""
What keeping a record costs the caller, against the bare os.write of the same bytes.

    python benchmarks/journal.py

Ratios, from one run, on one disk. "held" is the longest a call waits for us.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tokenmeter.delivery.facade import Delivery
from tokenmeter.delivery.files import sync
from tokenmeter.delivery.journal import Journal
from tokenmeter.event import Event, Property
from tokenmeter.lines import to_line

RECORDS = 20_000
BLOCK = 1_000  # records timed at a time, in turn, so that other load hits all alike
ROUNDS = 60
FSYNC_RECORDS = 100
FSYNC_ROUNDS = 3
PAUSE_S = 0.0004  # between calls while the shipper works: about 2,000 calls a second


def a_record(number: int) -> dict[str, Any]:
    properties: dict[str, Property] = {
        "provider": "openai",
        "model": "gpt-4o-mini-2024-07-18",
        "request_model": "gpt-4o-mini",
        "model_type": "gpt-4o-mini",
        "operation": "chat",
        "streamed": "true",
        "input_tokens": 1200,
        "output_tokens": 160,
        "cache_read_tokens": 1024,
        "uncached_input_tokens": 176,
        "total_tokens": 1360,
        "request_count": 1,
        "run_id": "0198f3c2-6c1e-7e57-b3a1-0c8c1f6a2f10",
        "call_id": "0198f3c2-6c1e-7e57-b3a1-0c8c1f6a2f11",
        "attempt": 1,
        "outcome": "success",
        "billable": "true",
        "usage_source": "reported",
    }
    moment = datetime(2026, 11, 21, tzinfo=UTC)
    return Event("text_generated", f"evt_{number:026d}", "cust_001", moment, properties).to_dict()


def resolve(record: dict[str, Any]) -> Sequence[Event]:
    return [Event.from_dict(record)]


def each_us(call: Callable[[bytes], object], lines: list[bytes]) -> float:
    began = time.perf_counter_ns()
    for line in lines:
        call(line)
    return (time.perf_counter_ns() - began) / len(lines) / 1_000


def held_us(call: Callable[[bytes], object], lines: list[bytes]) -> list[float]:
    held: list[float] = []
    for line in lines:
        began = time.perf_counter_ns()
        call(line)
        held.append((time.perf_counter_ns() - began) / 1_000)
        time.sleep(PAUSE_S)
    return sorted(held)


def in_turn(
    calls: dict[str, Callable[[bytes], object]], lines: list[bytes], rounds_count: int
) -> dict[str, float]:
    """Time each call in turn, many rounds, and take the median of each."""
    rounds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds_count):
        for name, call in calls.items():
            rounds[name].append(each_us(call, lines))
    return {name: statistics.median(times) for name, times in rounds.items()}


def show(title: str, times: dict[str, float], unit: str = "us") -> None:
    print(f"\n{title}")
    floor = next(iter(times.values()))
    for name, each in times.items():
        ratio = f"{each / floor:6.2f} x   {each - floor:+7.2f} {unit}" if each != floor else ""
        print(f"  {name:<34}{each:10.2f} {unit}   {ratio}")


def main() -> None:
    lines = [to_line(a_record(n)) for n in range(RECORDS)]
    print(f"Python {sys.version.split()[0]}, records of {len(lines[0])} bytes")
    with tempfile.TemporaryDirectory() as folder:
        fd = os.open(Path(folder) / "floor", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        callers_path(Path(folder), fd, lines)
        while_shipping(Path(folder), fd, lines)


def callers_path(home: Path, fd: int, lines: list[bytes]) -> None:
    journal = Journal(home / "plain", ["none"])
    # Without its shipper thread, which the second part is about.
    delivery = Delivery("memory:", home / "delivery", resolve=resolve)
    delivery._running = True
    plain: dict[str, Callable[[bytes], object]] = {
        "os.write": lambda line: os.write(fd, line),
        "journal.append": journal.append,
        "delivery.append_line": delivery.append_line,
    }
    show("The caller's path, a record", in_turn(plain, lines[:BLOCK], ROUNDS))
    delivery._closed = True
    delivery._leave()
    safe = Journal(home / "safe", ["none"], durability="fsync")
    synced: dict[str, Callable[[bytes], object]] = {
        "os.write + fdatasync": lambda line: os.write(fd, line) and sync(fd),
        "journal.append, fsync": safe.append,
    }
    show("durability=fsync", in_turn(synced, lines[:FSYNC_RECORDS], FSYNC_ROUNDS))


def while_shipping(home: Path, fd: int, lines: list[bytes]) -> None:
    some = lines[: RECORDS // 4]
    bare = held_us(lambda line: os.write(fd, line), some)
    delivery = Delivery("memory:", home / "shipping", resolve=resolve)
    for line in lines:
        delivery.append_line(line)  # a backlog, so that the shipper has work throughout
    held = held_us(delivery.append_line, some)
    for name, quantile in (("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999), ("longest", 1.0)):
        place = min(len(held) - 1, int(quantile * len(held)))
        show(
            f"Held while the shipper works, {name}", {"os.write": bare[place], "ours": held[place]}
        )
    delivery.flush(60.0)
    began, cpu = time.perf_counter(), time.process_time()
    for line in lines:
        delivery.append_line(line)
    delivery.flush(60.0)
    took, used = time.perf_counter() - began, time.process_time() - cpu
    print(
        f"\nAppend to memory backend: {RECORDS / took:,.0f} events/s,"
        f" {used / RECORDS * 1e6:.1f} us CPU an event"
    )
    delivery.close(5.0)


if __name__ == "__main__":
    main()
