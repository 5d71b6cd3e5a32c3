"""64 clients, four worker processes, one wallet: exactly what is paid for is made."""

from __future__ import annotations

import json
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2

from tests.asgi.funded import IMAGE_PATH, PRICE, funded
from tests.asgi.workers import IMAGE_WORKER, deliver_the_rest, workers
from tokenmeter.engine.local import Engine

CLIENTS = 64
CALLS = 40  # that the credit covers
WORKERS = 4


def test_exactly_as_many_calls_succeed_as_the_wallet_pays_for(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'usage.db'}"
    funded(url, "acme", credit=str(PRICE * CALLS)).close()
    with workers(IMAGE_WORKER, WORKERS, tmp_path / "home", url, "wallet") as started:
        ports = [port for port, _ in started]
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
    deliver_the_rest(url, tmp_path / "home", CALLS)
    with Engine(url) as engine:
        events = engine.events(limit=1000).events
        assert len(events) == CALLS
        assert len({event.event_id for event in events}) == CALLS
        assert engine.wallets.available("acme") == 0
