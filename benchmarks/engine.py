"""
The local engine: events in with their meters counted, and one customer's month out.

    python benchmarks/engine.py [--events 1000000] [--large 10000000] [--folder DIR]

The reference is plain `sqlite3.executemany` of the same events as JSON, dedup by a unique id,
in the same run: blocks of both take turns, so that other load hits both alike. The month is the
quantity of every meter by the price that bills it, for one customer, after `--events` and after
`--large` events; the ten-million run takes a while.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import random
import resource
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from tokenmeter.engine.local import Engine
from tokenmeter.engine.metering import MeterQuery, assignments
from tokenmeter.engine.store.documents import Document, Documents
from tokenmeter.event import Event, Property
from tokenmeter.rating.define import define_meter
from tokenmeter.rating.filters import Filter
from tokenmeter.rating.models import FlatFee
from tokenmeter.rating.price import Price

BATCH = 1_000
CUSTOMERS = 1_000
MODELS = 20
START = datetime(2026, 10, 1, tzinfo=UTC)
MONTH = timedelta(days=30)
ROUNDS = 9
TEXT, IMAGE = "text_generated", "image_generated"
METERS = (
    (TEXT, "input_tokens"),
    (TEXT, "output_tokens"),
    (TEXT, "cache_read_tokens"),
    (TEXT, "request_count"),
    (IMAGE, "image_count"),
    (IMAGE, "input_tokens"),
    (IMAGE, "output_tokens"),
    (IMAGE, "request_count"),
)


@dataclass
class Timed:
    """What some blocks took."""

    events: int = 0
    wall_s: float = 0
    cpu_s: float = 0
    longest_s: float = field(default=0)

    def run(self, work: Callable[[], object], events: int) -> None:
        """Time one block."""
        cpu, wall = time.process_time(), time.perf_counter()
        work()
        took = time.perf_counter() - wall
        self.cpu_s += time.process_time() - cpu
        self.wall_s += took
        self.events += events
        self.longest_s = max(self.longest_s, took)

    def __str__(self) -> str:
        rate, cpu = self.events / self.wall_s, self.cpu_s / self.events * 1e6
        return f"{rate:>10,.0f} ev/s {cpu:>7.1f} us CPU/event, longest {self.longest_s:.3f} s"


def an_event(number: int, of: int, rng: random.Random) -> Event:
    """Make an event as capture makes them: 18 properties, spread evenly over the month."""
    is_image = number % 2 == 1
    properties: dict[str, Property] = {
        "provider": "openai",
        "model": f"model-{rng.randrange(MODELS)}",
        "model_type": "gpt",
        "operation": "images" if is_image else "chat",
        "outcome": "success",
        "billable": "true",
        "usage_source": "reported",
        "feature": "poster",
        "cost_source": "computed",
        "pricebook_version": "genai-prices-0.2.3",
        "request_count": 1,
        "input_tokens": rng.randrange(5_000),
        "output_tokens": rng.randrange(1_000),
        "run_id": f"run_{rng.getrandbits(128):032x}",
        "cost_usd": f"0.{rng.randrange(10_000):04}",
    }
    if is_image:
        properties |= {"image_count": 1, "size": "1024x1024", "quality": "high"}
    else:
        call = f"call_{rng.getrandbits(128):032x}"
        properties |= {"cache_read_tokens": rng.randrange(100), "call_id": call, "attempt": 1}
    return Event(
        IMAGE if is_image else TEXT,
        f"evt_{rng.getrandbits(128):032x}",
        f"cust_{rng.randrange(CUSTOMERS):05}",
        START + MONTH * number / of,
        properties,
    )


def batches(events: int, seed: int) -> Iterator[list[Event]]:
    """Make batches in the order of time; only one is in memory."""
    rng = random.Random(seed)
    for first in range(0, events, BATCH):
        yield [an_event(first + i, events, rng) for i in range(BATCH)]


class Reference:
    """Plain sqlite3: the same events as JSON text, an fsync per batch."""

    def __init__(self, folder: Path) -> None:
        self._raw = sqlite3.connect(folder / "reference.db", isolation_level=None)
        self._raw.execute("PRAGMA journal_mode=WAL")
        self._raw.execute("PRAGMA synchronous=FULL")
        self._raw.execute(
            "CREATE TABLE events (id INTEGER PRIMARY KEY, event_id TEXT UNIQUE, name TEXT, "
            "customer TEXT, at INTEGER, properties TEXT)"
        )

    def rows(self, events: Sequence[Event]) -> list[tuple[object, ...]]:
        """Make the rows, outside of what is timed."""
        return [
            (e.event_id, e.event_name, e.external_customer_id, i, json.dumps(dict(e.properties)))
            for i, e in enumerate(events)
        ]

    def insert(self, rows: Sequence[tuple[object, ...]]) -> None:
        """Insert a batch."""
        self._raw.execute("BEGIN IMMEDIATE")
        self._raw.executemany(
            "INSERT OR IGNORE INTO events (event_id, name, customer, at, properties) "
            "VALUES (?, ?, ?, ?, ?)",
            rows,
        )
        self._raw.execute("COMMIT")

    def close(self) -> None:
        """Close the file."""
        self._raw.close()


def body_of(number: int) -> dict[str, object]:
    """Write a meter's fields."""
    name, counted = METERS[number]
    return {
        "name": f"{name} {counted}",
        "event_name": name,
        "aggregation": {"type": "SUM", "field": counted},
        "reset_usage": "BILLING_PERIOD",
    }


