"""The bounds of wallets, holds and alerts: what is kept, dropped, looked up again."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator

import pytest

from tests.engine.sold import StillClock, customer, d, opened, wallet
from tokenmeter.engine import alerts as alerts_module
from tokenmeter.engine import snapshots, wallet_holds
from tokenmeter.engine.alerts import Alert, Alerts
from tokenmeter.engine.definitions.search import Search
from tokenmeter.engine.errors import NotFoundError
from tokenmeter.engine.lists import Lists
from tokenmeter.engine.store.ledger import Ledger
from tokenmeter.engine.store.protocol import Store
from tokenmeter.engine.wallets import Wallets
from tokenmeter.rating.credits import Owed

Opened = tuple[Store, Wallets, StillClock]


@pytest.fixture
def acme(database: str) -> Iterator[Opened]:
    store, wallets, clock = opened(database)
    customer(store)
    yield store, wallets, clock
    store.close()


def test_an_empty_wallet_closes_without_a_line(acme: Opened) -> None:
    _, wallets, _ = acme
    w = wallet(wallets, "0")
    assert wallets.terminate(w)["wallet_status"] == "closed"
    assert wallets.transactions(w)["items"] == []


def test_wallets_are_listed_oldest_first(acme: Opened) -> None:
    store, wallets, clock = acme
    customer(store, "other")
    first = wallet(wallets, "1")
    clock.move(1)
    second = wallet(wallets, "2", external_customer_id="other")
    listed = Lists(store, "", wallets).wallets(Search(order="asc"))
    assert [w["id"] for w in listed.items] == [first, second]


def test_a_top_up_may_have_a_rate_of_its_own(acme: Opened) -> None:
    _, wallets, _ = acme
    w = wallet(wallets, "0", conversion_rate="1", topup_conversion_rate="0.5")
    asked = {"amount": "10", "transaction_reason": "FREE_CREDIT_GRANT"}
    assert wallets.top_up(w, asked)["wallet"]["credit_balance"] == "20"


def test_a_balance_that_is_not_there_is_said(acme: Opened) -> None:
    with acme[0].writing() as connection, pytest.raises(NotFoundError, match="no wallet 'w'"):
        Ledger(connection, "").lock("w")


def test_settings_are_kept_for_a_bounded_number_of_customers(
    acme: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, wallets, _ = acme
    monkeypatch.setattr(wallet_holds, "KNOWN_MAX", 1)
    monkeypatch.setattr(snapshots, "SNAPSHOTS_MAX", 1)
    customer(store, "other")
    wallet(wallets, "1")
    wallet(wallets, "2", external_customer_id="other")
    assert (wallets.available("acme"), wallets.available("other")) == (d(1), d(2))
    assert (wallets.available("acme"), wallets.available("other")) == (d(1), d(2))


def test_a_sink_without_listeners_starts_no_thread() -> None:
    before = threading.active_count()
    alerts = Alerts()
    alerts.send(Alert("wallet.alert", {}))
    assert threading.active_count() == before
    alerts.close()


def behind(go: threading.Event) -> Alerts:
    """Alerts whose listener waits for `go`, with one more that waits for the listener."""
    taken = threading.Event()

    def waits(_alert: Alert) -> None:
        taken.set()
        go.wait(10)

    alerts = Alerts(waits)
    alerts.send(Alert("wallet.alert", {}))
    assert taken.wait(10)
    alerts.send(Alert("wallet.alert", {}))
    return alerts


def test_an_alert_that_finds_no_place_is_dropped_and_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(alerts_module, "QUEUE_ALERTS_MAX", 1)
    go = threading.Event()
    alerts = behind(go)
    with caplog.at_level(logging.ERROR, logger="tokenmeter.engine"):
        alerts.send(Alert("wallet.alert", {}))
    assert "an alert was dropped" in caplog.text
    go.set()
    alerts.close()


def test_alerts_close_though_a_listener_is_stuck_and_no_place_is_free(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(alerts_module, "QUEUE_ALERTS_MAX", 1)
    monkeypatch.setattr(alerts_module, "CLOSE_WAIT_S", 0.01)
    go = threading.Event()
    alerts = behind(go)
    alerts.close()
    go.set()


def test_what_is_forgotten_is_looked_up_again(database: str) -> None:
    store, _, clock = opened(database)
    customer(store)
    used = [d(1)]
    wallets = Wallets(store, owed=lambda wallet, at: Owed(used[0]), clock=clock)
    w = wallet(wallets, "10")
    assert wallets.available("acme") == 9
    used[0] = d(5)
    wallets.forget(w)
    assert wallets.available("acme") == 5
    store.close()
