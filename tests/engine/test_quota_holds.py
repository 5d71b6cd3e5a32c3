"""A quota gives what it includes, to however many processes, and no more."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from itertools import count
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.asgi.funded import sold
from tests.engine.made import made
from tests.engine.sold import StillClock, either_database
from tokenmeter.engine.local import Engine
from tokenmeter.engine.quota_holds import ARRIVES_S_MAX, KNOWN_S, QuotaHolds, QuotaUsedUpError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tokenmeter.engine.quotas import Quota
    from tokenmeter.event import Event

LIMIT = 6
METER = {"event_name": "text_generated", "aggregation": {"type": "SUM", "field": "output_tokens"}}


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return either_database(request, tmp_path)


def takes(quantity: int) -> Callable[[Quota], Decimal]:
    return lambda _quota: Decimal(quantity)


class Desk:
    """The holds of one process, with clocks that stand until they are moved."""

    def __init__(self, engine: Engine, clock: StillClock) -> None:
        self.began = clock.now
        self.clock = clock
        self.holds = QuotaHolds(engine.store, "", engine.quotas, clock, self.seconds)

    def seconds(self) -> float:
        return (self.clock.now - self.began).total_seconds()

    def hold(self, quantity: int, reference: str = "", expires_s: float = 900) -> str:
        return self.holds.hold("acme", takes(quantity), expires_s=expires_s, reference=reference)


def test_of_many_at_once_as_many_are_let_through_as_are_included(database: str) -> None:
    sold(database, METER, included=LIMIT)
    engines = [Engine(database) for _ in range(4)]

    def ask(number: int) -> bool:
        try:
            engine = engines[number % len(engines)]
            engine.quota_holds.hold("acme", takes(1), expires_s=60, reference=f"call_{number}")
        except QuotaUsedUpError:
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(ask, range(48))) == LIMIT
    for engine in engines:
        engine.close()


def test_a_call_counts_while_its_event_is_on_its_way(database: str) -> None:
    sold(database, METER, included=2)
    clock = StillClock(datetime.now(UTC))
    with Engine(database) as engine:
        desk = Desk(engine, clock)
        for name in ("evt_1", "evt_2"):
            desk.holds.ended(desk.hold(1), [name])
        for name in ("evt_1", "evt_2"):
            with pytest.raises(QuotaUsedUpError, match=r"The quota of 2 for Sold is used up\."):
                desk.hold(1)
            engine.ingest([used(name, 1, clock.now)])
            clock.now += timedelta(seconds=KNOWN_S * 1.5)
        with pytest.raises(QuotaUsedUpError):
            desk.hold(1)


def test_what_one_process_has_seen_arrive_stays_for_one_that_has_not(database: str) -> None:
    sold(database, METER, included=2)
    clock = StillClock(datetime.now(UTC))
    with Engine(database) as engine:
        one, other = Desk(engine, clock), Desk(engine, clock)
        one.holds.ended(one.hold(1), ["evt_1"])  # it has looked at what is used: nothing
        engine.ingest([used("evt_1", 1, clock.now)])
        other.hold(0)  # which lets go of what has arrived
        clock.now += timedelta(seconds=KNOWN_S / 2)
        with pytest.raises(QuotaUsedUpError):
            one.hold(2)


def test_an_event_that_arrives_while_usage_is_looked_up_counts_once(database: str) -> None:
    sold(database, METER, included=2)
    clock = StillClock(datetime.now(UTC))
    with Engine(database) as engine:
        late = [used("evt_1", 1, clock.now)]
        desk = Desk(engine, clock)
        desk.holds.ended(desk.hold(1), ["evt_1"])

        def quotas(customer: str, at: datetime) -> list[Quota]:
            engine.ingest(late)
            return engine.quotas(customer, at)

        holds = QuotaHolds(engine.store, "", quotas, clock)
        assert holds.hold("acme", takes(1), expires_s=60, reference="")


def test_what_a_dead_process_held_is_free_when_its_time_is_over(database: str) -> None:
    sold(database, METER, included=1)
    clock = StillClock(datetime.now(UTC))
    with Engine(database) as engine:
        desk = Desk(engine, clock)
        desk.hold(1, expires_s=30)
        with pytest.raises(QuotaUsedUpError):
            desk.hold(1)
        clock.now += timedelta(seconds=31)
        assert desk.hold(1)


def test_an_event_that_never_comes_is_not_waited_for_long(database: str) -> None:
    sold(database, METER, included=1)
    clock = StillClock(datetime.now(UTC))
    with Engine(database) as engine:
        desk = Desk(engine, clock)
        desk.holds.ended(desk.hold(1), ["evt_lost"])
        clock.now += timedelta(seconds=ARRIVES_S_MAX - 1)
        with pytest.raises(QuotaUsedUpError):
            desk.hold(1)
        clock.now += timedelta(seconds=2)
        assert desk.hold(1)


def test_a_job_is_known_to_other_processes_by_its_reference_until_its_end(database: str) -> None:
    sold(database, METER, included=LIMIT)
    with Engine(database) as submits, Engine(database) as polls:
        first = submits.quota_holds.hold("acme", takes(1), expires_s=60, reference="call_1")
        submits.quota_holds.hold("acme", takes(1), expires_s=60, reference="call_2")
        assert polls.quota_holds.waiting("acme", "call_1") == [first]
        polls.quota_holds.ended(first, ["evt_1"])
        assert submits.quota_holds.waiting("acme", "call_1") == []


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Python 3.12: a fork is bold
def test_a_child_that_was_forked_while_a_quota_was_looked_up_decides(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/q.db"
    sold(url, METER, included=LIMIT)
    with Engine(url) as engine:
        clock, looking, forked = (
            StillClock(datetime.now(UTC)),
            threading.Event(),
            threading.Event(),
        )

        def quotas(customer: str, at: datetime) -> list[Quota]:
            if threading.current_thread() is not threading.main_thread():
                looking.set()
                forked.wait(30)
            return engine.quotas(customer, at)

        holds = QuotaHolds(engine.store, "", quotas, clock)
        hold = partial(holds.hold, "acme", takes(1), expires_s=60, reference="")
        with ThreadPoolExecutor(1) as pool:
            other = pool.submit(hold)
            looking.wait(30)
            child = os.fork()
            if child == 0:
                os._exit(0 if hold() else 1)
            try:
                assert ended_within(child, 20.0) == 0
            finally:
                forked.set()
            assert other.result()


def ended_within(child: int, seconds: float) -> int:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    raise TimeoutError(f"the child did not end in {seconds} s")


def test_a_call_that_no_quota_counts_is_not_kept(database: str) -> None:
    sold(database, METER, included=LIMIT)
    with Engine(database) as engine:
        hold = partial(engine.quota_holds.hold, expires_s=60, reference="call_1")
        assert hold("acme", lambda _quota: None) == ""
        assert engine.quota_holds.waiting("acme", "call_1") == []


def used(event_id: str, quantity: int, at: datetime) -> Event:
    return made(event_id, customer="acme", at=at, properties={"output_tokens": quantity})


class Both:
    """Two processes on one database, and the same sum done in the plainest way."""

    def __init__(self, url: str) -> None:
        sold(url, METER, included=LIMIT)
        self.clock = StillClock(datetime.now(UTC))
        self.engines = [Engine(url), Engine(url)]
        self.desks = [Desk(engine, self.clock) for engine in self.engines]
        self.names = count(1)
        self.ids: dict[str, str] = {}  # of calls under way, by event id
        self.held: dict[str, int] = {}  # what was expected of each call that used something
        self.ended: dict[str, int] = {}  # what each has used that has not arrived
        self.arrived: dict[str, int] = {}
        self.seen: list[dict[str, int]] = [{}, {}]  # what had arrived when each process looked
        self.looked: list[datetime | None] = [None, None]
        self.fits: list[bool] = []  # by the plain sum
        self.held_it: list[bool] = []

    def left(self, process: int) -> int:
        looked = self.looked[process]
        if looked is None or (self.clock.now - looked).total_seconds() > KNOWN_S:
            self.looked[process], self.seen[process] = self.clock.now, dict(self.arrived)
        seen = self.seen[process]
        return LIMIT - sum(seen.values()) - sum(q for n, q in self.held.items() if n not in seen)

    def hold(self, process: int, quantity: int) -> None:
        left, name = self.left(process), f"evt_{next(self.names)}"
        with contextlib.suppress(QuotaUsedUpError):
            self.ids[name], self.held[name] = self.desks[process].hold(quantity), quantity
        self.fits.append(left > 0 and quantity <= left)
        self.held_it.append(name in self.held)

    def forget(self, process: int, _quantity: int) -> None:
        for name in tuple(self.ids)[:1]:
            self.desks[process].holds.forget(self.ids.pop(name))
            del self.held[name]

    def end(self, process: int, quantity: int) -> None:
        for name in tuple(self.ids)[:1]:
            self.desks[process].holds.ended(self.ids.pop(name), [name])
            self.ended[name] = quantity

    def arrive(self, process: int, _quantity: int) -> None:
        for name in tuple(self.ended)[:1]:
            quantity = self.arrived[name] = self.ended.pop(name)
            self.engines[process].ingest([used(name, quantity, self.clock.now)])

    def wait(self, _process: int, quantity: int) -> None:
        self.clock.now += timedelta(seconds=0.6 * quantity)

    def close(self) -> None:
        for engine in self.engines:
            engine.close()


STEPS = st.sampled_from([Both.hold, Both.hold, Both.forget, Both.end, Both.arrive, Both.wait])


@given(done=st.lists(st.tuples(STEPS, st.integers(0, 1), st.integers(0, 3)), max_size=24))
@settings(max_examples=40, deadline=None)
def test_two_processes_decide_as_a_plain_sum_does(
    tmp_path_factory: pytest.TempPathFactory,
    done: list[tuple[Callable[[Both, int, int], None], int, int]],
) -> None:
    both = Both(f"sqlite:///{tmp_path_factory.mktemp('quota')}/usage.db")
    for step, process, quantity in done:
        step(both, process, quantity)
    both.close()
    assert both.held_it == both.fits
