"""Worker processes of a gateway, as a server starts them."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.process import BaseProcess
from pathlib import Path

import httpx2

from tests.asgi.funded import IMAGE_PATH
from tests.fresh import started
from tokenmeter import TokenMeter

START_S = 30
DELIVERY_S_MAX = 60
# A gateway that sells images to acme; its arguments: the backend, and what it enforces.
IMAGE_WORKER = """
import json, sys
import uvicorn
from tests.asgi.upstream import answering
from tokenmeter import TokenMeter
from tokenmeter.asgi import TokenMeterMiddleware

meter = TokenMeter(sys.argv[1])
image = json.dumps({"created": 1793491200, "data": [{"b64_json": "aGk="}]}).encode()
app = TokenMeterMiddleware(
    answering(200, {"content-type": "application/json"}, [image]),
    customer=lambda request: "acme",
    meter=meter,
    enforce=sys.argv[2],
)
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[3]), log_level="error", lifespan="off")
"""


def free_ports(count: int) -> list[int]:
    held = [socket.socket() for _ in range(count)]
    for each in held:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in held]
    for each in held:
        each.close()
    return ports


@contextlib.contextmanager
def workers(
    script: str, count: int, home: Path, *arguments: str
) -> Generator[Sequence[tuple[int, BaseProcess]]]:
    """Run a script as processes that listen: its arguments are ours, then its port."""
    environment = {**os.environ, "TOKENMETER_HOME": str(home)}
    made = [
        (port, started(script, *arguments, str(port), environment=environment))
        for port in free_ports(count)
    ]
    try:
        for port, _ in made:
            listens(port)
        yield made
    finally:
        for _, worker in made:
            worker.terminate()
        for _, worker in made:
            worker.join(30)


def crowd(ports: Sequence[int], clients: int) -> Counter[int]:
    """Have so many clients ask for an image at once, each twice; count how they are answered."""
    statuses: Counter[int] = Counter()
    lock = threading.Lock()
    asked = json.dumps({"model": "gpt-image-1", "prompt": "x", "size": "1024x1024"}).encode()

    def client(number: int) -> None:
        with httpx2.Client(timeout=60) as http:
            for attempt in range(2):  # each comes back once after it was refused
                port = ports[(number + attempt) % len(ports)]
                answer = http.post(f"http://127.0.0.1:{port}{IMAGE_PATH}", content=asked)
                with lock:
                    statuses[answer.status_code] += 1

    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(client, range(clients)))
    return statuses


def deliver_the_rest(url: str, home: Path, count: int) -> None:
    """Do what the next worker does: uvicorn ends by the signal, before all is delivered."""
    meter = TokenMeter(url, state_dir=home)
    deadline = time.monotonic() + DELIVERY_S_MAX
    while len(meter.engine.events(limit=1000).events) < count and time.monotonic() < deadline:
        meter.flush(1)
    meter.shutdown()


def listens(port: int) -> None:
    """Wait until somebody listens on a port."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise TimeoutError(f"nobody listens on {port}")
