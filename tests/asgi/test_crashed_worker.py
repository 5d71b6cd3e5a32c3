"""A worker that is killed with a hold open: the hold expires, and the credit comes back."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from decimal import Decimal
from pathlib import Path

import httpx2

from tests.asgi.funded import IMAGE_PATH, PRICE, funded
from tests.asgi.workers import workers
from tokenmeter.engine.local import Engine

HOLD_S = 6
WAIT_S = 30.0

WORKER = """
import asyncio, sys
import uvicorn
from tests.asgi.upstream import read_all
from tokenmeter import TokenMeter
from tokenmeter.asgi import TokenMeterMiddleware
from tokenmeter.enforcement import Enforcement

async def provider(scope, receive, send):
    await read_all(receive)
    await asyncio.sleep(60)

app = TokenMeterMiddleware(
    provider, customer=lambda request: "acme", meter=TokenMeter(sys.argv[1]), enforce="wallet",
    enforcement=Enforcement(hold_s=float(sys.argv[2])),
)
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[3]), log_level="error", lifespan="off")
"""


def test_the_credit_of_a_killed_worker_comes_back(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'usage.db'}"
    with (
        funded(url, "acme", credit=str(PRICE)) as engine,
        workers(WORKER, 1, tmp_path / "home", url, str(HOLD_S)) as ((port, worker),),
    ):
        asking = threading.Thread(target=_ask, args=(port,))
        asking.start()
        _until(engine, Decimal(0))
        held_s = time.monotonic()
        worker.kill()
        worker.join(30)
        assert engine.wallets.available("acme") == 0
        _until(engine, PRICE)
        assert time.monotonic() - held_s <= HOLD_S + WAIT_S / 2
        asking.join(30)
        assert not asking.is_alive()


def _ask(port: int) -> None:
    fields = {"model": "gpt-image-1", "prompt": "x", "size": "1024x1024"}
    address = f"http://127.0.0.1:{port}{IMAGE_PATH}"
    with contextlib.suppress(httpx2.HTTPError):  # nobody is going to answer
        httpx2.post(address, content=json.dumps(fields).encode(), timeout=WAIT_S)


def _until(engine: Engine, available: Decimal) -> None:
    deadline = time.monotonic() + WAIT_S
    while engine.wallets.available("acme") != available:
        assert time.monotonic() < deadline
        time.sleep(0.1)
