"""A customer with a wallet, and a clock that stands until it is moved."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.postgres import new_database
from tests.sqlite import new_file
from tokenmeter.engine.errors import InsufficientBalanceError
from tokenmeter.engine.ids import new_id
from tokenmeter.engine.store.documents import Document, Documents
from tokenmeter.engine.store.opening import open_store
from tokenmeter.engine.store.protocol import Store
from tokenmeter.engine.wallets import Wallets

if TYPE_CHECKING:
    import pytest

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
FREE = "FREE_CREDIT_GRANT"


def either_database(request: pytest.FixtureRequest, folder: Path) -> str:
    """The URL of a new database, SQLite or PostgreSQL as the fixture's parameter says."""
    if request.param == "sqlite":
        return new_file(folder / "usage.db")
    return new_database(request.getfixturevalue("postgres_server"))


class StillClock:
    """A clock that stands still."""

    def __init__(self, now: datetime = NOW) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def move(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def customer(store: Store, external_id: str = "acme", **fields: Any) -> str:
    """Keep a customer; return the id."""
    made = new_id("cust")
    body = {"id": made, "external_id": external_id, "name": external_id, **fields}
    with store.writing() as connection:
        Documents(connection).insert(Document("customer", made, body, lookup_key=external_id))
    return made


def opened(url: str, clock: StillClock | None = None) -> tuple[Store, Wallets, StillClock]:
    """Open a database and its wallets."""
    store, still = open_store(url), clock or StillClock()
    return store, Wallets(store, clock=still), still


def wallet(wallets: Wallets, amount: str = "10", /, **fields: Any) -> str:
    """Open a wallet for acme, in USD; return its id."""
    asked = {"external_customer_id": "acme", "currency": "usd", **fields}
    return str(wallets.create({**asked, "initial_credits_to_load": amount})["id"])


def compete(database: str, times: int) -> int:
    """Try to hold 1 of acme's money some times; return how often it went well."""
    store, wallets, _ = opened(database)
    won = 0
    for _ in range(times):
        try:
            wallets.hold("acme", Decimal(1))
        except InsufficientBalanceError:
            continue
        won += 1
    store.close()
    return won


def d(text: str | int) -> Decimal:
    """A decimal."""
    return Decimal(text)
