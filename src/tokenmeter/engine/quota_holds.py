"""
What calls under way take of their customers' quotas, for all processes of a database.

What is left of a quota = its limit - what is used - what is held for calls whose events are not
among what is used yet. The check and the holding are one transaction. What is used is looked up
now and then; a call whose events had arrived by then is told by name, and one whose events came
later is held on long enough that no process loses it from sight.
"""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from tokenmeter.engine.clock import Clock
from tokenmeter.engine.errors import InvalidOperationError
from tokenmeter.engine.ids import new_id
from tokenmeter.engine.quotas import Quota
from tokenmeter.engine.store.protocol import Store
from tokenmeter.engine.store.quota_held import QuotaHeld, QuotaHoldRow
from tokenmeter.engine.store.rows import microseconds
from tokenmeter.errors import StoreBusyError
from tokenmeter.rating.rounding import minus, plus

KNOWN_S = 1.0  # what is known of a customer's usage is used for so long
OLD_S_MAX = 4.0  # and, if the database was locked meanwhile, for so long
STAYS_S = 10.0  # a call whose events have arrived is held so long: longer than what any knows
ARRIVES_S_MAX = 60.0  # an event that is not in the store by then is not waited for
LOOKS_MAX = 5  # at what is used, if events arrive meanwhile
TRIES_MAX = 3  # to hold by usage that is young enough
CUSTOMERS_MAX = 10_000  # remembered

Wanted = Callable[[Quota], Decimal | None]  # what a call takes of a quota; None: it is not counted
QuotasOf = Callable[[str, datetime], Sequence[Quota]]
Monotonic = Callable[[], float]


class QuotaUsedUpError(InvalidOperationError):
    """A hard limit has no room for a call."""

    def __init__(self, quota: Quota) -> None:
        super().__init__(f"The quota of {quota.limit} for {quota.feature} is used up.")
        self.quota = quota


@dataclass(frozen=True, slots=True)
class _Known:
    """A customer's quotas as they were looked up, and the calls that are in what is used."""

    quotas: Sequence[Quota] = ()
    counted: frozenset[str] = frozenset()
    read_s: float = 0.0


class _Seat:
    """What this process knows of one customer, looked up by one thread at a time."""

    __slots__ = ("known", "looking", "pid")

    def __init__(self) -> None:
        self.pid = os.getpid()  # in a forked child, another thread may hold the lock for ever
        self.looking = threading.Lock()
        self.known: _Known | None = None


