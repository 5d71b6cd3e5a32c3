"""A call waits a short time only for a database that others lock; what stores events waits on."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from tests.engine.made import made
from tests.engine.sold import customer, opened, wallet
from tests.postgres import new_database
from tokenmeter.enforcement import Enforcement
from tokenmeter.engine.local import Engine
from tokenmeter.engine.store.ledger import Ledger
from tokenmeter.engine.store.patience import Patience, wait_s
from tokenmeter.errors import ConfigurationError, StoreBusyError

LONG_S = 10.0  # far less than a store waits by itself


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[Engine]:
    """An engine whose file another connection has locked."""
    with Engine(f"sqlite:///{tmp_path / 'usage.db'}") as engine:
        other = sqlite3.connect(tmp_path / "usage.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        yield engine
        other.execute("ROLLBACK")
        other.close()


def test_several_waits_share_one_patience() -> None:
    assert wait_s(30.0) == 30
    with Patience(5.0):
        assert 4 < wait_s(30.0) <= 5
        assert wait_s(0.5) == 0.5
        with Patience(-1.0):
            assert wait_s(30.0) == 0
    assert wait_s(30.0) == 30


def test_a_locked_file_is_waited_for_as_long_as_one_says(locked: Engine) -> None:
    started = time.monotonic()
    with Patience(0.05), pytest.raises(StoreBusyError, match="another process kept"):
        locked.ingest([made()])
    assert time.monotonic() - started < LONG_S


def test_a_locked_wallet_on_postgresql_is_waited_for_as_long_as_one_says(
    postgres_server: str,
) -> None:
    url = new_database(postgres_server)
    store, wallets, _ = opened(url)
    customer(store)
    purse = wallet(wallets)
    other, *_ = opened(url)
    started = time.monotonic()
    with other.writing() as connection:
        Ledger(connection, "").lock(purse)
        with Patience(0.05), pytest.raises(StoreBusyError, match="others kept"):
            wallets.hold("acme", Decimal(1))
    assert time.monotonic() - started < LONG_S
    assert wallets.hold("acme", Decimal(1)).state == "held"
    store.close()
    other.close()


def test_a_wait_of_no_length_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="lock_wait_s must be above 0"):
        Enforcement(lock_wait_s=0)
