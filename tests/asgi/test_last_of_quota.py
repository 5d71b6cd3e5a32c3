"""64 clients, four worker processes, one quota: exactly what is included is made."""

from __future__ import annotations

import json
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2

from tests.asgi.funded import IMAGE_PATH, funded
from tests.asgi.workers import IMAGE_WORKER, deliver_the_rest, workers
from tokenmeter.engine.local import Engine

CLIENTS = 64
CALLS = 40  # that are included
WORKERS = 4


def test_exactly_as_many_calls_succeed_as_the_plan_includes(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'usage.db'}"
    funded(url, "acme", credit="0", included=CALLS).close()
    with workers(IMAGE_WORKER, WORKERS, tmp_path / "home", url, "quota") as started:
        ports = [port for port, _ in started]
        statuses: Counter[int] = Counter()
        lock = threading.Lock()

        def client(number: int) -> None:
            with httpx2.Client(timeout=60) as http:
                for attempt in range(2):  # each comes back once after a 429
                    address = f"http://127.0.0.1:{ports[(number + attempt) % WORKERS]}"
                    fields = {"model": "gpt-image-1", "prompt": "x", "size": "1024x1024"}
                    answer = http.post(address + IMAGE_PATH, content=json.dumps(fields).encode())
                    with lock:
                        statuses[answer.status_code] += 1

        with ThreadPoolExecutor(CLIENTS) as pool:
            list(pool.map(client, range(CLIENTS)))
        assert statuses == {200: CALLS, 429: 2 * CLIENTS - CALLS}
    deliver_the_rest(url, tmp_path / "home", CALLS)
    with Engine(url) as engine:
        (quota,) = engine.quotas("acme", engine.events(limit=1).events[0].timestamp)
        assert quota.used == quota.limit == CALLS