def prices_of(number: int) -> list[Price]:
    """A price for each of some models, and one for the rest."""
    dollar = FlatFee(Decimal(1))
    listed = [(Filter("model", (f"model-{i}",)),) for i in range(4)]
    return [
        Price(f"price_{number}_{i}", "usd", dollar, meter_id=f"meter_{number}", filters=filters)
        for i, filters in enumerate([*listed, ()])
    ]


def define(engine: Engine) -> None:
    """Define the meters and prices."""
    with engine.store.writing() as connection:
        documents = Documents(connection)
        for number in range(len(METERS)):
            documents.insert(Document("meter", f"meter_{number}", body_of(number)))
            for price in prices_of(number):
                values = {f.key: list(f.values) for f in price.filters}
                body = {"meter_id": f"meter_{number}", "filter_values": values}
                documents.insert(Document("price", price.price_id, body))


def the_month(engine: Engine) -> Decimal:
    """Measure one customer's month: every meter, by the price that bills it."""
    total = Decimal(0)
    for number in range(len(METERS)):
        meter = define_meter({**body_of(number), "id": f"meter_{number}"})
        query = MeterQuery(meter, ("cust_00042",), START, START + MONTH)
        found = assignments(engine.store, query, prices_of(number))
        total += sum((q.quantity for q in found.by_price.values()), found.unpriced.quantity)
    return total


def load(folder: Path, events: int, *, beside: bool) -> Engine:
    """Fill a database, print what it took, and leave the engine open."""
    folder.mkdir()
    engine = Engine(f"sqlite:///{folder}/usage.db")
    define(engine)
    reference = Reference(folder) if beside else None
    ours, plain = Timed(), Timed()
    memory_mb: list[float] = []
    for at, batch in enumerate(batches(events, seed=events)):
        ours.run(lambda batch=batch: engine.ingest(batch), BATCH)  # type: ignore[misc]
        if reference is not None:
            rows = reference.rows(batch)
            plain.run(lambda rows=rows: reference.insert(rows), BATCH)  # type: ignore[misc]
        if at in (events // BATCH // 10, events // BATCH - 1):
            memory_mb.append(_resident_mb())
    print(f"ingest {events:>10,} events, 8 meters {ours}")
    if reference is not None:
        print(f"       plain sqlite3 executemany     {plain}")
        wall = (ours.events / ours.wall_s) / (plain.events / plain.wall_s)
        print(f"       ours / plain: {wall:.2f} x the events a second")
        reference.close()
    engine.close()
    print(f"size   {(folder / 'usage.db').stat().st_size / events:.0f} bytes an event")
    print(f"memory {memory_mb[0]:.0f} MB after a tenth, {memory_mb[-1]:.0f} MB at the end")
    return Engine(f"sqlite:///{folder}/usage.db")


def month_ms(engine: Engine, events: int) -> float:
    """Time the month, print and return the median."""
    the_month(engine)
    gc.collect()
    took: list[float] = []
    cpu = time.process_time()
    for _ in range(ROUNDS):
        started = time.perf_counter()
        total = the_month(engine)
        took.append((time.perf_counter() - started) * 1000)
    median = statistics.median(took)
    print(
        f"month  one customer of {events:,} events: median {median:.1f} ms, "
        f"best {min(took):.1f} ms, {(time.process_time() - cpu) / ROUNDS * 1000:.1f} ms CPU "
        f"(sum {total})"
    )
    return median


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def main() -> None:
    """Run, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--large", type=int, default=0)
    parser.add_argument("--folder", type=Path)
    chosen = parser.parse_args()
    load_average = " ".join(f"{load:.1f}" for load in os.getloadavg())
    print(
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {platform.machine()}, {os.cpu_count()} CPUs, "
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, "
        f"load average {load_average}"
    )
    with tempfile.TemporaryDirectory(dir=chosen.folder) as name:
        engine = load(Path(name) / "events", chosen.events, beside=True)
        first = month_ms(engine, chosen.events)
        engine.close()
        if chosen.large:
            engine = load(Path(name) / "large", chosen.large, beside=False)
            second = month_ms(engine, chosen.large)
            print(f"       {second / first:.2f} x the time at {chosen.events:,}")
            engine.close()
    sys.stdout.flush()


if __name__ == "__main__":
    main()
