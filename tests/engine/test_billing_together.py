"""Several processes bill at once: each period is billed once, each wallet pays once."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

import pytest

from tests.engine.shop import AUGUST, JULY, JUNE, Shop, opened_shop
from tests.engine.sold import StillClock, either_database
from tokenmeter.engine.errors import InvalidOperationError
from tokenmeter.engine.services import Services
from tokenmeter.engine.store.opening import open_store
from tokenmeter.rating.rounding import plus

WORKERS, ROUNDS = 4, 8


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return either_database(request, tmp_path)


@pytest.fixture
def shop(database: str, tmp_path: Path) -> Iterator[Shop]:
    shop = opened_shop(tmp_path, url=database)
    for name in ("acme", "emca", "mace"):
        if name != "acme":
            shop.services.definitions.create("customer", {"external_id": name})
        shop.subscribe("hybrid", external_customer_id=name)
        shop.services.wallets.create(
            {
                "external_customer_id": name,
                "currency": "usd",
                "initial_credits_to_load": "1000",
                "config": {"allowed_price_types": ["ALL"]},
            }
        )
    shop.use("e1", JUNE, image_count=100)
    shop.use("e2", JULY, image_count=50)
    yield shop
    shop.store.close()


def work(database: str, times: int, *, voids: bool) -> None:
    """Bill over a connection of its own, and void an invoice each time if it is to."""
    store = open_store(database)
    services = Services(store, clock=StillClock(AUGUST))
    for number in range(times):
        services.run()
        told, _ = services.invoices.listed()
        if voids:
            with contextlib.suppress(InvalidOperationError):  # another one was faster
                services.invoices.void(told[number % len(told)]["id"])
    store.close()


def together(database: str, times: int, *, voids: bool) -> None:
    """Bill in several threads; raises what went wrong in one."""
    with ThreadPoolExecutor(WORKERS) as pool:
        todo = [pool.submit(work, database, times, voids=voids) for _ in range(WORKERS)]
        for one in todo:
            one.result(timeout=120)


@pytest.mark.parametrize("voids", [False, True])
def test_billing_at_once_bills_each_period_once_and_wallets_pay_once(
    shop: Shop, database: str, *, voids: bool
) -> None:
    together(database, ROUNDS if voids else 1, voids=voids)
    shop.clock.now = AUGUST
    shop.services.run()
    told, _ = shop.services.invoices.listed()
    closed = [i for i in told if i["invoice_status"] == "FINALIZED"]
    periods = [(i["subscription_id"], i["period_start"], i["period_end"]) for i in closed]
    assert len(periods) == len(set(periods)) == 9  # openings, June and July of three
    paid = plus(Decimal(i["total_prepaid_credits_applied"]) for i in closed)
    wallets = [w for n in ("acme", "emca", "mace") for w in shop.services.wallets.of_customer(n)]
    left = plus(Decimal(w["balance"]) for w in wallets)
    assert paid > 0
    assert plus((paid, left)) == 3000
    numbers = [i["invoice_number"] for i in told if i["invoice_number"]]
    assert len(numbers) == len(set(numbers))