class QuotaHolds:
    """Holds what calls may take of the quotas of one environment's customers."""

    def __init__(
        self,
        store: Store,
        environment: str,
        quotas: QuotasOf,
        clock: Clock,
        monotonic: Monotonic = time.monotonic,
    ) -> None:
        self._store = store
        self._environment = environment
        self._quotas = quotas
        self._clock = clock
        self._monotonic = monotonic
        self._seats: OrderedDict[str, _Seat] = OrderedDict()

    def hold(self, customer: str, wanted: Wanted, *, expires_s: float, reference: str) -> str:
        """
        Hold what a call is expected to take; return the hold's id, "" if no quota counts it.

        Raises QuotaUsedUpError if a hard limit has no room for it, StoreBusyError if the
        database was locked for too long.
        """
        for _ in range(TRIES_MAX):
            known, is_new = self._look(customer)
            taken = _taken(known.quotas, wanted)
            if not taken:
                return ""
            row = QuotaHoldRow(new_id("qhold"), reference, taken)
            if self._kept(customer, row, known, expires_s, is_new=is_new):
                return row.id
        raise StoreBusyError(
            f"{self._store.name} was locked while a quota was looked at; try again"
        )

    def ended(self, hold_id: str, event_ids: Sequence[str]) -> None:
        """Say by which events a call is counted from now on."""
        expires_us = microseconds(self._clock() + timedelta(seconds=ARRIVES_S_MAX))
        with self._store.writing() as connection:
            QuotaHeld(connection, self._environment).ended(hold_id, event_ids, expires_us)

    def forget(self, hold_id: str) -> None:
        """Let a call go that used nothing."""
        with self._store.writing() as connection:
            QuotaHeld(connection, self._environment).forget(hold_id)

    def keep(self, hold_id: str, reference: str) -> None:
        """Have a call that goes on known by another reference."""
        with self._store.writing() as connection:
            QuotaHeld(connection, self._environment).rename(hold_id, reference)

    def waiting(self, customer: str, reference: str) -> list[str]:
        """List the holds under a reference whose calls have not ended, the oldest first."""
        now_us = microseconds(self._clock())
        with self._store.reading() as connection:
            rows = QuotaHeld(connection, self._environment).of(customer, now_us)
        return [r.id for r in rows if r.reference == reference and r.event_ids is None]

    def _kept(
        self, customer: str, row: QuotaHoldRow, known: _Known, expires_s: float, *, is_new: bool
    ) -> bool:
        """Keep a hold if it fits; False if what is known has grown old while it waited."""
        with self._store.writing() as connection:
            held = QuotaHeld(connection, self._environment)
            held.lock(customer)
            if self._monotonic() - known.read_s > OLD_S_MAX:
                return False
            now = self._clock()
            now_us = microseconds(now)
            rows = held.of(customer, now_us)
            if is_new:
                held.expire(known.counted, microseconds(now + timedelta(seconds=STAYS_S)))
                held.prune(customer, now_us)
            _check(known, rows, row)
            expires_us = microseconds(now + timedelta(seconds=expires_s))
            held.add(row, customer, now_us, expires_us)
        return True

    def _look(self, customer: str) -> tuple[_Known, bool]:
        """Return what is known of a customer, and whether it was looked up just now."""
        seat = self._seats.get(customer)
        if seat is None or seat.pid != os.getpid():
            seat = self._seats[customer] = _Seat()
            if len(self._seats) > CUSTOMERS_MAX:
                self._seats.popitem(last=False)
        with seat.looking:
            known = seat.known
            if known is not None and self._monotonic() - known.read_s <= KNOWN_S:
                return known, False
            seat.known = known = self._looked_up(customer)
            return known, True

    def _looked_up(self, customer: str) -> _Known:
        """
        Look at the calls first: those whose events have arrived are in the usage read next.

        If more arrive while it is read, all is looked at again; after LOOKS_MAX they count twice
        until the next time: too little is left, never too much.
        """
        read_s = self._monotonic()
        counted, looks = self._counted(customer), 0
        while True:
            before, looks = counted, looks + 1
            quotas = self._quotas(customer, self._clock())
            counted = self._counted(customer)
            if counted == before or looks == LOOKS_MAX:
                return _Known(quotas, before, read_s)
            read_s = self._monotonic()

    def _counted(self, customer: str) -> frozenset[str]:
        """Return the calls whose events have all arrived."""
        with self._store.reading() as connection:
            held = QuotaHeld(connection, self._environment)
            rows = held.of(customer, microseconds(self._clock()))
            ended = [row for row in rows if row.event_ids]
            there = held.arrived(i for row in ended for i in row.event_ids or ())
        return frozenset(row.id for row in ended if there.issuperset(row.event_ids or ()))


def _taken(quotas: Sequence[Quota], wanted: Wanted) -> dict[str, Decimal]:
    found = ((quota.meter.meter_id, wanted(quota)) for quota in quotas if not quota.is_soft)
    return {meter_id: taken for meter_id, taken in found if taken is not None}


def _check(known: _Known, rows: Sequence[QuotaHoldRow], row: QuotaHoldRow) -> None:
    """Raise QuotaUsedUpError if a call does not fit beside those that are held."""
    under_way = [r.taken for r in rows if r.id not in known.counted]
    for quota in known.quotas:
        meter_id = quota.meter.meter_id
        wanted = row.taken.get(meter_id)
        if quota.is_soft or wanted is None:
            continue
        held = plus(taken[meter_id] for taken in under_way if meter_id in taken)
        left = minus(quota.limit, quota.used, held)
        if left <= 0 or wanted > left:
            raise QuotaUsedUpError(quota)
