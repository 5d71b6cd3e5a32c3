"""The clock was wrong by hours and is put right: what was looked up then is looked up again."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from tests.engine.made import url
from tests.engine.shop import opened_shop
from tests.engine.sold import customer, d, opened, wallet
from tokenmeter.engine.errors import InsufficientBalanceError
from tokenmeter.engine.snapshots import USAGE_AGE_S_MAX
from tokenmeter.engine.wallets import Wallets
from tokenmeter.event import Event
from tokenmeter.rating.credits import Owed

HOURS = 3 * 3600.0


def test_a_hold_is_made_on_what_is_owed_now_and_not_in_the_future(tmp_path: Path) -> None:
    store, _, clock = opened(url(tmp_path / "usage.db"))
    customer(store)
    used = [d(0)]
    wallets = Wallets(store, owed=lambda wallet, at: Owed(used[0]), clock=clock)
    wallet(wallets, "10")
    clock.move(HOURS)
    assert wallets.available("acme") == 10
    clock.move(-HOURS + USAGE_AGE_S_MAX + 1)
    used[0] = d(9)
    with pytest.raises(InsufficientBalanceError):
        wallets.hold("acme", d(2))
    store.close()


def test_a_wallet_that_was_closed_is_not_held_from_because_it_was_read_in_the_future(
    tmp_path: Path,
) -> None:
    store, wallets, clock = opened(url(tmp_path / "usage.db"))
    customer(store)
    first = wallet(wallets, "10")
    clock.move(HOURS)
    assert wallets.hold("acme", d(1)).wallet_id == first
    clock.move(-HOURS + 60)
    another = Wallets(store, clock=clock)  # another process
    another.terminate(first)
    second = wallet(another, "10")
    assert wallets.hold("acme", d(1)).wallet_id == second
    store.close()


def test_a_wallet_fills_itself_although_it_did_so_in_the_future(tmp_path: Path) -> None:
    store, wallets, clock = opened(url(tmp_path / "usage.db"))
    customer(store)
    auto = {"enabled": True, "threshold": "2", "amount": "3", "cooldown": 60}
    w = wallet(wallets, "10", auto_topup=auto)
    clock.move(HOURS)
    wallets.debit(w, {"credits": "8"})
    assert wallets.get(w)["credit_balance"] == "5"
    clock.move(-HOURS)
    wallets.debit(w, {"credits": "4"})
    assert wallets.get(w)["credit_balance"] == "4"
    wallets.debit(w, {"credits": "3"})  # it rests again, by the clock as it is now
    assert wallets.get(w)["credit_balance"] == "1"
    wallets.close()
    store.close()


def test_a_contract_made_since_is_charged_by(tmp_path: Path) -> None:
    shop = opened_shop(tmp_path)
    event = Event("image_generated", "e1", "acme", shop.clock.now, {"image_count": 3})
    shop.clock.move(HOURS)
    assert shop.services.charge_of(event) is None
    assert not shop.services.charge_of.may_charge(event)
    shop.clock.now -= timedelta(seconds=HOURS - 60)
    shop.subscribe()
    assert shop.services.charge_of.may_charge(event)
    charge = shop.services.charge_of(event)
    assert charge is not None
    assert charge.amount == d("0.30")
    shop.store.close()
