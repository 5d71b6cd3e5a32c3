"""A wallet that runs low says so once, and fills itself once."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from tests.engine.sold import FREE, StillClock, customer, d, opened, wallet
from tokenmeter.engine.alerts import WEBHOOK_TRIES_MAX, Alert, Alerts, Webhook
from tokenmeter.engine.store.protocol import Store
from tokenmeter.engine.wallets import Wallets

Opened = tuple[Store, Wallets, StillClock, list[Alert]]
LOW = {
    "critical": {"threshold": "1"},
    "warning": {"threshold": "5", "condition": "below"},
    "info": {"threshold": "100", "condition": "above"},
}


@pytest.fixture
def acme(database: str) -> Iterator[Opened]:
    store, wallets, clock = opened(database)
    customer(store)
    heard: list[Alert] = []
    wallets.alerts.listen(heard.append)
    yield store, wallets, clock, heard
    wallets.close()
    store.close()


def states(heard: list[Alert]) -> list[str]:
    return [a.body["alert_state"] for a in heard if a.kind == "wallet.alert"]


def test_each_level_is_told_once_and_so_is_the_recovery(acme: Opened) -> None:
    _, wallets, _, heard = acme
    w = wallet(wallets, "10", alert_settings=LOW)
    for taken in ("4", "1", "1", "3.5", "0.1"):
        wallets.debit(w, {"credits": taken})
    assert wallets.watch(w) == "critical"
    wallets.top_up(w, {"credits_to_add": "50", "transaction_reason": FREE})
    wallets.top_up(w, {"credits_to_add": "60", "transaction_reason": FREE})
    wallets.close()
    assert states(heard) == ["warning", "critical", "ok", "info"]
    assert heard[0].body["real_time_balance"] == "5"
    assert heard[2].body["alert_type"] == "recovered"
    assert wallets.get(w)["alert_state"] == "info"


def test_a_hold_that_leaves_little_alerts(acme: Opened) -> None:
    _, wallets, _, heard = acme
    w = wallet(wallets, "10", alert_settings={"warning": {"threshold": "5"}})
    wallets.hold("acme", d(4))
    wallets.debit(w, {"credits": "5"})
    wallets.close()
    assert states(heard) == ["warning"]


def test_alerts_that_are_switched_off_are_not_sent(acme: Opened) -> None:
    _, wallets, _, heard = acme
    w = wallet(wallets, "10", alert_settings={**LOW, "alert_enabled": False})
    wallets.debit(w, {"credits": "9.5"})
    wallets.close()
    assert heard == []


def test_a_wallet_fills_itself_once_per_cooldown(acme: Opened) -> None:
    _, wallets, clock, heard = acme
    auto = {"enabled": True, "threshold": "2", "amount": "3", "cooldown": 60}
    w = wallet(wallets, "10", auto_topup=auto)
    wallets.debit(w, {"credits": "8"})  # to 2: filled to 5
    assert wallets.get(w)["credit_balance"] == "5"
    wallets.debit(w, {"credits": "4"})  # to 1: still resting
    assert wallets.get(w)["credit_balance"] == "1"
    clock.move(60)
    wallets.watch(w)
    wallets.watch(w)
    assert wallets.get(w)["credit_balance"] == "4"
    wallets.close()
    assert [a.kind for a in heard] == ["wallet.topped_up"] * 2
    assert heard[0].body["transaction"]["reference_type"] == "AUTO_TOPUP"


def test_a_hold_fills_a_wallet_that_is_low(acme: Opened) -> None:
    _, wallets, _, _ = acme
    w = wallet(wallets, "3", auto_topup={"enabled": True, "threshold": "3", "amount": "10"})
    wallets.hold("acme", d(1))
    assert wallets.get(w)["credit_balance"] == "13"


def test_a_listener_that_fails_is_logged_and_the_next_one_hears(
    caplog: pytest.LogCaptureFixture,
) -> None:
    heard: list[Alert] = []

    def fails(_alert: Alert) -> None:
        raise ValueError("no")

    alerts = Alerts(fails, heard.append)
    alerts.send(Alert("wallet.alert", {}))
    alerts.close()
    alerts.send(Alert("wallet.alert", {}))
    alerts.close()
    assert len(heard) == 2
    assert "a listener failed on wallet.alert" in caplog.text


class Answers(BaseHTTPRequestHandler):
    """Answers with the statuses that its server has, and keeps what it got."""

    def do_POST(self) -> None:
        server: Any = self.server
        server.got.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        self.send_response(server.statuses.pop(0))
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
        """Stay quiet."""


@pytest.fixture
def hook() -> Iterator[Any]:
    server: Any = HTTPServer(("127.0.0.1", 0), Answers)
    server.got, server.statuses = [], []
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize(
    ("statuses", "tries", "logged"),
    [
        ([200], 1, ""),
        ([500, 429, 204], 3, ""),
        ([400], 1, "HTTP 400"),
        ([503] * WEBHOOK_TRIES_MAX, WEBHOOK_TRIES_MAX, "HTTP 503"),
    ],
)
def test_a_webhook_is_tried_again_within_bounds(
    hook: Any, statuses: list[int], tries: int, logged: str, caplog: pytest.LogCaptureFixture
) -> None:
    hook.statuses = list(statuses)
    post = Webhook(f"http://127.0.0.1:{hook.server_port}/hook", pause_s=0.001)
    with caplog.at_level(logging.ERROR, logger="tokenmeter.engine"):
        post(Alert("wallet.alert", {"wallet_id": "w"}))
    assert hook.got == [{"event_type": "wallet.alert", "data": {"wallet_id": "w"}}] * tries
    assert (logged in caplog.text) if logged else not caplog.text


def test_a_webhook_that_nobody_answers_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    Webhook("http://127.0.0.1:9/hook", pause_s=0.001, timeout_s=0.5)(Alert("wallet.alert", {}))
    assert "did not take wallet.alert: ConnectError" in caplog.text
