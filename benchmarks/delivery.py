"""
What delivery costs: keeping an event, being held while the shipper works, sending in bulk.

    python benchmarks/delivery.py

One run, one machine, one loopback server in a process of its own that reads a request and takes
it. Ratios count. The official flexprice SDK and a bare httpx2 client send the same events.
"""

from __future__ import annotations

import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from capture_envs import NotInstalledError, environment, last_line
from flexprice import Flexprice
from journal import a_record, held_us

from tokenmeter import TokenMeter
from tokenmeter.delivery.backends.flexprice import FlexpriceBackend
from tokenmeter.delivery.facade import Delivery
from tokenmeter.event import Event
from tokenmeter.lines import to_line

OPENMETER = "openmeter==1.0.0b236"  # installed below ~/.cache/tokenmeter-bench, if that works
OPENMETER_S_MAX = 120.0
BODY = b'{"message":"Events accepted for processing"}'
ANSWER = (
    b"HTTP/1.1 202 Accepted\r\ncontent-type: application/json\r\n"
    b"content-length: %d\r\n\r\n%s" % (len(BODY), BODY)
)
OPENMETERS_ANSWER = b"HTTP/1.1 204 No Content\r\n\r\n"
KEPT = 20_000  # records on the caller's path
HELD = 8_000  # calls timed while the shipper works
BATCH = 1_000
ROUNDS = 15  # batches of each sender, in turn, so that other load hits all alike
SHIPPED = 20_000  # records from the journal to the server, priced on the way
KEEP_GOAL, HELD_GOAL_US, SDK_GOAL = 3.0, 1_000.0, 10.0


@dataclass(frozen=True)
class Line:
    """One row of the table; `goal` None is for context."""

    name: str
    seen: str
    goal: str = ""
    met: bool | None = None


def each_us(call: Callable[[Any], object], given: Sequence[Any]) -> list[float]:
    times: list[float] = []
    for each in given:
        began = time.perf_counter_ns()
        call(each)
        times.append((time.perf_counter_ns() - began) / 1_000)
    return sorted(times)


def at(times: list[float], quantile: float) -> float:
    return times[min(len(times) - 1, int(quantile * len(times)))]


