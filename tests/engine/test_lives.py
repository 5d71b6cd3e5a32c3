"""Over a customer's whole life the engine bills what a plain second computation says."""

from __future__ import annotations

import os
import signal
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from sqlalchemy import Engine as SqlEngine
from sqlalchemy import event as sql_event

from tests.engine.life import Life
from tests.engine.life_watched import exact
from tests.engine.sold import StillClock
from tests.engine.test_processes import run_script
from tests.postgres import new_database
from tests.sqlite import new_file
from tokenmeter.engine.services import Services
from tokenmeter.engine.store.opening import open_store

FIXED_SEEDS = settings(
    deadline=None,
    derandomize=True,
    database=None,
    stateful_step_count=25,
    phases=(Phase.generate,),  # add Phase.shrink to see the shortest life; it takes minutes
)
DYING = """
import sys
from tests.engine.test_lives import work_and_die
work_and_die(*sys.argv[1:])
"""


def work_and_die(database: str, now: str, statement: str, what: str) -> None:
    """Bill all that is due, or hold, and be killed before a statement."""
    left = int(statement)

    def count(*_: object) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    services = Services(open_store(database), clock=StillClock(datetime.fromisoformat(now)))
    sql_event.listen(SqlEngine, "before_cursor_execute", count)
    if what == "bill":
        services.run()
    else:
        services.wallets.hold("acme", Decimal(1), expires_s=30)


class Dying(Life):
    """A life on disk, in which who bills or holds is killed first, each time a bit later."""

    kills = 0

    def database(self) -> str:
        self.url = new_file(Path(self.folder.name) / "life.db")
        return self.url

    def die(self, what: str) -> None:
        self.kills += 1
        statement = 3 + self.kills * 11 % 60
        done = run_script(DYING, str(self.url), self.now.isoformat(), str(statement), what)
        assert done.returncode in {0, -signal.SIGKILL}, done.stderr

    def before_billing(self) -> None:
        self.die("bill")

    def before_holding(self) -> None:
        free = self.book.real_time(self.now)
        if free >= 1:
            self.die("hold")
            assert free - exact(self.shop.services.wallets.available("acme")) in {0, 1}
            self.move(61)


def test_a_customers_life_is_billed_as_a_plain_computation_says() -> None:
    run_state_machine_as_test(Life, settings=settings(FIXED_SEEDS, max_examples=12))


def test_a_life_on_postgresql_is_billed_alike(postgres_server: str) -> None:
    class OnPostgres(Life):
        def database(self) -> str:
            return new_database(postgres_server)

    run_state_machine_as_test(OnPostgres, settings=settings(FIXED_SEEDS, max_examples=2))


def test_a_life_whose_billing_is_killed_again_and_again_is_billed_alike() -> None:
    short = settings(FIXED_SEEDS, max_examples=1, stateful_step_count=9)
    run_state_machine_as_test(Dying, settings=short)


@pytest.mark.soak
def test_many_lives_are_billed_as_a_plain_computation_says() -> None:
    lives = int(os.environ.get("TOKENMETER_LIVES", "20"))
    many = settings(FIXED_SEEDS, max_examples=lives, stateful_step_count=60, derandomize=False)
    run_state_machine_as_test(Life, settings=many)
