"""
What a wallet's customer owes, looked up now and then: the ground on which holds are made.

What was settled since then is counted from the holds themselves, and so is what was settled
before and had not arrived as usage.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from tokenmeter.engine.steps import Ahead, Steps, added, read
from tokenmeter.engine.store.held import Holds, SettledRow
from tokenmeter.engine.store.ledger import Ledger
from tokenmeter.engine.store.protocol import Store
from tokenmeter.engine.store.rows import microseconds
from tokenmeter.engine.wallet import Wallet
from tokenmeter.rating.credits import Owed
from tokenmeter.rating.rounding import plus

USAGE_AGE_S_MAX = 5.0  # of what is known about a customer's usage
REFUSED_AGE_S_MAX = 0.5  # of the same, where a hold is refused by it
SETTLED_COUNTS_S = 60.0  # a settled amount counts so long if its event does not arrive before
LOOKS_MAX = 5  # at what is owed, if events arrive meanwhile
SNAPSHOTS_MAX = 10_000

OwedOf = Callable[[Wallet, datetime], Owed]
AheadOf = Callable[[Wallet], Ahead]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was known of a wallet's customer at one moment."""

    taken: datetime
    since_us: int  # what was settled from here on is not in it; see Snapshots._settled
    owed: Owed
    outstanding: Decimal  # settled before, and not among the usage yet
    under_way: Steps  # of the same
    ahead: Ahead


class Snapshots:
    """Looks at what customers owe, at most every USAGE_AGE_S_MAX."""

    def __init__(self, store: Store, environment: str, owed: OwedOf, ahead: AheadOf) -> None:
        self._store = store
        self._environment = environment
        self._owed = owed
        self._ahead = ahead
        self._known: OrderedDict[str, Snapshot] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, wallet: Wallet, now: datetime, age_s: float = USAGE_AGE_S_MAX) -> Snapshot:
        """Return what is known, looked up again if it is too old."""
        with self._lock:
            known = self._known.get(wallet.id)
        # A look from the future is none: the clock has stepped back, who knows how long ago.
        if known is not None and known.taken <= now <= known.taken + timedelta(seconds=age_s):
            return known
        known = self._looked_up(wallet, now)
        with self._lock:
            self._known[wallet.id] = known
            self._known.move_to_end(wallet.id)
            while len(self._known) > SNAPSHOTS_MAX:
                self._known.popitem(last=False)
        return known

    def forget(self, wallet_id: str) -> None:
        """Look a customer's usage up again at the next question."""
        with self._lock:
            self._known.pop(wallet_id, None)

    def _looked_up(self, wallet: Wallet, now: datetime) -> Snapshot:
        """
        Look at the holds first: an event that has arrived by then is among the usage read next.

        One that arrives in between would count twice: all is looked at again. After LOOKS_MAX
        it does count twice, until the next look: too little is available, never too much.
        """
        looks = 0
        while True:
            since_us, waiting = self._settled(wallet.id, now)
            owed, ahead = self._owed(wallet, now), self._ahead(wallet)
            looks += 1
            if looks == LOOKS_MAX or not self._arrived(waiting):
                outstanding = plus(row.amount for row in waiting)
                under_way = added(read(row.steps) for row in waiting)
                return Snapshot(now, since_us, owed, outstanding, under_way, ahead)

    def _arrived(self, waiting: Sequence[SettledRow]) -> bool:
        """Whether the event of any of these is there by now."""
        references = [row.reference for row in waiting if row.reference]
        if not references:
            return False
        with self._store.reading() as connection:
            return bool(Holds(connection, self._environment).arrived(references))

    def _settled(self, wallet_id: str, now: datetime) -> tuple[int, list[SettledRow]]:
        """
        Return what was settled and has not arrived as usage, and from where on to count more.

        Under the wallet's lock, like every closing: none can be in between, whatever the clocks
        of several processes say.
        """
        with self._store.writing() as connection:
            Ledger(connection, self._environment).lock(wallet_id)
            holds = Holds(connection, self._environment)
            after_us = holds.last_closed(wallet_id) + 1
            rows = holds.settled_since(
                wallet_id, microseconds(now - timedelta(seconds=SETTLED_COUNTS_S))
            )
            arrived = holds.arrived([row.reference for row in rows if row.reference])
        return after_us, [row for row in rows if row.reference not in arrived]
