"""
Send a batch by OpenMeter's SDK, again and again; benchmarks/delivery.py starts this.

In an environment of its own, without tokenmeter. The events come on the standard input as JSON;
the median of the rounds goes out: seconds, and seconds of CPU, a batch.
"""

from __future__ import annotations

import json
import statistics
import sys
import time

# mypy and pyright run where it is not installed.
from openmeter import Client  # type: ignore[import-not-found]


def main(place: str, rounds: int) -> None:
    events = json.load(sys.stdin)
    client = Client(endpoint=f"http://{place}", token="om_benchmark")
    took: list[float] = []
    used: list[float] = []
    for _ in range(rounds):
        began, cpu = time.perf_counter(), time.process_time()
        client.events.ingest_events(events)
        took.append(time.perf_counter() - began)
        used.append(time.process_time() - cpu)
    print(json.dumps([statistics.median(took), statistics.median(used)]))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
