"""The file under a running server is deleted or replaced: it takes nothing that would be lost."""

from __future__ import annotations

from pathlib import Path

import httpx2
import pytest

from tests.server.running import Server
from tokenmeter.engine.local import Engine

EVENT = {"event_name": "api_calls", "external_customer_id": "c", "event_id": "evt_1"}
CUSTOMER = {"external_id": "acme", "name": "Acme"}


def move_away(server: Server, how: str) -> Path:
    """Delete the file, replace it with another database, or rename it; tell where it is now."""
    path = Path(server.engine.store.name)
    away = path.with_name("away.db")
    if how == "deleted":
        for end in ("", "-wal", "-shm"):
            Path(f"{path}{end}").unlink(missing_ok=True)
    else:
        path.rename(away)
    if how == "replaced":
        with Engine(f"sqlite:///{path.with_name('backup.db')}"):
            pass
        path.with_name("backup.db").rename(path)
    return away


@pytest.mark.parametrize("how", ["deleted", "replaced", "renamed"])
def test_what_would_be_lost_is_answered_503_and_says_what_to_do(server: Server, how: str) -> None:
    assert server.post("/events", EVENT).status == 202
    move_away(server, how)
    for answer in (
        server.post("/events", {**EVENT, "event_id": "evt_2"}),
        server.post("/events/bulk", {"events": [{**EVENT, "event_id": "evt_3"}]}),
        server.post("/customers", CUSTOMER),
        server.get("/customers/external/acme"),
    ):
        assert (answer.status, answer.body["code"]) == (503, "service_unavailable"), answer
        assert "was deleted or replaced while this server had it open" in answer.body["message"]
        assert "restart the server" in answer.body["message"]
    assert httpx2.get(f"{server.origin}/health").status_code == 503


def test_a_file_that_is_put_back_is_gone_on_with(server: Server) -> None:
    away = move_away(server, "renamed")
    assert server.post("/events", EVENT).status == 503
    away.rename(server.engine.store.name)
    assert server.post("/events", EVENT).status == 202
    assert server.post("/customers", CUSTOMER).status == 201
