"""
Nothing is lost and nothing made, on both databases: events, credits, money after a summer's storm.

Customers use, top up, hold and pay over three months; processes that bill are killed in the midst
of it, several bill at once, invoices are voided and made again. What is kept then is set against
what was asked for, added up apart.
"""

from __future__ import annotations

import os
import random
import signal
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine as SqlEngine
from sqlalchemy import event as sql_event

from tests.engine.shop import AUGUST, CATALOG, JULY, JUNE, Shop, opened_shop
from tests.engine.sold import StillClock, either_database
from tests.engine.test_processes import run_script
from tokenmeter.engine.ingest import ingest
from tokenmeter.engine.local import Engine
from tokenmeter.engine.services import Services
from tokenmeter.engine.store.opening import open_store
from tokenmeter.event import Event
from tokenmeter.rating.rounding import plus

CUSTOMERS = ("acme", "emca", "mace")
GRANTS = """\
    credit_grants:
      monthly: {credits: 2, cadence: RECURRING, period: MONTHLY, expiration_type: BILLING_CYCLE}
"""
SEPTEMBER = datetime(2026, 9, 1, tzinfo=AUGUST.tzinfo)
MONTHS = ((JUNE, JULY), (JULY, AUGUST), (AUGUST, SEPTEMBER))
KILLS = 6  # of July's billing, at statements spread over it
STATEMENTS_APART = 9


@dataclass
class Told:
    """What was asked for, as a plain bookkeeper writes it down."""

    events: dict[str, Event] = field(default_factory=dict[str, Event])

    def charge(self, customer: str, start: datetime, end: datetime) -> Decimal:
        """What the images of a period cost."""
        mine = [
            e
            for e in self.events.values()
            if e.external_customer_id == customer and start <= e.timestamp < end
        ]
        prices = {"hd": Decimal("0.25")}
        return plus(
            Decimal(str(e.properties["image_count"]))
            * prices.get(str(e.properties.get("quality")), Decimal("0.10"))
            for e in mine
        )


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return either_database(request, tmp_path)


@pytest.fixture
def shop(database: str, tmp_path: Path) -> Iterator[Shop]:
    text = CATALOG.replace("  hybrid:\n", f"{GRANTS}  hybrid:\n")
    shop = opened_shop(tmp_path, text, url=database)
    for name in CUSTOMERS:
        if name != "acme":
            shop.services.definitions.create("customer", {"external_id": name})
        shop.subscribe(external_customer_id=name)
        shop.services.wallets.create({"external_customer_id": name, "currency": "usd"})
    yield shop
    shop.store.close()


def bill_and_die(database: str, now: datetime, statement: int) -> None:
    """Bill all that is due, and be killed before a statement."""
    left = statement

    def count(*_: object) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    store = open_store(database)
    sql_event.listen(SqlEngine, "before_cursor_execute", count)
    Services(store, clock=StillClock(now)).run()


DYING = """
import os, sys
from datetime import datetime
from tests.engine.test_conservation import KILLS, STATEMENTS_APART, bill_and_die
for number in range(KILLS):
    child = os.fork()
    if child == 0:
        statement = 3 + number * STATEMENTS_APART
        bill_and_die(sys.argv[1], datetime.fromisoformat(sys.argv[2]), statement)
        os._exit(0)
    print(os.waitpid(child, 0)[1])
"""


def bill(database: str, now: datetime) -> None:
    """Bill all that is due over a connection of its own."""
    store = open_store(database)
    Services(store, clock=StillClock(now)).run()
    store.close()


def use(shop: Shop, told: Told, dice: random.Random, month: int) -> None:
    """A month's calls: in batches with copies of what came before."""
    start, _ = MONTHS[month]
    for batch in range(4):
        shop.clock.now = start + timedelta(days=4 * batch + 1)
        made: list[Event] = []
        for number in range(10):
            held: dict[str, Any] = {"image_count": dice.randint(1, 9)}
            if dice.random() < 0.3:
                held["quality"] = "hd"
            key, who = f"e{month}-{batch}-{number}", dice.choice(CUSTOMERS)
            at = shop.clock.now - timedelta(minutes=dice.randint(0, 600))
            made.append(Event("image_generated", key, who, at, held))
        told.events.update({event.event_id: event for event in made})
        made += dice.sample(list(told.events.values()), 5)
        ingest(shop.store, made)
        move_money(shop, dice, f"{month}-{batch}")


