"""64 clients, four worker processes, one wallet: exactly what is paid for is made."""

from __future__ import annotations

from pathlib import Path

from tests.asgi.funded import PRICE, funded
from tests.asgi.workers import IMAGE_WORKER, crowd, deliver_the_rest, workers
from tokenmeter.engine.local import Engine

CLIENTS = 64
CALLS = 40  # that the credit covers
WORKERS = 4


def test_exactly_as_many_calls_succeed_as_the_wallet_pays_for(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'usage.db'}"
    funded(url, "acme", credit=str(PRICE * CALLS)).close()
    with workers(IMAGE_WORKER, WORKERS, tmp_path / "home", url, "wallet") as started:
        statuses = crowd([port for port, _ in started], CLIENTS)
        assert statuses == {200: CALLS, 402: 2 * CLIENTS - CALLS}
    deliver_the_rest(url, tmp_path / "home", CALLS)
    with Engine(url) as engine:
        events = engine.events(limit=1000).events
        assert len(events) == CALLS
        assert len({event.event_id for event in events}) == CALLS
        assert engine.wallets.available("acme") == 0
