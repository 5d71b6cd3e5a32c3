"""Holds: what is reserved is not promised twice, and comes back."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine.made import made
from tests.engine.sold import StillClock, compete, customer, d, either_database, opened, wallet
from tests.fresh import FRESH
from tokenmeter.engine.errors import (
    InsufficientBalanceError,
    InvalidOperationError,
    NotFoundError,
    ValidationError,
)
from tokenmeter.engine.holds import HOLD_S_MAX
from tokenmeter.engine.ingest import ingest
from tokenmeter.engine.snapshots import REFUSED_AGE_S_MAX, SETTLED_COUNTS_S, USAGE_AGE_S_MAX
from tokenmeter.engine.store.protocol import Store
from tokenmeter.engine.wallet import Wallet
from tokenmeter.engine.wallets import Wallets
from tokenmeter.rating.credits import Owed

WAIT_S = 180
Opened = tuple[Store, Wallets, StillClock]


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return either_database(request, tmp_path)


@pytest.fixture
def acme(database: str) -> Iterator[Opened]:
    store, wallets, clock = opened(database)
    customer(store)
    wallet(wallets, "10")
    yield store, wallets, clock
    store.close()


def test_what_is_held_cannot_be_held_again(acme: Opened) -> None:
    _, wallets, _ = acme
    assert wallets.available("acme") == 10
    held = wallets.hold("acme", d(7), reference="call_1")
    assert (held.state, held.amount, held.reference, held.currency) == (
        *("held", d(7), "call_1"),
        "usd",
    )
    assert wallets.available("acme") == 3
    with pytest.raises(InsufficientBalanceError, match=r"4 USD do not fit: 3 are available"):
        wallets.hold("acme", d(4))
    wallets.hold("acme", d(3))
    assert wallets.available("acme") == 0
    assert wallets.held(held.id) == replace(held, currency="")


def test_a_void_gives_everything_back_once(acme: Opened) -> None:
    _, wallets, _ = acme
    held = wallets.hold("acme", d(7))
    assert wallets.void(held.id).state == "voided"
    assert wallets.void(held.id).state == "voided"
    assert wallets.available("acme") == 10
    with pytest.raises(InvalidOperationError, match="voided already"):
        wallets.settle(held.id, d(1))


def test_a_settled_hold_costs_what_the_call_cost_until_its_event_arrives(acme: Opened) -> None:
    store, wallets, clock = acme
    held = wallets.hold("acme", d(7))
    done = wallets.settle(held.id, d("0.5"), reference="evt_1")
    assert (done.state, done.settled_amount) == ("settled", d("0.5"))
    assert wallets.settle(held.id, d("0.5")).state == "settled"
    assert wallets.available("acme") == d("9.5")
    with pytest.raises(InvalidOperationError, match="settled already"):
        wallets.settle(held.id, d(2))
    with pytest.raises(InvalidOperationError, match="settled already"):
        wallets.void(held.id)
    clock.move(USAGE_AGE_S_MAX + 1)
    assert wallets.available("acme") == d("9.5")
    ingest(store, [made("evt_1", customer="acme")])
    clock.move(USAGE_AGE_S_MAX + 1)
    assert wallets.available("acme") == 10  # here nobody rates: the event itself costs nothing


def test_a_settled_hold_without_an_event_stops_counting_after_a_while(acme: Opened) -> None:
    _, wallets, clock = acme
    wallets.settle(wallets.hold("acme", d(7)).id, d(12))
    assert wallets.available("acme") == -2
    clock.move(SETTLED_COUNTS_S - 1)
    assert wallets.available("acme") == -2
    clock.move(USAGE_AGE_S_MAX + 1)
    assert wallets.available("acme") == 10


def test_an_expired_hold_gives_credit_back_and_may_still_be_settled(acme: Opened) -> None:
    _, wallets, clock = acme
    held = wallets.hold("acme", d(10), 30)
    clock.move(29)
    assert wallets.available("acme") == 0
    clock.move(1)
    assert wallets.available("acme") == 10
    assert wallets.held(held.id).state == "expired"
    assert wallets.void(held.id).state == "expired"
    assert wallets.settle(held.id, d(2)).state == "settled"
    assert wallets.available("acme") == 8


def test_usage_lowers_what_can_be_held(database: str) -> None:
    store, _, clock = opened(database)
    customer(store)
    used = [d(2)]
    wallets = Wallets(store, owed=lambda wallet, at: Owed(used[0]), clock=clock)
    wallet(wallets, "10")
    assert wallets.available("acme") == 8
    used[0] = d(9)
    assert wallets.available("acme") == 8
    clock.move(USAGE_AGE_S_MAX + 0.001)
    with pytest.raises(InsufficientBalanceError):
        wallets.hold("acme", d("1.01"))
    used[0] = d(8)
    with pytest.raises(InsufficientBalanceError):
        wallets.hold("acme", d("1.01"))
    clock.move(REFUSED_AGE_S_MAX + 0.001)
    wallets.void(wallets.hold("acme", d("1.01")).id)  # looked up again before it is refused
    used[0] = d(9)
    wallets.forget(wallets.of_customer("acme")[0]["id"])
    wallets.hold("acme", d(1))
    store.close()


def test_an_event_that_arrives_while_usage_is_looked_up_counts_once(database: str) -> None:
    store, _, clock = opened(database)
    customer(store)
    arriving = [made("evt_1", customer="acme")]

    def owed(_wallet: Wallet, _at: datetime) -> Owed:
        if arriving and settled:
            ingest(store, [arriving.pop()])
        return Owed(d(3) if settled and not arriving else d(0))

    settled: list[str] = []
    wallets = Wallets(store, owed=owed, clock=clock)
    wallet(wallets, "10")
    settled.append(wallets.settle(wallets.hold("acme", d(7)).id, d(3), reference="evt_1").id)
    clock.move(USAGE_AGE_S_MAX + 1)
    assert wallets.available("acme") == 7
    store.close()


def test_where_events_arrive_all_the_time_too_little_is_available_and_never_too_much(
    database: str,
) -> None:
    store, _, clock = opened(database)
    customer(store)
    ids = iter(f"evt_{number}" for number in range(100))
    arrived = [d(0)]

    def owed(_wallet: Wallet, _at: datetime) -> Owed:
        if waiting:
            ingest(store, [made(waiting.pop(0), customer="acme")])
            arrived[0] += 1
        return Owed(arrived[0])

    waiting: list[str] = []
    wallets = Wallets(store, owed=owed, clock=clock)
    wallet(wallets, "100")
    held = [(wallets.hold("acme", d(1)).id, next(ids)) for _ in range(20)]
    for hold_id, event_id in held:
        wallets.settle(hold_id, d(1), reference=event_id)
    waiting += [event_id for _, event_id in held]
    clock.move(USAGE_AGE_S_MAX + 1)
    assert wallets.available("acme") == 79  # 20 are spent; the last that arrived counts twice
    waiting.clear()
    clock.move(USAGE_AGE_S_MAX + 1)
    assert wallets.available("acme") == 80
    store.close()


def test_a_hold_that_makes_no_sense_is_refused(acme: Opened) -> None:
    store, wallets, _ = acme
    for amount, expires_s in ((d(-1), 60), (d(1), 0), (d(1), HOLD_S_MAX + 1)):
        with pytest.raises(ValidationError):
            wallets.hold("acme", amount, expires_s)
    with pytest.raises(ValidationError):
        wallets.settle(wallets.hold("acme", d(1)).id, d(-1))
    customer(store, "poor")
    for nobody in ("poor", "unknown"):
        with pytest.raises(NotFoundError, match="has no wallet"):
            wallets.hold(nobody, d(1))
    with pytest.raises(NotFoundError, match="no hold"):
        wallets.settle("hold_1", d(1))
    with pytest.raises(NotFoundError, match="has no wallet"):
        wallets.hold("acme", d(1), currency="eur")


@pytest.mark.parametrize("amount", [2, "2", "2.0", d(2)])
def test_an_amount_is_held_and_settled_however_it_is_written(
    acme: Opened, amount: int | str | Decimal
) -> None:
    _, wallets, _ = acme
    held = wallets.hold("acme", amount)
    assert (held.amount, wallets.available("acme")) == (d(2), d(8))
    assert wallets.settle(held.id, amount).settled_amount == 2


@pytest.mark.parametrize("amount", ["two", "NaN", None, True, -1, "-0.01"])
def test_what_is_no_amount_is_neither_held_nor_settled(acme: Opened, amount: Any) -> None:
    _, wallets, _ = acme
    held = wallets.hold("acme", 1)
    with pytest.raises(ValidationError):
        wallets.hold("acme", amount)
    with pytest.raises(ValidationError):
        wallets.settle(held.id, amount)
    assert wallets.held(held.id).state == "held"


def test_wallets_in_two_currencies_are_told_apart(acme: Opened) -> None:
    _, wallets, clock = acme
    wallet(wallets, "5", currency="eur")
    clock.move(10)
    with pytest.raises(ValidationError, match="several currencies"):
        wallets.hold("acme", d(1))
    assert wallets.hold("acme", d(5), currency="EUR").currency == "eur"
    assert wallets.available("acme", currency="usd") == 10


def test_a_post_paid_wallet_holds_without_a_limit(database: str) -> None:
    store, wallets, _ = opened(database)
    customer(store)
    wallet(wallets, "0", wallet_type="POST_PAID")
    assert wallets.hold("acme", d(1000)).state == "held"
    store.close()


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["hold", "settle", "void", "wait"]),
        st.decimals("0", "6", places=3),
        st.integers(0, 9),
    ),
    max_size=30,
)


@settings(max_examples=40, deadline=None)
@given(steps=STEPS)
def test_what_is_held_is_the_sum_of_open_holds_and_never_more_than_there_is(
    steps: list[tuple[str, object, int]],
) -> None:
    store, wallets, clock = opened("sqlite:///:memory:")
    customer(store)
    w = wallet(wallets, "10")
    holds: list[str] = []
    for what, amount, which in steps:
        money = d(str(amount))
        try:
            if what == "hold":
                holds.append(wallets.hold("acme", money, 60).id)
            elif what == "wait":
                clock.move(25)
            elif holds and what == "settle":
                wallets.settle(holds[which % len(holds)], money)
            elif holds:
                wallets.void(holds[which % len(holds)])
        except InvalidOperationError:
            continue  # refused: nothing must have changed, which the sums show
    wallets.available("acme")  # expires what is due
    open_holds = [h for h in map(wallets.held, holds) if h.state == "held"]
    held = sum((h.amount for h in open_holds), d(0))
    assert d(wallets.balance(w)["held_amount"]) == held <= 10
    store.close()


def test_of_eight_processes_that_want_the_last_credit_one_wins(database: str) -> None:
    store, wallets, _ = opened(database)
    customer(store)
    wallet(wallets, "9")
    wallets.hold("acme", d(8))
    with ProcessPoolExecutor(8, mp_context=FRESH) as pool:
        runs = [pool.submit(compete, database, 3) for _ in range(8)]
        assert sum(run.result(timeout=WAIT_S) for run in runs) == 1
    assert wallets.available("acme") == 0
    store.close()