def move_money(shop: Shop, dice: random.Random, key: str) -> None:
    """Credits come, are held, and go."""
    wallets, who = shop.services.wallets, dice.choice(CUSTOMERS)
    (wallet,) = wallets.of_customer(who)
    bought = {
        "credits_to_add": str(dice.randint(1, 20)),
        "transaction_reason": "PURCHASED_CREDIT_DIRECT",
        "idempotency_key": key,
    }
    if dice.random() < 0.5:
        end = shop.clock.now + timedelta(days=dice.randint(1, 40))
        bought["expiry_date_utc"] = end.isoformat()
    for _ in range(2):  # the first answer was lost
        wallets.top_up(wallet["id"], bought)
    if wallets.available(who) > 1:
        hold = wallets.hold(who, Decimal(1))
        wallets.settle(hold.id, Decimal("0.5")) if dice.random() < 0.5 else wallets.void(hold.id)
    if dice.random() < 0.2:
        wallets.debit(wallet["id"], {"credits": "1"})


def killed(database: str, now: datetime) -> None:
    """Bill with processes that are killed in the midst of it."""
    done = run_script(DYING, database, now.isoformat())
    assert done.returncode == 0, done.stderr
    assert done.stdout.split().count(str(int(signal.SIGKILL))) >= KILLS // 2


def together(shop: Shop, database: str, now: datetime) -> None:
    """Bill with several at once."""
    with ThreadPoolExecutor(3) as pool:
        for each in [pool.submit(bill, database, now) for _ in range(3)]:
            each.result(timeout=60)
    shop.clock.now = now


def live(shop: Shop) -> list[dict[str, Any]]:
    told, _ = shop.services.invoices.listed()
    return [invoice for invoice in told if invoice["invoice_status"] == "FINALIZED"]


def test_events_credits_and_money_add_up_after_a_storm(shop: Shop, database: str) -> None:
    dice, told = random.Random(7), Told()
    for month, (_, end) in enumerate(MONTHS):
        use(shop, told, dice, month)
        if month == 1:
            killed(database, end + timedelta(hours=1))
        together(shop, database, end + timedelta(hours=1))
        victim = dice.choice(live(shop))
        shop.services.invoices.void(victim["id"])
        shop.services.run()
    events_add_up(database, told)
    invoices_add_up(shop, told)
    credits_add_up(shop)


def events_add_up(database: str, told: Told) -> None:
    with Engine(database) as engine:
        (row,) = engine.usage(filters={"event_name": "image_generated"})
        assert row.events == len(told.events)
        asked = sum(int(str(e.properties["image_count"])) for e in told.events.values())
        assert row.usage["image_count"] == asked
        assert engine.conflicts() == []


def invoices_add_up(shop: Shop, told: Told) -> None:
    found = live(shop)
    periods = Counter((i["subscription_id"], i["period_start"]) for i in found)
    assert set(periods.values()) == {1}
    owner = {s["id"]: s["customer_id"] for s in shop.services.subscriptions.list()}
    names = {shop.services.definitions.by_key("customer", name)["id"]: name for name in CUSTOMERS}
    for customer in CUSTOMERS:
        for start, end in MONTHS:
            (invoice,) = (
                i
                for i in found
                if names[owner[i["subscription_id"]]] == customer
                and datetime.fromisoformat(i["period_start"]) == start
            )
            lines = plus(Decimal(line["amount"]) for line in invoice["line_items"])
            assert lines == Decimal(invoice["total"]) == told.charge(customer, start, end)


def credits_add_up(shop: Shop) -> None:
    paid = plus(Decimal(i["total_prepaid_credits_applied"]) for i in live(shop))
    assert paid > 0
    spent = Decimal(0)
    for customer in CUSTOMERS:
        (wallet,) = shop.services.wallets.of_customer(customer)
        lines = shop.services.wallets.transactions(wallet["id"], limit=1_000)["items"]
        by: Counter[tuple[str, str]] = Counter()
        for line in lines:
            by[line["type"], line["transaction_reason"]] += Decimal(line["credit_amount"])  # type: ignore[assignment]
        keys = [line["idempotency_key"] for line in lines if line["idempotency_key"]]
        assert len(keys) == len(set(keys))
        came = sum(n for (kind, _), n in by.items() if kind == "credit")
        went = sum(n for (kind, _), n in by.items() if kind == "debit")
        assert came - went == Decimal(wallet["credit_balance"])
        spent += by["debit", "INVOICE_PAYMENT"] - by["credit", "INVOICE_VOID_REFUND"]
        assert shop.services.wallets.available(customer) <= Decimal(wallet["balance"])
    assert spent == paid
