"""64 clients, four worker processes, one wallet: exactly what is paid for is made."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2

from tests.asgi.funded import IMAGE_PATH, PRICE, funded
from tokenmeter.engine.local import Engine

CLIENTS = 64
CALLS = 40  # that the credit covers
WORKERS = 4
START_S = 30

WORKER = """
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
    enforce="wallet",
)
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), log_level="error", lifespan="off")
"""


def free_ports(count: int) -> list[int]:
    held = [socket.socket() for _ in range(count)]
    for each in held:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in held]
    for each in held:
        each.close()
    return ports


def test_exactly_as_many_calls_succeed_as_the_wallet_pays_for(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'usage.db'}"
    funded(url, "acme", credit=str(PRICE * CALLS)).close()
    environment = {**os.environ, "TOKENMETER_HOME": str(tmp_path / "home")}
    ports = free_ports(WORKERS)
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, url, str(port)],
            env=environment,
            cwd=Path(__file__).parents[2],
        )
        for port in ports
    ]
    try:
        for port in ports:
            _await(port)
        statuses: Counter[int] = Counter()
        lock = threading.Lock()

        def client(number: int) -> None:
            with httpx2.Client(timeout=60) as http:
                for attempt in range(2):  # each comes back once after a 402
                    address = f"http://127.0.0.1:{ports[(number + attempt) % WORKERS]}"
                    fields = {"model": "gpt-image-1", "prompt": "x", "size": "1024x1024"}
                    answer = http.post(address + IMAGE_PATH, content=json.dumps(fields).encode())
                    with lock:
                        statuses[answer.status_code] += 1

        with ThreadPoolExecutor(CLIENTS) as pool:
            list(pool.map(client, range(CLIENTS)))
        assert statuses == {200: CALLS, 402: 2 * CLIENTS - CALLS}
    finally:
        for worker in workers:
            worker.terminate()
        for worker in workers:
            worker.wait(30)
    with Engine(url) as engine:
        _arrived(engine)
        assert engine.wallets.available("acme") == 0


def _arrived(engine: Engine) -> None:
    """The workers delivered at exit what they had."""
    events = engine.events(limit=1000).events
    assert len(events) == CALLS
    assert len({event.event_id for event in events}) == CALLS


def _await(port: int) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise TimeoutError(f"nobody listens on {port}")
