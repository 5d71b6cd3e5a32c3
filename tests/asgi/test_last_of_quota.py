"""64 clients, four worker processes, one quota: exactly what is included is made."""

from __future__ import annotations

from pathlib import Path

from tests.asgi.funded import funded
from tests.asgi.workers import IMAGE_WORKER, crowd, deliver_the_rest, workers
from tokenmeter.engine.local import Engine

CLIENTS = 64
CALLS = 40  # that are included
WORKERS = 4


def test_exactly_as_many_calls_succeed_as_the_plan_includes(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'usage.db'}"
    funded(url, "acme", credit="0", included=CALLS).close()
    with workers(IMAGE_WORKER, WORKERS, tmp_path / "home", url, "quota") as started:
        statuses = crowd([port for port, _ in started], CLIENTS)
        assert statuses == {200: CALLS, 429: 2 * CLIENTS - CALLS}
    deliver_the_rest(url, tmp_path / "home", CALLS)
    with Engine(url) as engine:
        (quota,) = engine.quotas("acme", engine.events(limit=1).events[0].timestamp)
        assert quota.used == quota.limit == CALLS
