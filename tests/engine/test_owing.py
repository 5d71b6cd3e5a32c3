"""What a customer owes: all of it counts, however much lies between, and others' is not read."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from tests.engine.shop import JULY, JUNE, Shop, opened_shop
from tokenmeter.engine import owing
from tokenmeter.engine.store.invoices import VOIDED, Invoices

MONTH = timedelta(days=31)


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return opened_shop(tmp_path)


def wallet(shop: Shop) -> str:
    asked = {"external_customer_id": "acme", "currency": "usd", "initial_credits_to_load": "100"}
    return str(shop.services.wallets.create(asked)["id"])


def test_all_periods_that_nobody_billed_count_in_the_balance(shop: Shop) -> None:
    shop.subscribe()
    held = wallet(shop)
    for month in range(14):
        shop.use(f"e{month}", JUNE + month * MONTH, image_count=10)
    shop.clock.now = JUNE + 14 * MONTH
    assert Decimal(shop.services.wallets.balance(held)["real_time_balance"]) == 86


def test_who_never_bills_is_told_once_when_the_balance_leaves_usage_out(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(owing, "OPEN_PERIODS_MAX", 2)
    subscription, held = shop.subscribe(), wallet(shop)
    for month in range(3):
        shop.use(f"e{month}", JUNE + month * MONTH, image_count=10)
    shop.clock.now = JUNE + 2 * MONTH + timedelta(days=1)
    with caplog.at_level(logging.ERROR, "tokenmeter.engine"):
        told = [shop.services.wallets.balance(held)["real_time_balance"] for _ in range(2)]
    assert told == ["98", "98"]
    (line,) = caplog.messages
    assert f"{subscription} has 3 periods without an invoice" in line
    assert "counts the last 2; run the billing" in line


def test_an_old_invoice_is_owed_though_a_thousand_came_after_it(shop: Shop) -> None:
    subscription = shop.subscribe()
    shop.use("e1", JUNE, image_count=30)
    shop.clock.now = JULY
    (june,) = shop.bill(subscription)
    with shop.store.writing() as connection:
        invoices = Invoices(connection, "")
        row = invoices.get(june["id"])
        after = replace(row, number=None, status=VOIDED, period_start_us=row.period_end_us)
        for at in range(1_000):
            end_us = row.period_end_us + at + 1
            invoices.add(replace(after, id=f"inv_{at}", period_end_us=end_us))
    assert Decimal(shop.services.wallets.balance(wallet(shop))["real_time_balance"]) == 97


def test_the_invoices_of_a_subscription_are_found_without_reading_all_others(
    shop: Shop, tmp_path: Path
) -> None:
    subscription = shop.subscribe()
    shop.clock.now = JULY
    shop.bill(subscription)
    asked: list[str] = []
    with shop.store.reading() as connection:
        raw = connection.connection.driver_connection
        assert isinstance(raw, sqlite3.Connection)
        raw.set_trace_callback(asked.append)
        invoices = Invoices(connection, "")
        assert len(invoices.overlapping(subscription, 0, 2**60)) == 1
        assert len(invoices.closed(subscription, 0, 2**60)) == 1
        raw.set_trace_callback(None)
    with contextlib.closing(sqlite3.connect(tmp_path / "shop.db")) as other:
        plans = [other.execute(f"EXPLAIN QUERY PLAN {one}").fetchone()[3] for one in asked]
    assert len(plans) == 2
    assert all("environment=? AND subscription_id=?" in plan for plan in plans)


def test_an_invoice_is_overdue_from_its_due_date_on_to_the_microsecond(shop: Shop) -> None:
    subscription = shop.subscribe()
    shop.use("e1", JUNE, image_count=30)
    shop.clock.now = JULY
    (june,) = shop.bill(subscription)
    shop.services.invoices.update(june["id"], {"due_date": JULY})
    owed: list[str] = []
    for late in (timedelta(0), timedelta(microseconds=1)):
        shop.clock.now = JULY + late
        (told,) = shop.services.invoice_summary("acme")["summaries"]
        owed.append(told["total_overdue_amount"])
    assert owed == ["0.00", "3.00"]


def test_what_pays_fixed_prices_is_no_credit_for_usage(tmp_path: Path) -> None:
    """An invoice of 60: 30 for the base, 20 for seats, 10 for images."""
    shop = opened_shop(tmp_path)
    subscription = shop.subscribe("hybrid")
    shop.use("e1", JUNE, image_count=60)
    shop.clock.now = JULY
    opening, june = shop.bill(subscription)
    held = wallet(shop)
    assert june["total"] == "60.00"
    left: list[str] = []
    for invoice, paid in ((opening, "50"), (june, "4"), (june, "26"), (june, "30")):
        shop.services.invoices.pay(invoice["id"], Decimal(paid))
        left.append(shop.services.wallets.balance(held)["real_time_balance"])
    assert left == ["90", "94", "100", "100"]
