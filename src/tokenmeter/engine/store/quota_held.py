"""Rows of what calls under way take of their customers' quotas."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from tokenmeter.engine.store.counts import Counts
from tokenmeter.engine.store.events import stored_copies
from tokenmeter.engine.store.ledger_schema import quota_holds
from tokenmeter.rating.rounding import plain

NO_WINDOW_US = 0  # of the row that is locked for a customer
_LOCK = "quota_holds"


@dataclass(frozen=True, slots=True)
class QuotaHoldRow:
    """One call under way, or one that has ended and whose events may not have arrived."""

    id: str
    reference: str
    taken: Mapping[str, Decimal]  # by meter id
    event_ids: tuple[str, ...] | None = None


class QuotaHeld:
    """The calls of one environment, within the transaction of one connection."""

    def __init__(self, connection: Connection, environment: str) -> None:
        self._connection = connection
        self._environment = environment

    def lock(self, customer: str) -> None:
        """Keep others from adding a call of this customer until the transaction ends."""
        counts = Counts(self._connection, self._environment)
        counts.locked(f"{_LOCK}/{customer}", NO_WINDOW_US)

    def add(self, row: QuotaHoldRow, customer: str, created_us: int, expires_us: int) -> None:
        """Keep a call that is about to be made."""
        taken = json.dumps({k: plain(v) for k, v in row.taken.items()})
        place = {"id": row.id, "environment": self._environment, "customer": customer}
        times = {"created_us": created_us, "expires_us": expires_us}
        self._connection.execute(
            insert(quota_holds), {**place, **times, "reference": row.reference, "taken": taken}
        )

    def of(self, customer: str, now_us: int) -> list[QuotaHoldRow]:
        """Return the calls of a customer that count, the oldest first."""
        place = {"in_environment": self._environment, "of_customer": customer, "now": now_us}
        return [
            QuotaHoldRow(
                hold_id,
                reference,
                {k: Decimal(v) for k, v in json.loads(taken).items()},
                None if event_ids is None else tuple(json.loads(event_ids)),
            )
            for hold_id, reference, taken, event_ids in self._connection.execute(_OF, place)
        ]

    def ended(self, hold_id: str, event_ids: Iterable[str], expires_us: int) -> None:
        """Say what is counted in the place of a call from now on."""
        told = {"events": json.dumps(list(event_ids)), "expires": expires_us}
        self._connection.execute(_ENDED, {"of_hold": hold_id, **told})

    def forget(self, hold_id: str) -> None:
        """Let a call go that took nothing."""
        self._connection.execute(_FORGET, {"of_hold": hold_id})

    def rename(self, hold_id: str, reference: str) -> None:
        """Have a call that has not ended known by another reference."""
        self._connection.execute(_RENAME, {"of_hold": hold_id, "as_of_now": reference})

    def expire(self, hold_ids: Collection[str], by_us: int) -> None:
        """Let calls go at a moment, if they do not go before."""
        if hold_ids:
            rows = [{"of_hold": hold_id, "by": by_us} for hold_id in hold_ids]
            self._connection.execute(_EXPIRE, rows)

    def prune(self, customer: str, now_us: int) -> None:
        """Delete the calls of a customer that do not count any more."""
        place = {"in_environment": self._environment, "of_customer": customer, "now": now_us}
        self._connection.execute(_PRUNE, place)

    def arrived(self, event_ids: Iterable[str]) -> frozenset[str]:
        """Say which of these events are stored."""
        return frozenset(stored_copies(self._connection, self._environment, event_ids))


_COLUMNS = quota_holds.c
_MINE = (
    _COLUMNS.environment == bindparam("in_environment"),
    _COLUMNS.customer == bindparam("of_customer"),
)
_OF = (
    select(_COLUMNS.id, _COLUMNS.reference, _COLUMNS.taken, _COLUMNS.event_ids)
    .where(*_MINE, _COLUMNS.expires_us > bindparam("now"))
    .order_by(_COLUMNS.created_us, _COLUMNS.id)
)
_ENDED = (
    update(quota_holds)
    .where(_COLUMNS.id == bindparam("of_hold"))
    .values(event_ids=bindparam("events"), expires_us=bindparam("expires"))
)
_RENAME = (
    update(quota_holds)
    .where(_COLUMNS.id == bindparam("of_hold"), _COLUMNS.event_ids.is_(None))
    .values(reference=bindparam("as_of_now"))
)
_EXPIRE = (
    update(quota_holds)
    .where(_COLUMNS.id == bindparam("of_hold"), _COLUMNS.expires_us > bindparam("by"))
    .values(expires_us=bindparam("by"))
)
_FORGET = delete(quota_holds).where(_COLUMNS.id == bindparam("of_hold"))
_PRUNE = delete(quota_holds).where(*_MINE, _COLUMNS.expires_us <= bindparam("now"))