@contextmanager
def loopback() -> Generator[str]:
    """A server that reads each request whole, and takes it."""
    with subprocess.Popen([sys.executable, __file__, "serve"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            yield f"127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


def serve() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        print(server.getsockname()[1], flush=True)
        while True:
            connection, _ = server.accept()
            if os.fork() == 0:
                with connection, connection.makefile("rb") as lines:
                    while answer := take_one(lines):
                        connection.sendall(answer)
                os._exit(0)
            connection.close()


def take_one(lines: Any) -> bytes:
    """Read a request; return the answer, b"" at the end."""
    length = 0
    answer = ANSWER if b"/bulk" in (first := lines.readline()) else OPENMETERS_ANSWER
    for line in lines:
        if line.lower().startswith(b"content-length:"):
            length = int(line.partition(b":")[2])
        if line == b"\r\n":
            lines.read(length)
            return answer if first else b""
    return b""


def keeping() -> list[Line]:
    records = [a_record(n) for n in range(KEPT)]
    lines = [to_line(each) for each in records]
    with tempfile.TemporaryDirectory() as folder:
        fd = os.open(Path(folder) / "floor", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        delivery = Delivery("memory:", Path(folder) / "state", resolve=lambda record: [])
        delivery._running = True  # without its shipper, which the next part is about
        each_us(delivery.append_line, lines[:1_000])
        bare = each_us(lambda line: os.write(fd, line), lines)
        line = each_us(delivery.append_line, lines)
        whole = each_us(delivery.append, records)
        os.close(fd)
        delivery._closed = True
        delivery._leave()
    found = [
        Line("bare `os.write`, p50 / p99.9", f"{at(bare, 0.5):.2f} / {at(bare, 0.999):.1f} us")
    ]
    for name, times in (("a line kept", line), ("a record made a line and kept", whole)):
        ratios = [at(times, q) / at(bare, q) for q in (0.5, 0.999)]
        found.append(
            Line(
                f"{name}, p50 / p99.9",
                f"{at(times, 0.5):.2f} / {at(times, 0.999):.1f} us ({ratios[0]:.2f} x / "
                f"{ratios[1]:.2f} x)",
                f"{KEEP_GOAL:g} x",
                ratios[0] <= KEEP_GOAL,
            )
        )
    return found


def resolve(record: dict[str, Any]) -> Sequence[Event]:
    return [Event.from_dict(record)]


def held(place: str) -> list[Line]:
    lines = [to_line(a_record(n)) for n in range(KEPT + HELD)]
    with tempfile.TemporaryDirectory() as folder:
        fd = os.open(Path(folder) / "floor", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        bare = held_us(lambda line: os.write(fd, line), lines[:HELD])
        os.close(fd)
        meter = TokenMeter(backend(place), state_dir=Path(folder) / "state")
        delivery = meter._delivery
        for line in lines[HELD:]:
            delivery.append_line(line)  # a backlog, so that the shipper has work throughout
        ours = held_us(delivery.append_line, lines[:HELD])
        meter.shutdown(60.0)
    seen = at(ours, 0.999)
    return [
        Line("bare `os.write` beside nothing, p99.9", f"{at(bare, 0.999):.0f} us"),
        Line(
            "a call held while the shipper works, p50 / p99.9",
            f"{at(ours, 0.5):.1f} / {seen:.0f} us",
            f"{HELD_GOAL_US:g} us",
            seen <= HELD_GOAL_US,
        ),
    ]


def backend(place: str) -> FlexpriceBackend:
    return FlexpriceBackend(f"flexprice+http://{place}/v1", api_key="sk_benchmark")


def sending(place: str) -> list[Line]:
    events = [Event.from_dict(a_record(n)) for n in range(BATCH)]
    plain = [event.to_dict() for event in events]
    texts = [{**e, "properties": {k: str(v) for k, v in e["properties"].items()}} for e in plain]
    ours = backend(place)
    client = httpx2.Client(headers={"x-api-key": "sk_benchmark"})
    sdk = Flexprice(api_key_auth="sk_benchmark", server_url=f"http://{place}/v1")
    url = f"http://{place}/v1/events/bulk"
    senders: dict[str, Callable[[], object]] = {
        "tokenmeter": lambda: ours.send(events),
        "httpx2, `json=`": lambda: client.post(url, json={"events": plain}).raise_for_status(),
        "flexprice SDK, bulk": lambda: sdk.events.ingest_events_bulk(events=texts),  # type: ignore[arg-type]
    }
    took, cpu = in_turn(senders)
    ours.close()
    client.close()
    ratio = took["flexprice SDK, bulk"] / took["tokenmeter"]
    lines = [
        Line(
            name, f"{BATCH / took[name]:,.0f} events/s, {cpu[name] / BATCH * 1e6:.1f} us CPU each"
        )
        for name in senders
    ]
    lines.append(
        Line("tokenmeter, of the SDK", f"{ratio:.1f} x", f"{SDK_GOAL:g} x", ratio >= SDK_GOAL)
    )
    return lines


def in_turn(senders: dict[str, Callable[[], object]]) -> tuple[dict[str, float], dict[str, float]]:
    took: dict[str, list[float]] = {name: [] for name in senders}
    cpu: dict[str, list[float]] = {name: [] for name in senders}
    for _ in range(ROUNDS):
        for name, send in senders.items():
            began, used = time.perf_counter(), time.process_time()
            send()
            took[name].append(time.perf_counter() - began)
            cpu[name].append(time.process_time() - used)
    return (
        {name: statistics.median(times) for name, times in took.items()},
        {name: statistics.median(times) for name, times in cpu.items()},
    )


def shipping(place: str) -> list[Line]:
    lines = [to_line(a_record(n)) for n in range(SHIPPED)]
    with tempfile.TemporaryDirectory() as folder:
        meter = TokenMeter(backend(place), state_dir=folder)
        meter._delivery.append_line(lines[0])
        meter.flush(30.0)  # prices are loaded
        began, used = time.perf_counter(), time.process_time()
        for line in lines:
            meter._delivery.append_line(line)
        assert meter.flush(120.0)
        took, cpu = time.perf_counter() - began, time.process_time() - used
        meter.shutdown()
    return [Line("journal to server: read, priced, sent", rate(took, cpu, SHIPPED))]


def rate(took_s: float, cpu_s: float, events: int) -> str:
    return f"{events / took_s:,.0f} events/s, {cpu_s / events * 1e6:.1f} us CPU each"


def openmeter(place: str) -> list[Line]:
    """OpenMeter's SDK in an environment of its own: it brings packages that ours must not meet."""
    name = "OpenMeter SDK, bulk"
    try:
        python = environment("openmeter", (OPENMETER,))
        script = Path(__file__).with_name("delivery_openmeter.py")
        out = subprocess.run(
            [str(python), str(script), place, str(ROUNDS)],
            input=json.dumps([cloud_event(a_record(n)) for n in range(BATCH)]),
            capture_output=True,
            text=True,
            check=True,
            timeout=OPENMETER_S_MAX,
        ).stdout
    except (NotInstalledError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", None) or str(error)
        return [Line(name, f"not measured: {last_line(str(said))}")]
    took, cpu = json.loads(out)
    return [Line(name, rate(took, cpu, BATCH))]


def cloud_event(record: dict[str, Any]) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": record["event_id"],
        "source": record["source"],
        "type": record["event_name"],
        "subject": record["external_customer_id"],
        "time": record["timestamp"],
        "data": record["properties"],
    }


def main() -> None:
    warnings.simplefilter("ignore")
    found = keeping()
    with loopback() as place:
        found += held(place) + sending(place) + openmeter(place) + shipping(place)
    print("| figure | seen | goal | |\n| --- | --- | --- | --- |")
    for line in found:
        met = "" if line.met is None else "met" if line.met else "missed"
        print(f"| {line.name} | {line.seen} | {line.goal} | {met} |")
    print(f"\n{json.dumps({'python': sys.version.split()[0], 'load': os.getloadavg()[0]})}")


if __name__ == "__main__":
    serve() if sys.argv[1:] == ["serve"] else main()
